"""Mixtures of real recordings in which it is known where somebody speaks and where music plays.

A mixture is a row of scenes of 4 to 10 s: speech, music, another sound, speech over music, speech over a sound, silence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import WeightsCorrupt
from pipelines.training_media.sounds import RATE, Part, Sound, duration, fetch, listed, read

Truth = NDArray[np.bool_]
SCENES = ("speech", "music", "sound", "speech over music", "speech over sound", "silence")
EXCERPT_SECONDS = 12.0


@dataclass(frozen=True, slots=True)
class Material:
    """speech: one list of utterances a speaker; music, other: excerpts and sounds."""

    speech: list[list[Sound]]
    music: list[Sound]
    other: list[Sound]

    def with_more(self, more: Material) -> Material:
        return Material(self.speech + more.speech, self.music + more.music, self.other + more.other)


@dataclass(frozen=True, slots=True)
class Levels:
    """dBFS RMS of each kind, and by how many dB speech is above what lies beneath it; drawn evenly from each range."""

    speech: tuple[float, float] = (-24.0, -24.0)
    music: tuple[float, float] = (-24.0, -24.0)
    other: tuple[float, float] = (-26.0, -26.0)
    over_music: tuple[float, float] = (12.0, 12.0)
    over_other: tuple[float, float] = (10.0, 10.0)


def material(
    part: Part, seed: int, *, pieces: int = 50, excerpts: int = 2, utterances: int = 80, sounds: int = 80
) -> Material:
    """The recordings of a part, fetched where they are absent: up to that many pieces of
    music a package and excerpts (12 s, from its middle) a piece, utterances a speaker (1.5 to 12 s), sounds (0.3 to 40 s).
    """
    rng = np.random.default_rng(seed)
    found = Material([], [], [])
    for source in fetch(listed(part)):
        files = source.files()
        if source.role == "music":
            some = rng.permutation(len(files))[:pieces].tolist() if len(files) > pieces else range(len(files))
            for path in (files[i] for i in some):
                length = duration(path)
                starts = rng.uniform(0.1, 0.85, excerpts) * length if length > 2 * EXCERPT_SECONDS else []
                found.music.extend(read(path, s, EXCERPT_SECONDS) for s in starts)
            continue
        most, (low, high) = (utterances, (1.5, 12.0)) if source.role == "speech" else (sounds, (0.3, 40.0))
        shuffled = (files[i] for i in rng.permutation(len(files)).tolist())
        chosen = list(islice((p for p in shuffled if low <= duration(p) <= high), most))
        heard = [heard_part(read(p)) for p in chosen]
        kept = [s for s in heard if s.size > 0.2 * RATE]
        if not kept:
            raise WeightsCorrupt(f"{source.package}: no {source.role} of a fitting length in {source.folder}")
        if source.role == "speech":
            found.speech.append(kept)
        else:
            found.other.extend(kept)
    loud = [m for m in found.music if m.size > 4 * RATE and float(np.sqrt(np.mean(m**2))) > 1e-3]
    return Material(found.speech, loud, found.other)


def mixture(given: Material, seconds: float, seed: int, levels: Levels | None = None) -> tuple[Sound, Truth, Truth]:
    """(sound, where somebody speaks, where music plays), a value a sample at 16 kHz."""
    rng, levels = np.random.default_rng(seed), levels or Levels()
    parts: list[tuple[Sound, Truth, Truth]] = []
    while sum(p[0].size for p in parts) < seconds * RATE:
        parts.append(_scene(given, SCENES[int(rng.integers(len(SCENES)))], rng, levels))
    sound, said, plays = (np.concatenate(column) for column in zip(*parts, strict=True))
    return sound, said, plays


def _scene(given: Material, scene: str, rng: np.random.Generator, levels: Levels) -> tuple[Sound, Truth, Truth]:
    length = round(float(rng.uniform(4, 10)) * RATE)
    out, said, plays = np.zeros(length, np.float32), np.zeros(length, bool), np.zeros(length, bool)
    loud = float(rng.uniform(*levels.speech))
    over = "over" in scene
    if "music" in scene:
        beneath = loud - float(rng.uniform(*levels.over_music))
        piece = _from_anywhere(given.music[int(rng.integers(len(given.music)))], length, rng)
        out += level(piece, beneath if over else float(rng.uniform(*levels.music)))
        plays[:] = True
    if "sound" in scene:
        beneath = loud - float(rng.uniform(*levels.over_other))
        piece = lasting(given.other[int(rng.integers(len(given.other)))], length / RATE)
        out += level(piece, beneath if over else float(rng.uniform(*levels.other)))
    if "speech" in scene:
        voice = _talk(given.speech[int(rng.integers(len(given.speech)))], length, loud, rng)
        out[: voice.size] += voice
        said[: voice.size] = spoken(voice)
    edge = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.03 * RATE))
    return out * edge.astype(np.float32), said, plays


def _from_anywhere(music: Sound, length: int, rng: np.random.Generator) -> Sound:
    at = int(rng.integers(max(1, music.size - length)))
    return lasting(music[at : at + length], length / RATE)


def _talk(utterances: Sequence[Sound], length: int, dbfs: float, rng: np.random.Generator) -> Sound:
    """One speaker's utterances one after the other, with pauses of 0.15 to 0.4 s, until the scene is full."""
    parts: list[Sound] = []
    while sum(p.size for p in parts) < length:
        parts.append(level(utterances[int(rng.integers(len(utterances)))], dbfs))
        parts.append(np.zeros(round(float(rng.uniform(0.15, 0.4)) * RATE), np.float32))
    return np.concatenate(parts)[:length]


def spoken(sound: Sound) -> Truth:
    """(T,) where the voice is heard (above -50 dBFS in 10 ms), pauses below half a second included."""
    step = RATE // 100
    loud = sound[: sound.size // step * step].reshape(-1, step).std(axis=1) > 10 ** (-50 / 20)
    at = np.flatnonzero(loud)
    for a, b in pairwise(at.tolist()):
        if b - a < 50:
            loud[a:b] = True
    return np.pad(np.repeat(loud, step), (0, sound.size % step))


def heard_part(sound: Sound, level: float = 1e-3) -> Sound:
    """Without silence at either end."""
    at = np.flatnonzero(np.abs(sound) > level)
    return sound[at[0] : at[-1] + 1] if at.size else sound[:0]


def level(sound: Sound, dbfs: float) -> Sound:
    """At this RMS, or less where peaks would pass -3 dBFS."""
    gain = 10 ** (dbfs / 20) / max(float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))), 1e-9)
    return (sound * min(gain, 0.7 / max(float(np.abs(sound).max()), 1e-9))).astype(np.float32)


def lasting(sound: Sound, seconds: float, fade: float = 0.05) -> Sound:
    """`sound` repeated with cross-fades until it lasts `seconds`."""
    overlap = min(round(fade * RATE), sound.size // 4)
    ramp = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))
    out = sound
    while out.size < seconds * RATE:
        joint = out[-overlap:] * ramp[::-1] + sound[:overlap] * ramp
        out = np.concatenate([out[:-overlap], joint, sound[overlap:]])
    return out[: round(seconds * RATE)]

"""Spans of speech and music on generated mixtures of known content: F1 by tenths of a second.

    OMP_NUM_THREADS=1 python -m benchmarks.audio_spans [SHARED_DATA] [--tuning] [--minutes 4]

Speech is read by espeak-ng (its pauses of half a second or more are known); music and the sounds beneath are recordings. The
two halves share no voice, no piece of music and no recording. A mixture is a row of scenes of 4 to 10 s: speech, music, a
sound, speech over music (12 dB down), speech over a sound (10 dB down), silence.
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import audio_material as material
from benchmarks.audio_material import RATE, Sound, Split
from mediaml.analyzers.audio.sound_classes import SoundClasses
from mediaml.analyzers.base import AudioAnalyzer
from mediaml.decode.samples import RateConverter
from mediaml.frames import AudioBlock
from mediaml.spec import Table

TENTHS = 10
SCENES = ("speech", "music", "sound", "speech over music", "speech over sound", "silence")


def spoken(sound: Sound) -> NDArray[np.bool_]:
    """(T,) where the voice is heard, pauses below half a second included."""
    step = RATE // 100
    loud = sound[: sound.size // step * step].reshape(-1, step).std(axis=1) > 10 ** (-50 / 20)
    at = np.flatnonzero(loud)
    for a, b in pairwise(at.tolist()):
        if b - a < 50:
            loud[a:b] = True
    return np.pad(np.repeat(loud, step), (0, sound.size % step))


def mixture(data: Path, half: Split, seconds: float, seed: int) -> tuple[Sound, dict[str, NDArray[np.bool_]]]:
    """(sound, truth by class a sample)."""
    rng = np.random.default_rng(seed)
    voices = [s for s in material.speech(data, half) if s.size < 12 * RATE]
    music, sounds = material.music(half), material.environment(data, half)
    parts, speech, played = [], [], []
    while sum(p.size for p in parts) < seconds * RATE:
        scene = SCENES[int(rng.integers(len(SCENES)))]
        length = round(float(rng.uniform(4, 10)) * RATE)
        out, said, plays = np.zeros(length, np.float32), np.zeros(length, bool), np.zeros(length, bool)
        if "music" in scene:
            at = int(rng.integers(max(1, music.size - length)))
            piece = material.lasting(music[at : at + length], length / RATE)
            out += material.level(piece, -36.0 if "over" in scene else -24.0)
            plays[:] = True
        if "sound" in scene:
            piece = material.lasting(sounds[int(rng.integers(len(sounds)))][1], length / RATE)
            out += material.level(piece, -34.0 if "over" in scene else -26.0)
        if "speech" in scene:
            voice = material.level(voices[int(rng.integers(len(voices)))], -24.0)[:length]
            out[: voice.size] += voice
            said[: voice.size] = spoken(voice)
        edge = np.minimum(1, np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.03 * RATE))
        parts, speech, played = [*parts, out * edge.astype(np.float32)], [*speech, said], [*played, plays]
    return np.concatenate(parts), {"speech": np.concatenate(speech), "music": np.concatenate(played)}


def found(analyzer: AudioAnalyzer, sound: Sound) -> dict[str, NDArray[np.bool_]]:
    """kind -> (tenths,) bool, as the analyzer's spans say."""
    converter = RateConverter(RATE, 16000, 1)
    low = np.concatenate([converter.push(sound[None]), converter.flush()], axis=1)
    samples = torch.from_numpy(low)
    with torch.inference_mode():
        for at in range(0, samples.shape[1], 16000):
            analyzer.update(AudioBlock(samples[:, at : at + 16000].contiguous(), 16000, at, at / 16000, "mono"))
        rows = analyzer.finish()[Table.SPANS]
    grid = {k: np.zeros(sound.size * TENTHS // RATE, bool) for k in ("speech", "singing", "music")}
    for kind, start, end in zip(rows["kind"], rows["start_seconds"], rows["end_seconds"], strict=True):
        grid[kind][round(start * TENTHS) : round(end * TENTHS)] = True
    return grid


def tenths(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return truth[: truth.size * TENTHS // RATE * (RATE // TENTHS)].reshape(-1, RATE // TENTHS).mean(axis=1) >= 0.5


def scores(data: Path, half: Split, minutes: float) -> dict[str, tuple[float, float, float]]:
    """class -> (F1, precision, recall)."""
    analyzer = SoundClasses()
    analyzer.setup(torch.device("cpu"))
    counts = {k: np.zeros(3) for k in ("speech", "music")}  # hits, given, wanted
    for seed in range(max(1, round(minutes))):
        sound, truth = mixture(data, half, 60.0, seed)
        grid = found(analyzer, sound)
        for kind, total in counts.items():
            wanted = tenths(truth[kind])
            given = grid[kind][: wanted.size] | (grid["singing"][: wanted.size] if kind == "music" else False)
            total += [(given & wanted).sum(), given.sum(), wanted.sum()]
    return {k: (2 * h / (g + w), h / max(g, 1), h / max(w, 1)) for k, (h, g, w) in counts.items()}


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("data", nargs="?", type=Path, default=material.DATA, help="the shared data folder")
    asked.add_argument("--tuning", action="store_true", help="the sounds that thresholds were chosen on")
    asked.add_argument("--minutes", type=float, default=4)
    given = asked.parse_args()
    torch.set_num_threads(1)
    half: Split = "tuning" if given.tuning else "held_out"
    print(f"## Spans on {given.minutes:g} min of mixtures of {half} sounds\n\n| class | F1 | precision | recall |")
    print("|---|---|---|---|")
    for kind, (f1, precision, recall) in scores(given.data, half, given.minutes).items():
        print(f"| {kind} | {f1:.3f} | {precision:.3f} | {recall:.3f} |")


if __name__ == "__main__":
    main()

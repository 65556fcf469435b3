"""Real sounds for the audio benchmarks: ESC-10, a NASA talk, two pieces of music, and speech that espeak-ng reads.

Sounds are 48 kHz mono float32, cut to where something is heard. `split` divides by the recording's own number, so that cuts
of one recording never lie on both sides.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

Sound = NDArray[np.float32]  # (T,)
Split = Literal["tuning", "held_out"]
RATE = 48000
DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
TALK = "video/pytorch+torchcodec/test/resources/nasa_13013.mp4.audio_44100.mp3"
SENTENCES = (
    "The harbour lights went out one after another while the last ferry left the pier.",
    "Seven engineers measured the bridge in March and found nothing that had moved.",
    "Would you please put the blue folder on the second shelf, next to the window?",
    "Rain is expected in the north this evening, with strong winds along the coast.",
)
VOICES = ("en-us", "en-gb", "en-gb-scotland", "en-us+f3")


def read(path: Path, rate: int = RATE) -> Sound:
    """A file's sound as mono at `rate`."""
    swr = av.AudioResampler(format="flt", layout="mono", rate=rate)
    parts: list[NDArray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            parts += [f.to_ndarray()[0] for f in swr.resample(frame)]
        parts += [f.to_ndarray()[0] for f in swr.resample(None)]
    return without_offset(np.concatenate(parts), rate)


def without_offset(sound: NDArray, rate: int) -> Sound:
    """Nothing below 8 Hz: some of the recordings carry an offset of their own ("Belly Button": -0.02 of full scale)."""
    spectrum = np.fft.rfft(sound.astype(np.float64))
    spectrum[: int(8 * sound.size / rate)] = 0
    return np.fft.irfft(spectrum, sound.size).astype(np.float32)


def heard(sound: Sound, level: float = 1e-3) -> Sound:
    """Without silence at either end."""
    at = np.flatnonzero(np.abs(sound) > level)
    return sound[at[0] : at[-1] + 1] if at.size else sound[:0]


def level(sound: Sound, dbfs: float = -26.0) -> Sound:
    """At this RMS, or less where peaks would pass -3 dBFS."""
    gain = 10 ** (dbfs / 20) / max(float(np.sqrt(np.mean(sound.astype(np.float64) ** 2))), 1e-9)
    return (sound * min(gain, 0.7 / max(float(np.abs(sound).max()), 1e-9))).astype(np.float32)


def esc10(data: Path) -> Iterator[tuple[str, str, Sound]]:
    """(class, recording, sound) of every clip."""
    for path in sorted((data / "audio-tag").rglob("*.ogg")):
        yield path.parent.name.split(" - ")[1], path.stem.split("-")[1], heard(read(path))


def split(recording: str) -> Split:
    return "tuning" if int(recording) % 2 else "held_out"


@cache
def environment(data: Path, half: Split) -> list[tuple[str, Sound]]:
    """(class, sound) of ESC-10's half."""
    return [(name, sound) for name, number, sound in esc10(data) if split(number) == half and sound.size > RATE // 2]


@cache
def music(half: Split) -> Sound:
    """Tuning: 15 s of "Belly Button"; held out: a minute of "Kali" by Anokato (both CC BY 4.0; sample_media/SOURCES.md)."""
    pattern = "*-demo.wav" if half == "tuning" else "*-demo.webm"
    found = sorted((user_cache_path("mediaml", appauthor=False) / "sample_media").glob(pattern))
    if not found:
        raise SystemExit("the sample music is absent; run: python -m sample_media.assemble demo/media")
    return heard(read(found[0]))


@cache
def speech(data: Path, half: Split) -> list[Sound]:
    """Held out: the talk (13 s) and two voices; tuning: two other voices. Empty of voices where espeak-ng is absent."""
    voices = VOICES[:2] if half == "tuning" else VOICES[2:]
    spoken = [say(text, voice) for voice in voices for text in SENTENCES] if shutil.which("espeak-ng") else []
    return spoken if half == "tuning" else [heard(read(data / TALK)), *spoken]


def say(text: str, voice: str = "en-us", words_a_minute: int = 160) -> Sound:
    """What espeak-ng (Debian package of that name) reads."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "said.wav"
        subprocess.run(
            ["espeak-ng", "-v", voice, "-s", str(words_a_minute), "-w", str(path), text],
            check=True,
            capture_output=True,
        )
        return heard(read(path))


def lasting(sound: Sound, seconds: float, fade: float = 0.05) -> Sound:
    """`sound` repeated with cross-fades until it lasts `seconds`."""
    overlap = min(round(fade * RATE), sound.size // 4)
    ramp = np.sin(np.linspace(0, np.pi / 2, overlap, dtype=np.float32))
    out = sound
    while out.size < seconds * RATE:
        joint = out[-overlap:] * ramp[::-1] + sound[:overlap] * ramp
        out = np.concatenate([out[:-overlap], joint, sound[overlap:]])
    return out[: round(seconds * RATE)]


def stereo(sound: Sound) -> NDArray[np.float32]:
    """(2, T): two channels that differ by a delay, as of two microphones."""
    delayed = np.concatenate([np.zeros(211, np.float32), sound[:-211]])
    return np.stack([0.8 * sound + 0.2 * delayed, 0.25 * sound + 0.75 * delayed]).astype(np.float32)

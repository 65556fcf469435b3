"""Hours of real sound as it is, for counting false alarms: music, spoken prompts, music on hold (see debian_media.py).

Every third file tunes, the others are held out. Prompts, a second or two each, are joined to programmes of some minutes with
a second of quiet room between them; nothing is scaled, filtered or mixed. Mastered music does reach full scale between and at
its samples, and samplers do leave offsets: `confirmed` measures each such finding again, in another way.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from benchmarks import audio_material as material
from benchmarks.audio_material import RATE, Split
from pipelines.training_media import debian_media

Sound = NDArray[np.float32]  # (channels, T)
PROMPTS_A_PROGRAMME = 60
CLICKS = {  # file -> seconds: each looked at in the waveform, a step or an impulse of a few samples
    "music-battle.ogg": (35.59,),
    "music-loyalists.ogg": (107.48, 168.00),
    "music-northerners.ogg": (114.28, 118.40),
    "music-return_to_wesnoth.ogg": (19.54, 21.92, 59.56, 59.77, 69.33),
    "prompts 60 to 119 (tuning)": (109.30,),
}
_START_SECONDS = 40  # where excerpts of music begin
_ROOM = 10 ** (-70 / 20)  # RMS of the quiet between prompts


def chosen(files: list[Path], half: Split) -> list[Path]:
    return [p for i, p in enumerate(files) if (i % 3 == 0) == (half == "tuning")]


def as_it_is(path: Path) -> Sound:
    """A file's one or two channels at 48 kHz."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout="mono" if stream.channels == 1 else "stereo", rate=RATE)
        parts = [f.to_ndarray() for frame in container.decode(stream) for f in resampler.resample(frame)]
        parts += [f.to_ndarray() for f in resampler.resample(None)]
    return np.concatenate(parts, axis=1).astype(np.float32)


def recordings(half: Split) -> Iterator[tuple[str, Sound]]:
    """(name, sound) of a minute and more each, but for the last programme of prompts."""
    for package in (debian_media.MUSIC, debian_media.ON_HOLD):
        for path in chosen(debian_media.fetch(package), half):
            yield path.name, as_it_is(path)
    prompts = chosen(debian_media.fetch(debian_media.PROMPTS), half)
    rng = np.random.default_rng(3)
    for first in range(0, len(prompts), PROMPTS_A_PROGRAMME):
        parts = []
        for path in prompts[first : first + PROMPTS_A_PROGRAMME]:
            parts += [as_it_is(path), (_ROOM * rng.standard_normal((1, RATE))).astype(np.float32)]
        yield (
            f"prompts {first} to {first + PROMPTS_A_PROGRAMME - 1} ({half.replace('_', ' ')})",
            np.concatenate(parts, axis=1),
        )


def excerpts(half: Split, seconds: float) -> Iterator[tuple[str, Sound]]:
    """(name, two channels at -26 dBFS or less) for making faults in: eight pieces of music, one on hold, three of prompts."""
    start, length = _START_SECONDS * RATE, round(seconds * RATE)
    made: list[tuple[str, Sound]] = []
    for package, count in ((debian_media.MUSIC, 8), (debian_media.ON_HOLD, 1)):
        pieces = ((p.stem, as_it_is(p)) for p in chosen(debian_media.fetch(package), half))
        long = ((name, sound[:, start : start + length]) for name, sound in pieces if sound.shape[1] > start + length)
        made += islice(long, count)
    prompts = sorted(chosen(debian_media.fetch(debian_media.PROMPTS), half), key=lambda p: -p.stat().st_size)[:24]
    for first in range(0, 24, 8):
        said = np.concatenate([as_it_is(p) for p in prompts[first : first + 8]], axis=1)
        made.append((f"prompts {first}", said[:, :length]))
    for name, sound in made:
        both = sound if sound.shape[0] == 2 else material.stereo(sound[0])
        gain = 10 ** (-26 / 20) / max(float(np.sqrt(np.mean(both**2, dtype=np.float64))), 1e-9)
        yield name, (both * min(gain, 0.7 / max(float(np.abs(both).max()), 1e-9))).astype(np.float32)


def confirmed(kind: str, name: str, sound: Sound, event: tuple[float, float]) -> bool:
    """Whether a finding about levels is true: eight times oversampled over -1 dBTP, three samples at full scale, a mean.

    Clicks are true where the waveform was looked at and shows one (CLICKS). False for kinds that nothing decides.
    """
    if kind == "click":
        return any(abs(event[0] - at) < 0.02 for at in CLICKS.get(name, ()))
    from scipy.signal import resample_poly

    first, stop = (round(t * RATE) for t in event)
    near = sound[:, max(0, first - RATE // 20) : stop + RATE // 20].astype(np.float64)
    if kind == "true_peak_over":
        return bool(np.abs(resample_poly(near, 8, 1, axis=1)).max() > 10 ** (-1 / 20))
    if kind == "clipping":
        high = np.abs(near) >= 0.999
        return bool((high[:, 2:] & high[:, 1:-1] & high[:, :-2]).any())
    return kind == "dc_offset" and bool(np.abs(sound[:, first:stop].mean(axis=1, dtype=np.float64)).max() >= 0.003)

"""A sound against its original: aligned, then PESQ, STOI, SI-SDR and the loudness difference, window by window."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.engine.pooling import Pooled, pool
from mediaml.errors import ContentDiffers, LimitExceeded, NoStreams, UnknownName, UsageError
from mediaml.frames import AudioBlock
from mediaml.media import MediaInfo
from mediaml.metrics.audio_alignment import AudioAlignment, align_audio, aligned_copy
from mediaml.metrics.audio_quality import pesq, si_sdr, stoi, visqol
from mediaml.ops.loudness import GATING_STEPS, LoudnessMeter, integrated_loudness
from mediaml.spec import AudioView, Need

RATE = 16000
WINDOW_SECONDS = 10.0
LONGEST_SECONDS = 4 * 3600.0  # both signals at 16 kHz are held: 0.9 GB at this length
_LEAST_RMS = 10 ** (-60 / 20)  # a window whose reference is quieter is not compared
METRICS: dict[str, str] = {
    "pesq": "MOS-LQO, wideband PESQ (ITU-T P.862.2)",
    "stoi": "intelligibility, STOI (Taal et al. 2011)",
    "estoi": "intelligibility, extended STOI (Jensen & Taal 2016)",
    "visqol": "MOS-LQO, ViSQOL v3 for speech (Chinen et al. 2020)",
    "visqol_audio": "MOS-LQO, ViSQOL v3 for music and sound at 48 kHz; only where it is named",
    "si_sdr_db": "dB, scale-invariant SDR (Le Roux et al. 2019) at 16 kHz mono",
}
BY_NAME_ONLY = ("visqol_audio",)  # decodes again at 48 kHz
FULL_RATE = 48000
LONGEST_FULL_SECONDS = 3600.0
_Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
WHOLE = {"loudness_difference_lu": "LU, integrated loudness less the reference's (ITU-R BS.1770-5)"}


@dataclass(slots=True)
class AudioScore:
    """What came of one pair of sounds.

    windows    equally long columns: start_seconds (reference time), and one a metric; NaN where it has no value
    pooled     metric -> mean and the rest over the windows
    loudness   integrated loudness of (distorted, reference) in LUFS; None where not defined
    failed     metric -> why it gave nothing
    """

    distorted: Path
    reference: Path
    alignment: AudioAlignment
    windows: dict[str, NDArray[np.float64]]
    pooled: dict[str, Pooled]
    loudness: tuple[float | None, float | None]
    compared_seconds: float
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def loudness_difference_lu(self) -> float | None:
        a, b = self.loudness
        return None if a is None or b is None else a - b

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        columns = {k: [None if math.isnan(x) else x for x in v.tolist()] for k, v in self.windows.items()}
        return {
            "distorted": str(self.distorted),
            "reference": str(self.reference),
            "alignment": asdict(self.alignment),
            "compared_seconds": self.compared_seconds,
            "pooled_metrics": {n: p.to_dict() for n, p in self.pooled.items()},
            "loudness_lufs": {"distorted": self.loudness[0], "reference": self.loudness[1]},
            "loudness_difference_lu": self.loudness_difference_lu,
            "windows": columns,
            "failed": self.failed,
            "notes": self.notes,
        }


def sound_only(path: Path) -> bool:
    """Whether the file holds sound and no moving picture. Raises MediaError."""
    media = probe(path)
    return media.kind == "audio" and media.main_audio is not None


def score_audio(distorted: Path, reference: Path, metrics: Sequence[str] | None = None) -> AudioScore:
    """Aligns the main sound of two files and compares them in windows of 10 s.

    Both are taken as mono at 16 kHz (the mean of the channels), the distorted one shifted and stretched onto the reference by
    `align_audio`. Loudness is that of all channels at their own rate, over each whole file. `metrics`: names of `METRICS`;
    None for all that are installed, less those of `BY_NAME_ONLY`.

    Raises UnknownName; NoStreams where a file has no sound; ContentDiffers where the two do not hold the same sound at any
    offset up to 60 s; LimitExceeded above four hours (one for `visqol_audio`); UsageError where a metric was named whose
    package is absent.
    """
    wanted = tuple(metrics or (m for m in METRICS if m not in BY_NAME_ONLY))
    for name in wanted:
        if name not in METRICS:
            raise UnknownName("metric of sound", name, METRICS)
    a, level_a = _sound(reference)
    b, level_b = _sound(distorted)
    how = align_audio(a, b, RATE)
    if not how.reliable:
        raise ContentDiffers(
            distorted,
            f"does not hold the sound of {reference.name}: {how.trusted} of {how.windows} places agree on an offset",
        )
    left, right, start = aligned_copy(a, b, RATE, how)
    result = AudioScore(distorted, reference, how, {}, {}, (level_b, level_a), left.size / RATE)
    pairs = {RATE: (left, right)}
    if set(wanted) & set(BY_NAME_ONLY):
        a, b = (_sound(path, FULL_RATE, LONGEST_FULL_SECONDS)[0] for path in (reference, distorted))
        pairs[FULL_RATE] = aligned_copy(a, b, FULL_RATE, how)[:2]
    _measure(result, pairs, start, wanted, strict=metrics is not None)
    if how.inverted:
        result.notes.append("the polarity is inverted against the reference")
    return result


def _measure(
    result: AudioScore, pairs: Mapping[int, _Pair], start: float, wanted: Sequence[str], *, strict: bool
) -> None:
    """`pairs`: (reference, distorted) by rate; windows are laid over those at RATE."""
    left, right = pairs[RATE]
    length = round(WINDOW_SECONDS * RATE)
    starts = list(range(0, max(left.size - length // 2, 1), length))
    spans = [(at, min(at + length, left.size) if at != starts[-1] else left.size) for at in starts]
    quiet = [bool(np.sqrt(np.mean(left[i:j].astype(np.float64) ** 2)) < _LEAST_RMS) for i, j in spans]
    result.windows["start_seconds"] = np.array([start + i / RATE for i, _ in spans])
    for name in wanted:
        values = np.full(len(spans), np.nan)
        times = FULL_RATE // RATE if name in BY_NAME_ONLY else 1
        try:
            for k, (i, j) in enumerate(spans):
                if not quiet[k] and np.abs(right[i:j]).max() > 0:
                    r, d = (x[i * times : j * times] for x in pairs[RATE * times])
                    value = _VALUE[name](r, d)
                    values[k] = np.nan if value is None else value
        except UsageError as error:
            if strict:
                raise
            result.failed[name] = str(error)
            continue
        result.windows[name] = values
        pooled = pool(values, result.windows["start_seconds"])
        if pooled is not None:
            result.pooled[name] = pooled
        else:
            result.failed[name] = "no window in which it is defined"
    if any(quiet):
        result.notes.append(f"{sum(quiet)} of {len(spans)} windows are below -60 dBFS in the reference: not compared")


_VALUE: dict[str, Callable[[NDArray, NDArray], float | None]] = {
    "pesq": lambda r, d: pesq(r, d, RATE),
    "stoi": lambda r, d: stoi(r, d, RATE),
    "estoi": lambda r, d: stoi(r, d, RATE, extended=True),
    "visqol": lambda r, d: visqol(r, d, RATE, speech=True),
    "visqol_audio": lambda r, d: visqol(r, d, FULL_RATE, speech=False),
    "si_sdr_db": lambda r, d: si_sdr(r, d),
}


def _sound(path: Path, rate: int = RATE, longest: float = LONGEST_SECONDS) -> tuple[NDArray[np.float32], float | None]:
    """(mono at `rate` with gaps as silence, integrated loudness) of the main audio stream, in one decode."""
    media = probe(path)
    stream = media.main_audio
    if stream is None:
        raise NoStreams(path, "holds no audio stream, so there is no sound to compare")
    if (media.duration_seconds or 0.0) > longest:
        raise LimitExceeded(
            path, f"lasts {media.duration_seconds:.0f} s; sounds are compared at {rate} Hz up to {longest:.0f} s"
        )
    return _decoded(path, media, rate)


def _decoded(path: Path, media: MediaInfo, rate: int) -> tuple[NDArray[np.float32], float | None]:
    mono, full = Need(AudioView(rate, "mono")), Need(AudioView())
    parts: list[NDArray[np.float32]] = []
    at = 0
    meter: LoudnessMeter | None = None
    energies: list[NDArray] = []
    with MediaStream(path, media, make_plan(media, [mono, full])) as decoded:
        for need, block in decoded:
            assert isinstance(block, AudioBlock)
            if need == mono:
                if block.start_sample > at:
                    parts.append(np.zeros(block.start_sample - at, np.float32))
                samples = block.samples[0].numpy()[max(0, at - block.start_sample) :]
                parts.append(samples)
                at = max(at, block.start_sample) + samples.size
                continue
            meter = meter or LoudnessMeter(block.sample_rate, block.samples.shape[0], block.layout)
            energies += [p.every(GATING_STEPS, p.momentary)[1] for p in meter.push(block.samples)]
    if meter is not None:
        rest = meter.flush()
        energies.append(rest.every(GATING_STEPS, rest.momentary)[1])
    loudness = integrated_loudness(np.concatenate(energies)) if energies else None
    return np.concatenate(parts) if parts else np.zeros(0, np.float32), loudness

"""AudioPath: decoded audio frames -> AudioBlocks with exact positions, at one rate and layout.

Positions come from the frames' timestamps. FFmpeg has already taken away what is not sound: encoder priming, edit-list
skips and discard padding, as far as the container states them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.decode.problems import Problem, ProblemLog
from mediaml.decode.samples import RateConverter, Samples, mixing_matrix, read_samples
from mediaml.frames import AudioBlock
from mediaml.media import AudioStream
from mediaml.spec import AudioView

BLOCK_SECONDS = 1
GAP_TOLERANCE_SECONDS = Fraction(1, 100)  # plus two ticks of the time base: containers round timestamps


Layout = tuple[str, tuple[str, ...]]  # FFmpeg's name of the layout, and the names of its channels


@dataclass(slots=True)
class _Run:
    """Samples without gaps, in one input format. Times are exact fractions of a second."""

    rate_in: int
    layout_in: Layout
    origin: Fraction  # file time of its first sample
    start_sample: int
    rate_out: int
    mix: NDArray[np.float32] | None  # (C_out, C_in)
    converter: RateConverter | None
    gap: bool
    samples_in: int = 0
    emitted: int = 0  # samples, at rate_out
    waiting: list[Samples] = field(default_factory=list)
    waiting_samples: int = 0

    @property
    def end(self) -> Fraction:
        """File time just after the last sample that came in."""
        return self.origin + Fraction(self.samples_in, self.rate_in)

    def push(self, samples: Samples) -> None:
        self.samples_in += samples.shape[1]
        if self.mix is not None:
            samples = self.mix @ samples
        self._keep(samples if self.converter is None else self.converter.push(samples))

    def close(self) -> None:
        if self.converter is not None:
            self._keep(self.converter.flush())

    def blocks(self, length: int, layout: str, *, rest: bool) -> Iterator[AudioBlock]:
        """Blocks of `length` samples; the shorter remainder too if `rest`."""
        if self.waiting_samples == 0 or (self.waiting_samples < length and not rest):
            return
        joined = np.concatenate(self.waiting, axis=1)
        stop = joined.shape[1] if rest else joined.shape[1] - joined.shape[1] % length
        for at in range(0, stop, length):
            yield self._block(joined[:, at : min(at + length, stop)], layout)
        self.waiting = [joined[:, stop:].copy()] if stop < joined.shape[1] else []
        self.waiting_samples = joined.shape[1] - stop

    def _keep(self, samples: Samples) -> None:
        if samples.shape[1]:
            self.waiting.append(samples)
            self.waiting_samples += samples.shape[1]

    def _block(self, samples: Samples, layout: str) -> AudioBlock:
        block = AudioBlock(
            samples=torch.from_numpy(samples.copy()),
            sample_rate=self.rate_out,
            start_sample=self.start_sample + self.emitted,
            start_seconds=float(self.origin + Fraction(self.emitted, self.rate_out)),
            layout=layout,
            gap=self.gap and self.emitted == 0,
        )
        self.emitted += samples.shape[1]
        return block


class AudioPath:
    """The sound of one stream as one view asks for it, in blocks of about one second.

    rate and layout   a native view keeps those of the first frame decoded (which may differ from the header: implicit
                      SBR); later frames of another rate or layout are converted to them (see `mixing_matrix`).
                      "mono" is the mean of the channels, not their sum: it cannot clip, and a dual-mono file keeps its
                      level.
    gaps, overlaps    a timestamp further than `GAP_TOLERANCE_SECONDS` and two ticks from where the samples so far end
                      starts a new run: its first block has `gap` set and the time that the file states. No sample is
                      invented or dropped. Smaller deviations are rounding and are ignored, so positions never jitter.
    start_sample      counts from the first sample on the stream's timeline, and so includes the length of gaps.
    faults            NaN and infinite samples become 0; all faults are in `problems`, which keeps the first
                      hundred and counts the rest.

    Memory is bounded by one block and one frame.
    """

    def __init__(self, stream: AudioStream, view: AudioView) -> None:
        self.stream = stream
        self.view = view
        self.problems = ProblemLog()
        self.samples_decoded = 0  # a channel, before conversion
        self._run: _Run | None = None
        self._first: Fraction = Fraction(0)  # file time of the stream's first sample
        self._rate = 0
        self._layout: Layout = ("", ())

    def push(self, frame: av.AudioFrame) -> list[AudioBlock]:
        """Takes the next frame of the stream in decode order; gives the blocks that it completes, often none."""
        if frame.samples == 0:
            return []
        run, blocks = self._run_for(frame)
        samples = self._finite(read_samples(frame), run.end)
        self.samples_decoded += samples.shape[1]
        if self.view.layout == "mono" and samples.shape[0] > 1:
            samples = samples.mean(axis=0, dtype=np.float64, keepdims=True).astype(np.float32)
        run.push(samples)
        return [*blocks, *run.blocks(self._rate * BLOCK_SECONDS, self._layout[0], rest=False)]

    def flush(self) -> list[AudioBlock]:
        """The samples still held, at the end of the stream."""
        run, self._run = self._run, None
        return self._close(run) if run is not None else []

    def _close(self, run: _Run) -> list[AudioBlock]:
        run.close()
        return list(run.blocks(self._rate * BLOCK_SECONDS, self._layout[0], rest=True))

    def _run_for(self, frame: av.AudioFrame) -> tuple[_Run, list[AudioBlock]]:
        """The run that `frame` belongs to, and the last blocks of the run that it ends."""
        rate, layout = frame.sample_rate, self._layout_of(frame)
        stated = _seconds(frame)
        old = self._run
        if old is None:
            self._rate = self.view.sample_rate or self._rate or rate
            self._layout = layout if not self._layout[0] else self._layout
            self._first = stated if stated is not None else Fraction(0)
            self._run = self._new_run(rate, layout, self._first, 0, gap=False)
            return self._run, []
        jumps = stated is not None and self._jumps(stated - old.end, frame)
        if not jumps and (rate, layout) == (old.rate_in, old.layout_in):
            return old, []
        blocks = self._close(old)
        if jumps and stated is not None:
            self._report_jump(old.end, stated)
            origin, start = stated, round((stated - self._first) * self._rate)
        else:
            origin = old.origin + Fraction(old.emitted, self._rate)
            start = old.start_sample + old.emitted
        if (rate, layout) != (old.rate_in, old.layout_in):
            was, now = f"{old.rate_in} Hz {old.layout_in[0]}", f"{rate} Hz {layout[0]}"
            self._report(origin, "audio_format_change", f"{was} becomes {now}; converted to the first")
        self._run = self._new_run(rate, layout, origin, start, gap=jumps)
        return self._run, blocks

    def _new_run(self, rate: int, layout: Layout, origin: Fraction, start: int, *, gap: bool) -> _Run:
        mix = None if layout == self._layout else mixing_matrix(layout[1], self._layout[1])
        converter = None if rate == self._rate else RateConverter(rate, self._rate, len(self._layout[1]))
        return _Run(rate, layout, origin, start, self._rate, mix, converter, gap)

    def _layout_of(self, frame: av.AudioFrame) -> Layout:
        if self.view.layout == "mono":
            return "mono", ("FC",)
        return frame.layout.name, tuple(c.name for c in frame.layout.channels)

    def _jumps(self, deviation: Fraction, frame: av.AudioFrame) -> bool:
        tick = Fraction(frame.time_base) if frame.time_base else Fraction(0)
        return abs(deviation) > GAP_TOLERANCE_SECONDS + 2 * tick

    def _report_jump(self, expected: Fraction, stated: Fraction) -> None:
        length = float(stated - expected)
        kind, what = ("audio_gap", "missing") if length > 0 else ("audio_overlap", "overlapping")
        self._report(expected, kind, f"timestamps jump from {float(expected):.3f} to {float(stated):.3f} s: "
                                     f"{abs(length):.3f} s {what}")  # fmt: skip

    def _finite(self, samples: Samples, at: Fraction) -> Samples:
        if np.isfinite(samples.sum(dtype=np.float64)):
            return samples
        bad = ~np.isfinite(samples)
        samples[bad] = 0.0
        self._report(at, "audio_not_finite", f"{int(bad.sum())} NaN or infinite samples replaced by 0")
        return samples

    def _report(self, at: Fraction, kind: str, message: str) -> None:
        self.problems.add(Problem(self.stream.index, float(at), kind, message))


def _seconds(frame: av.AudioFrame) -> Fraction | None:
    if frame.pts is None or not frame.time_base:
        return None
    return frame.pts * Fraction(frame.time_base)

"""`mediaml upscale`: decode -> network -> encode in one process, with bounded memory, resumable by segments."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic

import torch

from mediaml.decode.opening import open_container
from mediaml.engine.heap import keep_freed_memory
from mediaml.engine.runner import limit_threads
from mediaml.engine.upscale.encoder import SegmentWriter
from mediaml.engine.upscale.enlarging import Enlarged, enlarged
from mediaml.engine.upscale.frames import SourcePictures
from mediaml.engine.upscale.join import Segments, check_copies, join
from mediaml.engine.upscale.plan import UpscalePlan, UpscaleSettings, plan_upscale
from mediaml.engine.upscale.state import UpscaleState, unwritable
from mediaml.frames import Colour
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.models import Where, load_model

SEGMENT_FRAMES = 250
Progress = Callable[[int, int | None], None]  # frames done, frames in all


@dataclass(frozen=True, slots=True)
class UpscaleResult:
    """What an upscale came to. `frames_resumed` of `frames` were done by a run before; `faults` packets did not decode.

    `decoder` is "NVDEC", or "the CPU: " and why.
    """

    out: Path
    frames: int
    frames_resumed: int
    seconds: float
    faults: int
    notes: tuple[str, ...]
    decoder: str

    @property
    def frames_per_second(self) -> float:
        """Of this run, end to end."""
        return (self.frames - self.frames_resumed) / max(self.seconds, 1e-9)


def upscale(
    source: str | os.PathLike[str],
    out: str | os.PathLike[str],
    settings: UpscaleSettings | None = None,
    *,
    progress: Progress | None = None,
) -> UpscaleResult:
    """Enlarges the main video stream of `source` into `out`; everything else is copied, and every picture keeps its time.

    `out` appears when it is whole. Until then a folder `.OUT.upscale` beside it holds the finished segments, and the same
    call goes on from there; where no segment was finished nothing is left. Raises what `plan_upscale` and `load_model` raise,
    and OutputUnwritable for a full disk.
    """
    begun = monotonic()
    plan = plan_upscale(Path(source), Path(out), settings or UpscaleSettings())
    check_copies(plan)
    enlarger = load_enlarger(plan.settings)
    state = UpscaleState(plan)
    whole = False
    try:
        state.begin()
        resumed = state.frames
        work = _Work(plan, enlarger, state, progress)
        work.run()
        joined = state.joined(plan.out.suffix)
        join(plan, Segments([state.segment(i) for i in range(len(state.segments))], *work.described()), joined)
        joined.replace(plan.out)
        whole = True
    except OSError as error:
        raise unwritable(error, plan, state.frames) from error
    finally:
        if whole or not state.segments:
            state.remove()
    seconds, pictures = monotonic() - begun, work.pictures
    return UpscaleResult(plan.out, state.frames, resumed, seconds, pictures.faults, plan.notes, pictures.decoder)


def load_enlarger(settings: UpscaleSettings) -> Enlarger:
    """The model of the settings, ready to run in as many threads as they name."""
    keep_freed_memory()
    limit_threads(1)  # one frame a thread: the threads of one convolution would only wait for each other
    where = Where(torch.device(settings.device), settings.tile, settings.threads, bool(settings.ensemble))
    return load_model(settings.model, settings.scale, where)


def _no_progress(_done: int, _total: int | None) -> None:
    return None


class _Work:
    """One run over the frames that are not done yet."""

    def __init__(self, plan: UpscalePlan, enlarger: Enlarger, state: UpscaleState, progress: Progress | None) -> None:
        self._plan, self._enlarger, self._state = plan, enlarger, state
        self._progress = progress or _no_progress
        self.pictures = SourcePictures(plan, enlarger, SEGMENT_FRAMES)
        self._colour: Colour | None = None
        self._base = Fraction(0)
        self._ending: tuple[SegmentWriter, Future[None]] | None = None

    def described(self) -> tuple[Colour, Fraction]:
        """The colour of the source and the time base of its stream."""
        if self._colour is None:  # everything had been done before
            self._colour = next(self.pictures.read()).colour
        return self._colour, self._time_base()

    def run(self) -> None:
        """Encodes segment after segment; a segment that ends early (an error, an interruption) leaves nothing."""
        writer: SegmentWriter | None = None
        with ThreadPoolExecutor(1, "finish") as pool:
            try:
                for picture, planes in self._enlarged():
                    self._colour = picture.colour if self._colour is None else self._colour
                    if writer is None:
                        writer = SegmentWriter(self._plan, self._colour, self._time_base(), self._next_segment())
                    writer.add(planes, picture.pts, picture.duration)
                    self._progress(picture.index + 1, self._plan.frames)
                    if writer.frames == SEGMENT_FRAMES:
                        writer = self._hand_over(writer, pool)
                if writer is not None:
                    writer = self._hand_over(writer, pool)
            finally:
                if writer is not None:
                    writer.abandon()
                self._settle()

    def _next_segment(self) -> Path:
        return self._state.segment(len(self._state.segments) + (self._ending is not None))

    def _hand_over(self, writer: SegmentWriter, pool: ThreadPoolExecutor) -> None:
        """The pictures that the encoder still holds are encoded beside the next segment's first ones."""
        self._settle()
        self._ending = writer, pool.submit(writer.finish)

    def _settle(self) -> None:
        """Waits until the segment that was handed over is whole, and notes it."""
        if self._ending is None:
            return
        (writer, finished), self._ending = self._ending, None
        finished.result()
        self._state.add(writer.frames, writer.last_pts)

    def _enlarged(self) -> Iterator[Enlarged]:
        """What is not done yet."""
        last = self._state.segments[-1].last_pts if self._state.segments else None
        return enlarged(self.pictures.read(self._state.frames, last), self._enlarger, self._plan)

    def _time_base(self) -> Fraction:
        if not self._base:
            with open_container(self._plan.source) as container:
                stream = next(s for s in container.streams if s.index == self._plan.video.index)
                self._base = Fraction(stream.time_base or Fraction(1, 90000))
        return self._base

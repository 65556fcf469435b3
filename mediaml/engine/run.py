"""THE loop: one file, one decode, all analyzers. Who calls it (a local worker, Ray, a test) is not its business."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from mediaml.analyzers.base import Analyzer
from mediaml.decode.plan import Plan, make_plan
from mediaml.decode.stream import DecodeReport, Delivery, MediaStream
from mediaml.engine.pack import to_host
from mediaml.engine.runner import Runner
from mediaml.errors import MediaError
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Need

Progress = Callable[[int, float], None]
"""Called with (frames delivered so far, position in the file in seconds)."""


@dataclass(slots=True)
class MediaOutcome:
    """What came of one file.

    runners         in the order given; each holds rows or an error
    not_applicable  names of analyzers that need a stream the file lacks
    error           set where decoding itself failed; rows gathered before that are kept
    """

    media: MediaInfo
    runners: list[Runner]
    not_applicable: list[Analyzer]
    report: DecodeReport | None
    error: MediaError | None = None
    wall_seconds: float = 0.0
    analyzer_seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether every frame of a file with video was decoded: only then are decode facts worth keeping."""
        report = self.report
        if report is None or report.mode != "sequential" or report.ended_early:
            return False
        return self.media.main_video is None or report.frames_decoded > 0


def plan_media(media: MediaInfo, analyzers: Sequence[Analyzer], max_pixels: int | None = None) -> Plan:
    """The decode plan for the union of the analyzers' needs."""
    needs = [a.spec.need for a in analyzers if a.spec.need is not None]
    return make_plan(media, list(dict.fromkeys(needs)), max_pixels=max_pixels)


def applicable(media: MediaInfo, analyzer: Analyzer) -> bool:
    """Whether the file has the stream that the analyzer needs."""
    need = analyzer.spec.need
    if need is None or analyzer.spec.needs_reference:
        return False
    return (media.main_audio if need.is_audio else media.main_video) is not None


def run_media(
    path: Path,
    media: MediaInfo,
    analyzers: Sequence[Analyzer],
    *,
    device: torch.device,
    max_pixels: int | None = None,
    progress: Progress | None = None,
) -> MediaOutcome:
    """Decodes `path` once and feeds every analyzer that applies. Analyzers must be set up. Raises nothing of the file's."""
    began = time.perf_counter()
    active = [a for a in analyzers if applicable(media, a)]
    runners = [Runner(a) for a in active]
    outcome = MediaOutcome(media, runners, [a for a in analyzers if a not in active], None)
    for runner in runners:
        runner.start(media)
    if runners:
        try:
            plan = plan_media(media, active, max_pixels)
            outcome.report = _feed(path, media, plan, runners, device, progress)
        except MediaError as error:
            outcome.error = error
    with torch.inference_mode():
        for runner in runners:
            runner.finish()
    outcome.wall_seconds = time.perf_counter() - began
    outcome.analyzer_seconds = {r.spec.name: r.seconds for r in runners}
    return outcome


def _feed(
    path: Path,
    media: MediaInfo,
    plan: Plan,
    runners: Sequence[Runner],
    device: torch.device,
    progress: Progress | None,
) -> DecodeReport:
    lanes: dict[Need, list[Runner]] = {}
    for runner in runners:
        if runner.spec.need is not None:
            lanes.setdefault(runner.spec.need, []).append(runner)
    frames = 0
    with torch.inference_mode(), MediaStream(path, media, plan, device=device) as stream:
        for delivery in stream:
            feed_delivery(delivery, lanes.get(delivery.need, ()))
            if isinstance(delivery.batch, FrameBatch):
                frames += len(delivery.batch)
                position = float(delivery.batch.pts_seconds[-1])
            else:
                position = delivery.batch.start_seconds
            if progress is not None:
                progress(frames, position)
            if all(r.error is not None for r in runners):
                break
        return stream.report


def feed_delivery(delivery: Delivery, runners: Sequence[Runner]) -> None:
    """Gives one batch to the runners of its need, then moves all their columns to the host in one copy."""
    batch = delivery.batch
    outputs = [(runner, runner.update(batch)) for runner in runners]
    if not isinstance(batch, FrameBatch):
        return
    flat = [(runner, name, tensor) for runner, output in outputs for name, tensor in output.items()]
    arrays = to_host([tensor for _, _, tensor in flat])
    gathered: dict[int, dict] = {}
    for (runner, name, _), array in zip(flat, arrays, strict=True):
        gathered.setdefault(id(runner), {})[name] = array
    for runner, output in outputs:
        if output:
            runner.keep(batch, gathered[id(runner)])

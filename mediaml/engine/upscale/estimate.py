"""`mediaml upscale --dry-run`: what would be done, and how long it takes, measured on the first pictures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import monotonic

from mediaml.engine.upscale.encoder import SegmentWriter
from mediaml.engine.upscale.enlarging import enlarge
from mediaml.engine.upscale.frames import SourcePictures
from mediaml.engine.upscale.join import check_copies
from mediaml.engine.upscale.plan import UpscalePlan, UpscaleSettings, plan_upscale
from mediaml.engine.upscale.video import load_enlarger

_PICTURES = 4


@dataclass(frozen=True, slots=True)
class Estimate:
    """A checked plan and the seconds that it takes; None where the source does not say how many frames it has."""

    plan: UpscalePlan
    seconds_per_frame: float
    model: str

    @property
    def seconds(self) -> float | None:
        return None if self.plan.frames is None else self.plan.frames * self.seconds_per_frame

    def lines(self) -> list[str]:
        """For a person to read."""
        plan, video = self.plan, self.plan.video
        width, height = plan.size
        copied = [f"{len(plan.media.audio)} audio", f"{len(plan.media.other)} subtitle or data streams"]
        crf = "" if plan.crf is None else f", crf {plan.crf:g}"
        lines = [
            f"{plan.source.name}: {video.width}x{video.height} {video.codec} -> {width}x{height} "
            f"{plan.settings.codec}{crf}, {plan.pixel_format}, by {self.model}",
            f"copied: {', '.join(copied)}, {len(plan.media.chapters)} chapters",
            *(f"note: {note}" for note in plan.notes),
        ]
        rate = f"{1 / self.seconds_per_frame:.1f} frames/s"
        if self.seconds is None:
            return [*lines, f"{rate}; the source does not say how many frames it has"]
        minutes, seconds = divmod(round(self.seconds), 60)
        return [*lines, f"{plan.frames} frames at {rate}: about {minutes} min {seconds} s"]


def estimate(source: Path, out: Path, settings: UpscaleSettings) -> Estimate:
    """Plans, then enlarges and encodes a few pictures. Raises as `plan_upscale` and `load_model` do; writes nothing."""
    plan = plan_upscale(source, out, settings)
    check_copies(plan)
    enlarger = load_enlarger(settings)
    network, encoding = [], []
    writer: SegmentWriter | None = None
    with tempfile.TemporaryDirectory() as folder:
        for picture in SourcePictures(plan, enlarger, _PICTURES).read():
            if picture.index == _PICTURES:
                break
            begun = monotonic()
            ((_, planes),) = enlarge([picture], enlarger, plan.siting)
            enlarged = monotonic()
            writer = writer or SegmentWriter(plan, picture.colour, Fraction(1, 90000), Path(folder) / "segment")
            writer.add(planes, 3600 * picture.index, 3600)
            network.append(enlarged - begun)
            encoding.append(monotonic() - enlarged)
        if writer is not None:
            begun = monotonic()
            writer.finish()
            encoding.append(monotonic() - begun)
    frame = min(network) / settings.threads + sum(encoding) / len(network) / max(1, settings.threads)
    return Estimate(plan, max(frame, 1e-6), enlarger.name)

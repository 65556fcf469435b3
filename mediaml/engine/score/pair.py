"""`mediaml.score`: how good is a distorted file against its reference, frame by frame."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.following import FollowedPair, follow_pair
from mediaml.decode.pair.plan import PairPlan, plan_pair
from mediaml.decode.pair.stream import PairStream
from mediaml.decode.raw_video import RAW_EXTENSIONS, RawFormat
from mediaml.engine.analyze import check_weights
from mediaml.engine.run import Progress
from mediaml.engine.score.metrics import Chosen, choose_metrics
from mediaml.engine.score.result import ScoreResult, ShotScore
from mediaml.engine.score.scoring import Scoring, pair_numbers, pooled_columns, result_of
from mediaml.engine.score.shots import ShotDetector, check_detector, find_shots
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, choose_device
from mediaml.errors import InvalidValue, NothingDecoded, UnknownName, printable

if TYPE_CHECKING:
    from mediaml.engine.score.libvmaf import LibvmafBackend

PathName = str | os.PathLike[str]
BackendName = Literal["mediaml", "libvmaf"]


def score(
    distorted: PathName,
    reference: PathName,
    metrics: Sequence[str] | None = None,
    *,
    align: bool = True,
    scale_to: str = "reference",
    shots: Sequence[tuple[float, float]] | None = None,
    detect_shots: ShotDetector = "none",
    raw: RawFormat | None = None,
    raw_reference: RawFormat | None = None,
    device: DeviceName = "auto",
    backend: BackendName = "mediaml",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    out: PathName | None = None,
    progress: Progress | None = None,
) -> ScoreResult:
    """Scores `distorted` against `reference`: aligns, brings both to one form, decodes both once for all metrics.

    Args:
        metrics: analyzers, groups or columns (`vmaf`, `psnr_y`); None for vmaf, psnr and ssim.
        align: False pairs frame i with frame i and looks at nothing.
        scale_to: "reference" (the distorted pictures are scaled, bicubic), "distorted" or "WIDTHxHEIGHT".
        shots: [start, end) in seconds of the distorted file, to be pooled one by one.
        detect_shots: "fast" (picture differences) or "network" (TransNetV2, whose weights must be there) finds the shots of
            the distorted file, which is decoded once more in small pictures for that.
        backend: "libvmaf" hands the aligned pictures to an ffmpeg that has it; columns and output are the same.
        raw, raw_reference: how to read files without a header (raw YUV).
        out: a lake into which per-frame and pooled values go.

    Raises:
        UnknownName, InvalidValue, WeightsError before anything is decoded; MediaError of either file (ContentDiffers,
        GeometryDiffers, ColourDiffers of the pair); AnalyzerError where not one metric gave a value.
    """
    began = time.perf_counter()
    chosen = choose_metrics(metrics)
    check_detector(detect_shots)
    outside = _outside(backend, chosen)
    where = torch.device(choose_device(device))
    raw_reference = raw_reference or raw_like(reference, raw)
    for path, form in ((distorted, raw), (reference, raw_reference)):
        check_raw(path, form)
    files = VideoFile.of(_name(distorted), raw), VideoFile.of(_name(reference), raw_reference)
    following = follow_pair(*files, scale_to=scale_to, max_pixels=max_pixels) if align and outside is None else None
    if following is not None:
        result = score_followed(following, chosen, where, max_pixels, progress)
    else:
        plan = plan_pair(*files, align=align, scale_to=scale_to, max_pixels=max_pixels)
        aligned = time.perf_counter()
        result = score_plan(plan, chosen, where, max_pixels, progress, outside)
        result.align_seconds = aligned - began
    if shots is None:
        shots, said = find_shots(files[0], detect_shots, where, max_pixels)
        result.notes += said
    result.shots = [_shot(result, start, end) for start, end in shots or ()]
    result.wall_seconds = time.perf_counter() - began
    if out is not None:
        from mediaml.engine.score.lake import store

        store(result, Path(out).expanduser())
    return result


def _outside(backend: str, chosen: Chosen) -> LibvmafBackend | None:
    """The program that computes, or None where it is done here, for which the weights must be there."""
    if backend == "mediaml":
        check_weights(chosen.analyzers)
        return None
    if backend != "libvmaf":
        raise UnknownName("backend", backend, ("mediaml", "libvmaf"))
    from mediaml.engine.score.libvmaf import check_libvmaf_has, find_libvmaf

    check_libvmaf_has(chosen.analyzers)
    return find_libvmaf()


def raw_like(path: PathName, raw: RawFormat | None) -> RawFormat | None:
    """`raw` for a reference that has no header either."""
    return raw if Path(path).suffix.lower() in RAW_EXTENSIONS else None


def check_raw(path: PathName, raw: RawFormat | None) -> None:
    """Raises InvalidValue for a file that has no header where nobody said what is in it."""
    if raw is None and Path(path).suffix.lower() in RAW_EXTENSIONS:
        raise InvalidValue(
            f"{printable(path)}: raw video has no header; say what it holds: --size WIDTHxHEIGHT, --pixel-format, --fps "
            "(in Python raw=RawFormat(...)), or wrap it as Y4M"
        )


def _name(path: PathName) -> str:
    return str(Path(path).expanduser())


def score_plan(
    plan: PairPlan,
    chosen: Chosen,
    device: torch.device,
    max_pixels: int,
    progress: Progress | None,
    outside: LibvmafBackend | None,
) -> ScoreResult:
    """Scores what a plan says, whoever made it: the pairs of its alignment within its crops. Raises as `score`."""
    if outside is not None:
        return _run_outside(plan, chosen, max_pixels, progress, outside)
    scoring = Scoring(chosen, device, plan.distorted, progress)
    stream = PairStream(
        plan.distorted, plan.reference, plan.form, plan.pairs,
        crops=plan.crops, device=device, max_pixels=max_pixels, kept=plan.kept,
    )  # fmt: skip
    scoring.feed(stream)
    return scoring.result(plan, stream.reports)


def score_followed(
    following: FollowedPair,
    chosen: Chosen,
    device: torch.device,
    max_pixels: int | None,
    progress: Progress | None,
) -> ScoreResult:
    """Scores a pair while it is decoded for alignment. Raises as `score`."""
    with closing(following):
        began = time.perf_counter()
        scoring = Scoring(chosen, device, following.distorted, progress)
        head = following.begin()
        seconds = time.perf_counter() - began
        if head is not None:
            stream = PairStream(
                head.distorted, head.reference, head.form, following.pairs(),
                crops=head.crops, device=device, kept=following.live,
            )  # fmt: skip
            scoring.feed(stream)
        began = time.perf_counter()
        plan = following.finish()
        seconds += time.perf_counter() - began
        if not following.agrees(plan, scoring.pairs()):
            scoring = Scoring(chosen, device, following.distorted, progress)
        assert plan.pairs is not None
        rest, reports = plan.pairs[scoring.frames :], following.reports
        if len(rest) and not scoring.all_failed:
            stream = PairStream(
                plan.distorted, plan.reference, plan.form, rest,
                crops=plan.crops, device=device, max_pixels=max_pixels, kept=following.waiting(rest),
            )  # fmt: skip
            scoring.feed(stream)
            reports = stream.reports
        result = scoring.result(plan, reports)
    result.align_seconds = seconds
    return result


def _run_outside(
    plan: PairPlan, chosen: Chosen, max_pixels: int, progress: Progress | None, outside: LibvmafBackend
) -> ScoreResult:
    from mediaml.engine.score.libvmaf import run_libvmaf

    stream = PairStream(
        plan.distorted, plan.reference, plan.form, plan.pairs,
        crops=plan.crops, max_pixels=max_pixels, kept=plan.kept,
    )  # fmt: skip
    runners, numbers = run_libvmaf(outside, plan, stream, chosen.analyzers, pair_numbers, progress)
    if not numbers:
        raise NothingDecoded(plan.distorted.path, "no pair of frames could be decoded")
    result = result_of(plan, chosen, runners, numbers, stream.reports)
    result.backend = outside.name
    return result


def _shot(result: ScoreResult, start: float, end: float) -> ShotScore:
    times = result.frames["pts_seconds"]
    inside = (times >= start - 1e-6) & (times < end - 1e-6)
    return ShotScore(start, end, pooled_columns(result.columns, result.frames, inside))

"""Alignment under injected faults: frames matched, score against the oracle; and its share of the time (--cost).

    python -m benchmarks.alignment CLIP [CLIP ...] [--frames 120] [--skip 0] [--crf 24 34] [--faults NAME ...] [--csv FILE]
                                   [--keep FOLDER]
    python -m benchmarks.alignment --read FILE [FILE ...]
    python -m benchmarks.alignment --cost CLIP

For every fault an encode of the clip is made and scored as `mediaml score` does it.

    exact      of the distorted frames that have a counterpart, those given it
    same       those given it, or a reference frame whose luma differs from its by a mean squared error of at most 0.5 (over
               51 dB: less than any lossy encode differs from its source). Repeated and still source frames can be told apart
               by no method.
    pictures   the same, or those given a frame that the encode's frame is no farther from, at full size, than from the true
               one: the encoder shows another frame than it was given, and its picture does not tell better
    none       frames without a counterpart that are left out, of all such frames
    score      VMAF (or another metric), pooled; oracle: of the same encode on the true pairs and the true crop, by the same
               code. Where pairs and crop are the true ones both are one number, which is not computed without --all-scores
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.alignment_faults import Fault, Picture, faults, planes
from benchmarks.alignment_likeness import as_pictures, like
from mediaml.decode.alignment.align import align_signals
from mediaml.decode.alignment.signal import Signal, read_signals
from mediaml.decode.frame_reader import VideoFile, read_frames
from mediaml.decode.geometry import find_geometry
from mediaml.decode.kept import KEPT_BYTES, KeptFrames, frame_bytes
from mediaml.decode.pair.following import follow_pair
from mediaml.decode.pair.format import pair_format
from mediaml.decode.pair.plan import PairPlan, plan_pair
from mediaml.decode.report import DecodeReport
from mediaml.engine.score.metrics import choose_metrics
from mediaml.engine.score.pair import score_followed, score_plan
from mediaml.engine.score.result import ScoreResult
from mediaml.engine.settings import DEFAULT_MAX_PIXELS
from mediaml.errors import MediaError
from tests.real_clips import frames_of, write

_WIDEST = 320
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Found:
    """One encode. exact, same, pictures, none: shares; nan where the encode has no such frames."""

    clip: str
    crf: int
    fault: str
    frames: int
    exact: float
    same: float
    pictures: float
    none: float
    score: float
    oracle: float


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="*", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--skip", type=int, default=0, help="frames left out at the start of each clip")
    parser.add_argument("--metric", default="vmaf")
    parser.add_argument("--crf", type=int, nargs="+", default=[24, 34])
    parser.add_argument("--faults", nargs="+", default=[])
    parser.add_argument("--csv", type=Path, help="append a row an encode")
    parser.add_argument("--keep", type=Path, help="keep the encodes here, and take those that are kept")
    parser.add_argument("--read", type=Path, nargs="+", default=[], help="summarise such files, and do nothing else")
    parser.add_argument("--all-scores", action="store_true", help="also those that are the oracle's by construction")
    parser.add_argument("--cost", action="store_true", help="CPU seconds of alignment and of all, whole frames")
    given = parser.parse_args()
    found = [row for path in given.read for row in _rows(path)]
    for clip in given.clips:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) if given.keep is None else given.keep / clip.stem
            folder.mkdir(parents=True, exist_ok=True)
            if given.cost:
                cost(clip, Path(temporary), given)
                continue
            shown = pictures(clip, given.skip, given.frames)
            for crf in given.crf:
                for fault in faults(len(shown)):
                    if not given.faults or fault.name in given.faults:
                        found.append(measure(clip.stem, shown, fault, crf, folder, given))
                        _print(found[-1])
                        _append(found[-1], given.csv)
    if not given.cost:
        summarise(found)


def pictures(clip: Path, skip: int, count: int) -> list[Picture]:
    """At most `_WIDEST` wide, so that hundreds of encodes can be scored."""
    video = VideoFile.of(str(clip)).video
    wide = min(_WIDEST, video.width)
    size = (wide // 4 * 4, round(wide * video.height / video.width / 4) * 4)
    return frames_of(clip, skip + count, size)[skip:]


def encode(
    shown: Sequence[Picture], fault: Fault, crf: int, folder: Path, *, reference_crf: int = 0
) -> tuple[Path, Path]:
    """(distorted, reference): an encode with the fault, and the source, without loss unless told; those that are there
    already are taken (x264 with threads does not repeat itself exactly)."""
    reference = folder / f"reference_{fault.head}_{fault.tail}.mp4"
    if not reference.exists():
        write(reference, shown[fault.head : len(shown) - fault.tail], crf=reference_crf)
    distorted = folder / f"{fault.name.replace(' ', '_').replace(':', '_')}_{crf}.mp4"
    if not distorted.exists():
        pictures = [shown[i] if fault.change is None else fault.change(shown[i]) for i in fault.order]
        write(distorted, pictures, crf=crf, fps=fault.fps, pts=fault.pts)
    return distorted, reference


def measure(
    clip: str, shown: Sequence[Picture], fault: Fault, crf: int, folder: Path, given: argparse.Namespace
) -> Found:
    files = [VideoFile.of(str(p)) for p in encode(shown, fault, crf, folder)]
    truth = fault.truth(len(shown))
    try:
        plan = plan_pair(files[0], files[1], max_pixels=DEFAULT_MAX_PIXELS)
    except MediaError as error:
        print(f"{clip} {crf} {fault.name}: {error}", flush=True)
        return Found(clip, crf, fault.name, len(truth), 0.0, 0.0, 0.0, 0.0, 0.0, 100.0)
    assert plan.alignment is not None
    index = plan.alignment.reference_index
    there = truth >= 0
    given_frames, true_frames = np.where(index < 0, -1, index + fault.head), np.where(there, truth + fault.head, -1)
    same = like(shown, given_frames, true_frames)
    told = same | as_pictures(Path(files[0].path), shown, fault, given_frames, true_frames)
    crops = fault.crops(shown[0].shape[1], shown[0].shape[0] * 2 // 3) if fault.crops else (None, None)
    all_right = np.array_equal(index, truth) and plan.crops == crops
    reached = oracle = np.nan if all_right and not given.all_scores else score_of(plan, given.metric)
    if not all_right:
        height, width = planes(shown[0])[0].shape
        size = (crops[1].width, crops[1].height) if crops[1] else (width, height)
        true_plan = replace(
            plan,
            crops=crops, form=replace(plan.form, size=size), alignment=replace(plan.alignment, reference_index=truth),
        )  # fmt: skip
        oracle = score_of(true_plan, given.metric)
    left_out = float((index[~there] < 0).mean()) if not there.all() else np.nan
    shares = [float(right[there].mean()) for right in (index == truth, same, told)]
    return Found(clip, crf, fault.name, int(there.sum()), *shares, left_out, reached, oracle)


def score_of(plan: PairPlan, metric: str) -> float:
    chosen = choose_metrics([metric])
    result = score_plan(plan, chosen, torch.device("cpu"), DEFAULT_MAX_PIXELS, None, None)
    return result[metric].mean


def _print(f: Found) -> None:
    left_out = "" if np.isnan(f.none) else f"{100 * f.none:7.1f}"
    scores = f"{f.score:9.3f}{f.oracle:9.3f}{f.score - f.oracle:8.3f}" if f.score == f.score else f"{'the same':>26}"
    print(
        f"{f.clip[:22]:24}{f.crf:3} {f.fault:18}{100 * f.exact:8.2f}{100 * f.same:8.2f}{100 * f.pictures:8.2f}"
        f"{left_out:>8}{scores}",
        flush=True,
    )


def _append(found: Found, path: Path | None) -> None:
    if path is None:
        return
    new = not path.exists()
    with path.open("a", newline="") as out:
        rows = csv.DictWriter(out, list(asdict(found)))
        if new:
            rows.writeheader()
        rows.writerow(asdict(found))


def _rows(path: Path) -> list[Found]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        Found(r["clip"], int(r["crf"]), r["fault"], int(r["frames"]), *(float(r[k]) for k in list(r)[4:])) for r in rows
    ]


def summarise(found: Sequence[Found]) -> None:
    """A row a fault and CRF, over clips; shares are of all frames together, those of refused encodes too."""
    head = "".join(
        f"{title:>{width}}"
        for title, width in (
            ("encodes", 8), ("exact %", 9), ("same %", 9), ("pictures %", 12), ("same >= 99.5", 14),
            ("pictures >= 99.5", 18), ("left out %", 12), ("within 1", 10), ("most off", 10), ("mean off", 10),
        )
    )  # fmt: skip
    for crf in sorted({f.crf for f in found}):
        print(f"\nCRF {crf:<14}{head}")
        at = [f for f in found if f.crf == crf]
        for name in [*dict.fromkeys(f.fault for f in at), "all"]:
            _print_pooled(name, [f for f in at if name in (f.fault, "all")])


def _print_pooled(name: str, rows: Sequence[Found]) -> None:
    frames = [f.frames for f in rows]
    shares = [
        100 * float(np.average([getattr(f, k) for f in rows], weights=frames)) for k in ("exact", "same", "pictures")
    ]
    full = [sum(getattr(f, k) >= 0.995 for f in rows) for k in ("same", "pictures")]
    none = [f.none for f in rows if not np.isnan(f.none)]
    left_out = f"{100 * float(np.mean(none)):.1f}" if none else ""
    off = [abs(f.score - f.oracle) if f.score == f.score else 0.0 for f in rows]
    print(
        f"{name:18}{len(rows):8}{shares[0]:9.2f}{shares[1]:9.2f}{shares[2]:12.2f}{full[0]:14}{full[1]:18}{left_out:>12}"
        f"{sum(o <= 1 for o in off):10}{np.max(off):10.3f}{np.mean(off):10.3f}"
    )


def cost(clip: Path, folder: Path, given: argparse.Namespace) -> None:
    """CPU milliseconds a frame that alignment adds, where the pair is decoded once for both (the thumbnails and the search)
    and where it is decoded for alignment alone (in draft quality), beside scoring with its own decoding; and the seconds that
    the geometry takes once a pair. At the clip's own size; of what is short, the least of three. Then what it adds to a pair
    too long to be kept that is a constant lag apart, and to one that loses frames in its middle."""
    shown = frames_of(clip, given.skip + given.frames)[given.skip :]
    fault = Fault("2 % dropped", [i for i in range(len(shown)) if i % 50 != 20])
    files = tuple(VideoFile.of(str(p)) for p in encode(shown, fault, 26, folder, reference_crf=10))

    def kept() -> list[Signal]:
        return read_signals(files, kept=[KeptFrames(1 << 40) for _ in files])

    bare, _ = _least(lambda: [sum(1 for _ in read_frames(f, DecodeReport())) for f in files])
    once, _ = _least(kept)
    twice, signals = _least(lambda: read_signals(files))
    search, alignment = _least(lambda: align_signals(signals[0], signals[1]))
    geometry, _ = _least(lambda: find_geometry(files[0], files[1], alignment))
    plan = PairPlan(files[0], files[1], pair_format(files[0], files[1]), alignment)
    scoring, _ = _least(lambda: score_of(plan, given.metric), 1)
    frames, height, width = len(alignment.pairs()), *planes(shown[0])[0].shape
    each = 1000 / frames
    shares = [100 * added / (added + scoring) for added in (once - bare + search, twice + search)]
    print(
        f"{clip.stem[:22]:24}{width}x{height} {frames} frames: decoding both {bare * each:.2f} ms a frame, with thumbnails "
        f"{once * each:.2f}, in draft quality with thumbnails {twice * each:.2f}, search {search * each:.2f}, scoring "
        f"{scoring * each:.2f}: {shares[0]:.1f} % of the time decoded once, {shares[1]:.1f} % decoded twice; "
        f"geometry {geometry:.2f} s a pair; {sum(frame_bytes_of(f) for f in files) / frames / 1e6:.2f} MB a pair of frames",
        flush=True,
    )
    for name, lost in (("a constant lag", 0), ("3 frames lost in the middle", 3)):
        added, count, room = followed_cost(shown, lost, folder)
        print(
            f"{name}, {count} pairs with room for {room}: {1000 * added / count:.2f} ms a pair, "
            f"{100 * added / (added + scoring / frames * count):.1f} % of the time",
            flush=True,
        )


def followed_cost(shown: Sequence[Picture], lost: int, folder: Path) -> tuple[float, int, int]:
    """(CPU seconds that aligning adds to a score, pairs, pairs that can be kept) of a pair four times as long as what can be
    kept: the clip played to and fro, each time enlarged by another percent. Told by PSNR, which costs little itself."""
    room = int(KEPT_BYTES / (3 * np.prod(planes(shown[0])[0].shape)))
    turns = [shown if i % 2 == 0 else shown[::-1] for i in range(4 * room // len(shown) + 1)]
    played = [_enlarged(p, 1 + 0.01 * i) for i, turn in enumerate(turns) for p in turn]
    middle = len(played) // 2
    fault = Fault("lost", [i for i in range(len(played)) if not middle <= i < middle + lost])
    (folder / "reference_0_0.mp4").unlink()
    files = tuple(VideoFile.of(str(p)) for p in encode(played, fault, 26, folder, reference_crf=10))
    chosen = choose_metrics(["psnr"])

    def with_alignment() -> ScoreResult:
        following = follow_pair(files[0], files[1])
        assert following is not None
        return score_followed(following, chosen, torch.device("cpu"), DEFAULT_MAX_PIXELS, None)

    aligned, result = _least(with_alignment)
    plan = PairPlan(files[0], files[1], pair_format(files[0], files[1]), None)
    bare, _ = _least(lambda: score_plan(plan, chosen, torch.device("cpu"), DEFAULT_MAX_PIXELS, None, None))
    return aligned - bare, len(result.frames["frame_index"]), room


def _enlarged(picture: Picture, scale: float) -> Picture:
    """The middle of it, at its size."""
    made = []
    for plane in planes(picture):
        high, wide = plane.shape
        part = cv2.resize(plane, (round(wide * scale), round(high * scale)))
        top, left = (part.shape[0] - high) // 2, (part.shape[1] - wide) // 2
        made.append(part[top : top + high, left : left + wide].reshape(-1))
    return np.concatenate(made).reshape(picture.shape)


def _least(work: Callable[[], T], times: int = 3) -> tuple[float, T]:
    """(CPU seconds, result) of the quickest of some runs."""
    found = []
    for _ in range(times):
        began = time.process_time()
        result = work()
        found.append((time.process_time() - began, result))
    return min(found, key=lambda f: f[0])


def frame_bytes_of(file: VideoFile) -> int:
    """All frames of a file, decoded."""
    return sum(frame_bytes(timed.frame) for timed in read_frames(file, DecodeReport()))


if __name__ == "__main__":
    main()

"""Temporal alignment under injected faults: frames matched, score against the oracle, share of the time.

    python benchmarks/alignment.py CLIP [CLIP ...] [--frames 120] [--metric vmaf] [--crf 26]

For every fault the encode is scored twice: as `mediaml score` does it, and without alignment against a reference whose
frames were put into the true order (the oracle). `off` is the difference of the two means; `blind` is the score that frame i
against frame i gives.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mediaml.engine.score.pair import score
from tests.real_clips import frames_of, write

Fault = tuple[
    str, list[int], list[int] | None, Fraction | int
]  # name, source frame of each frame, pts, frames a second


def faults(count: int) -> Iterator[Fault]:
    """At 25 frames a second."""
    every = list(range(count))
    rng = np.random.default_rng(1)
    yield "none", every, None, 25
    yield "offset 1", every[1:], None, 25
    yield "offset 17", every[17:], None, 25
    yield "trimmed", every[9:-20], None, 25
    kept = [i for i in every if rng.random() > 0.03]
    yield "drops", kept, None, 25
    yield "drops with gaps", kept, kept, 25
    yield "repeats", [j for i in every for j in ([i, i] if rng.random() < 0.03 else [i])], None, 25
    yield "25 -> 30", [int(i * 25 / 30 + 1e-9) for i in range(count * 30 // 25)], None, 30
    yield "24 -> 23.976", every, None, Fraction(25000, 1001)
    yield "30 -> 60", [i // 2 for i in range(2 * count)], None, 50
    yield "3:2 pull-down", [int(i * 0.8) for i in range(count * 5 // 4)], None, Fraction(125, 4)
    variable = [i for i in every if rng.random() > 0.3]
    yield "variable rate", variable, variable, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--metric", default="vmaf")
    parser.add_argument("--crf", type=int, default=26)
    given = parser.parse_args()
    print(f"{'clip':24}{'fault':18}{'matched %':>10}{'score':>9}{'oracle':>9}{'off':>8}{'blind':>9}{'time %':>8}")
    for clip in given.clips:
        shown = frames_of(clip, given.frames)
        with tempfile.TemporaryDirectory() as folder:
            measure(clip.stem, shown, Path(folder), given.metric, given.crf)


def measure(name: str, shown: list, folder: Path, metric: str, crf: int) -> None:
    reference = write(folder / "reference.mp4", shown, crf=0)
    for fault, order, pts, fps in faults(len(shown)):
        distorted = write(folder / "distorted.mp4", [shown[i] for i in order], crf=crf, fps=fps, pts=pts)
        result = score(distorted, reference, [metric])
        true = np.array(order)[result.frames["frame_index"]]
        matched = float((result.frames["reference_index"] == true).sum()) / len(order)
        ordered = write(folder / "ordered.mp4", [shown[i] for i in order], crf=0, fps=fps, pts=pts)
        oracle = score(distorted, ordered, [metric], align=False)[metric].mean
        blind = score(distorted, reference, [metric], align=False)[metric].mean
        reached = result[metric].mean
        share = 100 * result.align_seconds / result.wall_seconds
        numbers = f"{100 * matched:10.2f}{reached:9.3f}{oracle:9.3f}{reached - oracle:8.3f}{blind:9.3f}{share:8.1f}"
        print(f"{name[:22]:24}{fault:18}{numbers}", flush=True)


if __name__ == "__main__":
    main()

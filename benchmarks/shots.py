"""Shot boundaries: F1 by kind of transition and false alarms, of TransNetV2, the fast detector and PySceneDetect, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.shots                 # held-out sources and the golden cut list
    OMP_NUM_THREADS=1 python -m benchmarks.shots --set tuning    # where the fast detector's thresholds were chosen
    OMP_NUM_THREADS=1 python -m benchmarks.shots --goldens       # two clips against PySceneDetect's golden cut lists

A detection matches a transition if their frames overlap within two frames; each may match once. PySceneDetect is measured
where it is installed, as its detectors' defaults give it, on the same pictures.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import torch

from benchmarks.shot_material import SHARED, SIZE, Frames, Sequence, load, make_sequence
from mediaml.analyzers.base import FrameAnalyzer
from mediaml.analyzers.shots.fast import FastShots
from mediaml.analyzers.shots.transnetv2 import VIEW, ShotBoundaries
from mediaml.frames import Colour, FrameBatch
from mediaml.spec import Table

GOLDENS = SHARED / "shots/Breakthrough+PySceneDetect/tests/resources"
SLACK = 2
KINDS = ("cut", "dissolve", "wipe", "fade")
Spans = list[tuple[int, int]]


def by_analyzer(make: Callable[[], FrameAnalyzer]) -> Callable[[Frames], Spans]:
    def detect(frames: Frames) -> Spans:
        analyzer = make()
        analyzer.setup(torch.device("cpu"))
        small = np.stack([cv2.resize(f, (48, 27), interpolation=cv2.INTER_AREA) for f in frames])
        pictures = torch.from_numpy(small).permute(0, 3, 1, 2).contiguous()
        for start in range(0, len(pictures), 64):
            analyzer.update(_batch(pictures[start : start + 64], start))
        rows = analyzer.finish().get(Table.SHOTS, {})
        return [
            (round(a * 25) + 1 if kind == "cut" else round(a * 25), max(round(a * 25) + 1, round(b * 25) - 1))
            for a, b, kind in zip(
                rows["transition_start_seconds"], rows["transition_end_seconds"], rows["transition"], strict=True
            )
            if a is not None
        ]

    return detect


def _batch(pictures: torch.Tensor, start: int) -> FrameBatch:
    index = torch.arange(start, start + len(pictures))
    return FrameBatch(
        pts_seconds=index.double() / 25,
        duration_seconds=torch.full((len(pictures),), 0.04, dtype=torch.float64),
        frame_index=index,
        key_frame=torch.zeros(len(pictures), dtype=torch.bool),
        colour=Colour(),
        views={VIEW: pictures},
    )


def by_scenedetect(name: str) -> Callable[[Frames], Spans]:
    def detect(frames: Frames) -> Spans:
        import scenedetect
        from scenedetect import FrameTimecode

        detector = getattr(scenedetect, name)()
        found: Spans = []
        for n, frame in enumerate(frames):
            cuts = detector.process_frame(FrameTimecode(n, 25.0), np.ascontiguousarray(frame[:, :, ::-1]))
            found += [(c.frame_num, c.frame_num) for c in cuts]
        found += [(c.frame_num, c.frame_num) for c in detector.post_process(FrameTimecode(len(frames), 25.0))]
        return found

    return detect


def match(sequence: Sequence, found: Spans) -> tuple[dict[str, tuple[int, int]], Spans]:
    """kind -> (found, there), and the detections that match nothing."""
    left = list(found)
    hits = {k: [0, 0] for k in KINDS}
    for event in sequence.events:
        hits[event.kind][1] += 1
        near = [s for s in left if s[0] <= event.last + SLACK and s[1] >= event.first - SLACK]
        if near:
            hits[event.kind][0] += 1
            left.remove(near[0])
    return {k: (a, b) for k, (a, b) in hits.items()}, left


def row(name: str, sequences: list[Sequence], detect: Callable[[Frames], Spans]) -> str:
    hits, there = dict.fromkeys(KINDS, 0), dict.fromkeys(KINDS, 0)
    false: dict[str, int] = {"flash": 0, "fast pan": 0, "elsewhere": 0}
    began = time.process_time()
    results = [detect(s.frames) for s in sequences]
    seconds = time.process_time() - began
    for sequence, found in zip(sequences, results, strict=True):
        counts, left = match(sequence, found)
        for kind, (a, b) in counts.items():
            hits[kind] += a
            there[kind] += b
        for first, last in left:
            trap = next((k for k, a, b in sequence.traps if first <= b + SLACK and last >= a - SLACK), "elsewhere")
            false[trap] += 1
    found, total, wrong = sum(hits.values()), sum(there.values()), sum(false.values())
    precision, recall = found / max(1, found + wrong), found / max(1, total)
    f1 = 2 * precision * recall / max(1e-9, precision + recall)
    recalls = " | ".join(f"{hits[k] / max(1, there[k]):.3f} ({there[k]})" for k in KINDS)
    frames = sum(len(s.frames) for s in sequences)
    wrongs = ", ".join(f"{k} {v}" for k, v in false.items() if v) or "none"
    return f"| {name} | {f1:.3f} | {precision:.3f} | {recalls} | {wrongs} | {seconds / frames * 1000:.2f} |"


def whole_clip(path: Path) -> Frames:
    """(N, 54, 96, 3) RGB, every frame."""
    with av.open(str(path)) as container:
        shown = [f.reformat(*SIZE, "rgb24", interpolation="AREA").to_ndarray() for f in container.decode(video=0)]
    return np.stack(shown)


def golden_rows(detectors: dict[str, Callable[[Frames], Spans]]) -> list[str]:
    """A row a golden list: its cuts, and how many of them each detector finds within two frames, of how many it reports."""
    found: dict[str, dict[str, Spans]] = {}
    rows = []
    for path in sorted((GOLDENS / "goldens").glob("*.json")):
        clip, detector = path.stem.split(".mp4.")
        if clip not in found:
            frames = whole_clip(GOLDENS / f"{clip}.mp4")
            found[clip] = {name: detect(frames) for name, detect in detectors.items()}
        cuts = json.loads(path.read_text())["cuts"]
        agreed = [
            f"{sum(any(a - SLACK <= c <= b + SLACK for a, b in spans) for c in cuts)} of {len(spans)}"
            for spans in found[clip].values()
        ]
        listed = ", ".join(map(str, cuts)) or "none"
        rows.append(f"| {clip} | {detector} | {listed} | {' | '.join(agreed)} |")
    for clip, by_name in found.items():
        rows += [
            f"{clip}, {name}: {', '.join(f'{a}-{b}' if b > a else str(a) for a, b in s)}" for name, s in by_name.items()
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", choices=("tuning", "held out"), default="held out")
    parser.add_argument("--sequences", type=int, default=12, help="of 16 shots each")
    parser.add_argument("--only", help="one detector's name")
    parser.add_argument("--goldens", action="store_true", help="compare with PySceneDetect's golden lists instead")
    given = parser.parse_args()
    detectors: dict[str, Callable[[Frames], Spans]] = {
        "mediaml shots_transnetv2": by_analyzer(ShotBoundaries),
        "mediaml shots_fast": by_analyzer(FastShots),
    }
    if given.goldens:
        print(f"| clip | golden list of | cuts | {' | '.join(f'{n}: agreed, of reported' for n in detectors)} |")
        print("|---" * (3 + len(detectors)) + "|")
        print("\n".join(golden_rows(detectors)))
        return
    shots = load(given.set)
    sequences = [make_sequence(shots, 16, seed) for seed in range(given.sequences)]
    if importlib.util.find_spec("scenedetect"):
        for name in ("ContentDetector", "AdaptiveDetector", "HistogramDetector", "HashDetector"):
            detectors[f"PySceneDetect {name}"] = by_scenedetect(name)
    traps = [k for s in sequences for k, _, _ in s.traps]
    print(f"{given.set}: {len(shots)} shots, {sum(len(s.frames) for s in sequences)} frames, {len(traps)} traps\n")
    kinds = " | ".join(f"recall {k} (of)" for k in KINDS)
    print(f"| detector | F1 | precision | {kinds} | false alarms | CPU ms a frame |")
    print("|---" * (6 + len(KINDS) - 1) + "|")
    for name, detect in detectors.items():
        if given.only in (None, name):
            print(row(name, sequences, detect), flush=True)


if __name__ == "__main__":
    main()

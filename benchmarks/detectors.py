"""Video fault detectors: event F1 by fault and severity on held-out sources, false alarms on clean material, speed at 1080p.

    OMP_NUM_THREADS=1 python -m benchmarks.detectors                       # F1 and speed; some twenty minutes of CPU
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --clean 2             # two hours of clean programmes; ten minutes
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --only freeze,flashes --films 2 --photographs 2
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --split tuning        # the sources that thresholds were chosen on
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --scenes 30:66 --severities middle --only "freeze,dropped frames"
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --clean 3 --lively --keep DIR     # programmes of scenes

Each faulty file holds one kind of fault at known times, at three severities or at one, in an x264 encode at CRF 18. The
matching rule is in benchmarks/faults/matching.py: temporal IoU >= 0.5 of spans widened by a quarter of a second. F1 counts
the false findings of the same kinds in the same files. A fault that cannot be seen in a clip (benchmarks/faults/visible.py: a
wrong matrix without saturated colours) is not made in it, and faults in time lie where something moves
(benchmarks/faults/places.py). Clean material: benchmarks/faults/clean.py. Scenes (benchmarks/faults/scenes.py) are of
photographs that neither split holds.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from benchmarks.faults.clean import clean_files, false_alarms, lively_alarms
from benchmarks.faults.colour import to_rgb, to_yuv
from benchmarks.faults.injection import SEVERITIES, Fault, place, write_faulty, write_file
from benchmarks.faults.matching import Score, false_at, match
from benchmarks.faults.pictorial import PICTORIAL
from benchmarks.faults.programmes import LARGE, SMALL
from benchmarks.faults.scenes import moving_scenes
from benchmarks.faults.sources import FPS, Clip, Film, Picture, Sources
from benchmarks.faults.temporal import TEMPORAL
from benchmarks.faults.unseen import photographs, wide
from benchmarks.faults.watching import watch
from mediaml.analyzers.base import Analyzer, select

FAULTS = (*TEMPORAL, *PICTORIAL)
SPEED_SECONDS = 8


def detectors() -> list[Analyzer]:
    """All artifact detectors that look at pictures and give spans."""
    return [c() for c in select(["artifacts"]) if c.spec.kinds and c.spec.need is not None and not c.spec.need.is_audio]


def score(fault: Fault, clip: Clip, folder: Path, scores: dict[str, Score], *, verbose: bool) -> None:
    """Adds one clip to the counts of each severity of `scores` that can be seen in it."""
    analyzer = next(a for a in detectors() if a.spec.name == fault.analyzer)
    asked = tuple(scores)
    for severities in [asked] if fault.seconds and fault.where is None else [(s,) for s in asked]:
        start, visible = place(fault, clip, severities)
        if not visible:
            continue
        path = folder / "faulty.mp4"
        events = write_faulty(path, clip, fault, severities, start=start)
        found = [f for f in watch(path, [analyzer])[0][fault.analyzer] if f.kind in fault.kinds]
        met, extra = match(events, found)
        for i, event in enumerate(events):
            if event.severity not in visible:
                continue
            scores[event.severity].hits += i in met
            scores[event.severity].misses += i not in met
            if verbose and i not in met:
                print(f"    missed: {fault.name}, {clip.name}, {event.severity}, {event.start:.2f}-{event.end:.2f} s")
        for k in extra:
            for severity in false_at(found[k], events) & visible:
                scores[severity].false_alarms += 1
            if verbose:
                where = "/".join(sorted(false_at(found[k], events)))
                print(
                    f"    false ({where}): {clip.name}, {found[k].start:.2f}-{found[k].end:.2f} s, {found[k].message}"
                )


def f1_table(
    faults: Sequence[Fault], clips: Sequence[Clip], folder: Path, severities: Sequence[str], *, verbose: bool
) -> None:
    """Prints F1, events and false findings by fault and severity. One clip after another: its pictures are kept meanwhile."""
    of = {fault.name: {s: Score() for s in severities} for fault in faults}
    for clip in clips:
        for fault in faults:
            if not fault.needs & clip.lacks:
                score(fault, clip, folder, of[fault.name], verbose=verbose)
    named = ", ".join(severities)
    print(f"\n| fault | detector | F1 {' | F1 '.join(severities)} | events found ({named}) | false (the same) |")
    print("|---|---|---|---|" + "---|" * len(severities))
    for fault in faults:
        scores = of[fault.name].values()
        f1 = " | ".join(f"{s.f1:.3f}" for s in scores)
        counts = ", ".join(f"{s.hits}/{s.hits + s.misses}" for s in scores)
        false = ", ".join(str(s.false_alarms) for s in scores)
        print(f"| {fault.name} | {fault.analyzer} | {f1} | {counts} | {false} |", flush=True)


def speed(sources: Sources, folder: Path) -> None:
    """Frames a second and core of all detectors together, decode included, on 1080p H.264; by CPU time, best of two."""
    path = folder / "hd.mp4"
    film = sources.bunny(width=1280)
    size = (1920, 1080)

    def large(index: int) -> Picture:
        return to_yuv(cv2.resize(to_rgb(film.frame(index)), size, interpolation=cv2.INTER_LANCZOS4))

    write_file(path, large, SPEED_SECONDS * FPS, crf=23)
    print("\n| what, 1080p H.264 | frames a second and core | ms a frame |\n|---|---|---|")
    frames = SPEED_SECONDS * FPS
    every = detectors()
    small = [a for a in every if a.spec.need and a.spec.need.fps is None]
    for name, chosen in (
        ("decode and the black detector alone", [a for a in every if a.spec.name == "black"]),
        ("frame-accurate detectors", small),
        (f"all {len(every)} video detectors", every),
    ):
        best = float("inf")
        for _ in range(2):
            began = time.process_time()
            watch(path, chosen)
            best = min(best, time.process_time() - began)
        print(f"| {name} | {frames / best:.0f} | {1000 * best / frames:.1f} |", flush=True)


def split_clips(sources: Sources, asked: argparse.Namespace) -> list[Clip]:
    """The films, photographs, wallpapers and layered clips of the split asked for."""
    clips = sources.films(asked.split)[: asked.films] + sources.photographs(asked.split, asked.photographs)
    return clips + sources.wallpapers(asked.split, asked.wallpapers) + sources.layered(asked.split, asked.layered)


def fresh_clips(numbers: str, folder: Path | None) -> list[Clip]:
    """The scenes with these numbers, "A:B", and the clips of the folder. Scenes 0 to 12 have been looked at."""
    films = sorted(p for p in folder.iterdir() if p.is_file()) if folder is not None else []
    first, stop = (int(n) for n in numbers.split(":"))
    scenes = moving_scenes(wide(photographs(), 320, 180), (320, 180))[first:stop]
    return [*scenes, *(Film(p.stem, p) for p in films)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MEDIAML_SHARED_DATA", "../shared/data")))
    parser.add_argument("--split", choices=["tuning", "held out"], default="held out")
    parser.add_argument("--only", default="", help="names of faults, comma-separated; with --clean: of their detectors")
    parser.add_argument("--films", type=int, default=99, help="real clips to inject faults into")
    parser.add_argument("--photographs", type=int, default=4, help="photographs under a moving camera")
    parser.add_argument("--wallpapers", type=int, default=4, help="sharp, wide photographs under a moving camera")
    parser.add_argument("--layered", type=int, default=3, help="wallpapers with something moving before them")
    parser.add_argument(
        "--scenes", metavar="A:B", help="scenes number A to B - 1, of neither split, instead of all these"
    )
    parser.add_argument("--severities", default=",".join(SEVERITIES), help="of the faults, comma-separated")
    parser.add_argument("--clean", type=float, metavar="HOURS", help="count false alarms instead, on so many hours")
    parser.add_argument(
        "--large", action="store_true", help="clean programmes of 640x360, from large photographs alone"
    )
    parser.add_argument(
        "--lively", action="store_true", help="clean programmes of scenes, not of a split's photographs"
    )
    parser.add_argument(
        "--clips", type=Path, metavar="DIR", help="a folder of more real clips, for --clean and --scenes"
    )
    parser.add_argument(
        "--pictures",
        type=Path,
        metavar="DIR",
        help="photographs that are held out in place of those of the shared data",
    )
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the clean programmes here for the next run")
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print each miss and each false alarm")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sources = Sources(asked.data, asked.pictures)
    wanted = [n.strip() for n in asked.only.split(",") if n.strip()]
    faults = [f for f in FAULTS if not wanted or f.name in wanted]
    faults.sort(key=lambda f: wanted.index(f.name) if wanted else 0)
    with tempfile.TemporaryDirectory(prefix="mediaml-detectors-") as folder:
        if asked.clean is not None:
            kept = asked.keep or Path(folder)
            kept.mkdir(parents=True, exist_ok=True)
            size = LARGE if asked.large else SMALL
            chosen = [d for d in detectors() if not wanted or d.spec.name in {f.analyzer for f in faults}]
            if asked.lively:
                return lively_alarms(asked.clean, size, kept, chosen, verbose=asked.verbose)
            real = [] if asked.large else clean_files(asked.data, asked.clips)
            return false_alarms(sources, asked.split, asked.clean, size, kept, chosen, real=real, verbose=asked.verbose)
        clips = fresh_clips(asked.scenes, asked.clips) if asked.scenes else split_clips(sources, asked)
        if clips:
            chosen = [s for s in SEVERITIES if s in asked.severities.split(",")]
            f1_table(faults, clips, Path(folder), chosen, verbose=asked.verbose)
        if not asked.no_speed:
            speed(sources, Path(folder))
    return None


if __name__ == "__main__":
    main()

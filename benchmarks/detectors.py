"""Video fault detectors: event F1 by fault and severity on held-out sources, false alarms on clean material, speed at 1080p.

    OMP_NUM_THREADS=1 python -m benchmarks.detectors                       # everything; some twenty minutes of CPU
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --only freeze,flashes --films 2 --photographs 2 --alarms 0
    OMP_NUM_THREADS=1 python -m benchmarks.detectors --split tuning        # the sources that thresholds were chosen on

Each faulty file holds one kind of fault at three severities, at known times, in an x264 encode at CRF 18. The matching
rule is in benchmarks/faults/matching.py: temporal IoU >= 0.5 of spans widened by a quarter of a second. F1 counts the false
findings of the same kinds in the same files, at every severity in full. Clean material: real clips as they are, and held-out
photographs under a moving camera at CRF 23. An alarm that names what a real clip truly shows (`TRUE_FINDINGS`, each
looked at) is none.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import torch

from benchmarks.faults.colour import to_rgb, to_yuv
from benchmarks.faults.injection import SEVERITIES, Fault, write_faulty, write_file
from benchmarks.faults.matching import Found, Score, match
from benchmarks.faults.pictorial import PICTORIAL
from benchmarks.faults.sources import FPS, Clip, Picture, Sources
from benchmarks.faults.temporal import TEMPORAL
from benchmarks.faults.watching import watch
from mediaml.analyzers.base import Analyzer, select
from mediaml.errors import MediaError

FAULTS = (*TEMPORAL, *PICTORIAL)
INFORMATIVE = {"still_picture", "interlaced"}  # kinds that state a fact, not a fault
CLEAN_SECONDS = 12
TRUE_FINDINGS: dict[str, set[str]] = {}
SPEED_SECONDS = 8


def detectors() -> list[Analyzer]:
    """All artifact detectors that look at pictures and give spans."""
    return [c() for c in select(["artifacts"]) if c.spec.kinds and c.spec.need is not None and not c.spec.need.is_audio]


def score(fault: Fault, clips: Iterable[Clip], folder: Path, *, verbose: bool) -> dict[str, Score]:
    """Severity -> counts over all clips."""
    analyzer = next(a for a in detectors() if a.spec.name == fault.analyzer)
    scores = {s: Score() for s in SEVERITIES}
    for clip in clips:
        for severities in [SEVERITIES] if fault.seconds else [(s,) for s in SEVERITIES]:
            path = folder / "faulty.mp4"
            events = write_faulty(path, clip, fault, severities)
            found = [f for f in watch(path, [analyzer])[0][fault.analyzer] if f.kind in fault.kinds]
            met, extra = match(events, found)
            for i, event in enumerate(events):
                scores[event.severity].hits += i in met
                scores[event.severity].misses += i not in met
                if verbose and i not in met:
                    print(
                        f"    missed: {fault.name}, {clip.name}, {event.severity}, {event.start:.2f}-{event.end:.2f} s"
                    )
            for severity in severities:
                scores[severity].false_alarms += len(extra)
            if verbose:
                for k in extra:
                    print(f"    false: {clip.name}, {found[k].start:.2f}-{found[k].end:.2f} s, {found[k].message}")
    return scores


def f1_table(faults: Sequence[Fault], clips: Sequence[Clip], folder: Path, *, verbose: bool) -> None:
    print(
        "\n| fault | detector | F1 mild | F1 middle | F1 strong | events found (mild, middle, strong) | false | sources |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for fault in faults:
        chosen = [c for c in clips if not fault.needs & c.lacks]
        scores = score(fault, chosen, folder, verbose=verbose)
        f1 = " | ".join(f"{scores[s].f1:.3f}" for s in SEVERITIES)
        counts = ", ".join(f"{scores[s].hits}/{scores[s].hits + scores[s].misses}" for s in SEVERITIES)
        false = max(scores[s].false_alarms for s in SEVERITIES)
        print(f"| {fault.name} | {fault.analyzer} | {f1} | {counts} | {false} | {len(chosen)} |", flush=True)


def clean_files(data: Path) -> list[Path]:
    """Every real clip of the shared data that decodes and is no test pattern."""
    patterns = (
        "av1_video",
        "bt709_full_range",
        "h264_10bits",
        "h265_",
        "counter",
        "delayed_start",
        "silent-black",
        "invalid",
    )
    suffixes = (".mp4", ".mkv", ".webm", ".avi", ".ts", ".3gp")
    found: list[Path] = []
    for group in ("media-edge", "video", "shots"):
        found += [
            p for p in sorted((data / group).rglob("*")) if p.suffix in suffixes and not p.name.startswith(patterns)
        ]
    return found


class Alarms:
    """False alarms over clean material."""

    def __init__(self, verbose: bool) -> None:
        self.seconds = self.distinct = 0.0
        self.kinds: Counter[str] = Counter()
        self.true: Counter[str] = Counter()
        self._verbose = verbose

    def add(self, name: str, found: dict[str, list[Found]], seconds: float, *, distinct: bool = True) -> None:
        self.seconds += seconds
        self.distinct += seconds if distinct else 0.0
        for finding in (f for spans in found.values() for f in spans if f.kind not in INFORMATIVE):
            if finding.kind in TRUE_FINDINGS.get(name, ()):
                self.true[finding.kind] += 1
                continue
            self.kinds[finding.kind] += 1
            if self._verbose:
                print(
                    f"    alarm: {name}, {finding.start:.2f}-{finding.end:.2f} s, {finding.kind}: {finding.message}",
                    flush=True,
                )

    def report(self, what: str) -> None:
        hours = self.seconds / 3600
        print(f"\n{what}: {self.seconds / 60:.1f} minutes ({hours:.2f} h), {self.distinct / 60:.1f} of them distinct")
        print(f"false alarms of all detectors: {sum(self.kinds.values())}; by kind: {dict(self.kinds) or 'none'}")
        if self.true:
            print(f"findings that are true of these clips: {dict(self.true)}")


def false_alarms(sources: Sources, photographs: int, folder: Path, *, verbose: bool) -> None:
    real, moving = Alarms(verbose), Alarms(verbose)
    seen: set[str] = set()
    for path in clean_files(sources.data):
        try:
            found, outcome = watch(path, detectors())
        except MediaError as error:
            print(f"    not counted: {error}")
            continue
        title = path.stem.split("_")[0]
        real.add(path.name, found, outcome.media.duration_seconds or 0.0, distinct=title not in seen)
        seen.add(title)
    real.report("real clips, as they are")
    held_out = sources.photographs("held out")
    clips: list[Clip] = [*held_out, *sources.more_photographs()][:photographs]
    for clip in clips:
        path = folder / "clean.mp4"
        write_file(path, clip.frame, CLEAN_SECONDS * FPS, crf=23)
        moving.add(clip.name, watch(path, detectors())[0], CLEAN_SECONDS)
    moving.report("photographs under a moving camera")


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MEDIAML_SHARED_DATA", "../shared/data")))
    parser.add_argument("--split", choices=["tuning", "held out"], default="held out")
    parser.add_argument("--only", default="", help="names of faults, comma-separated")
    parser.add_argument("--films", type=int, default=6, help="real clips to inject faults into")
    parser.add_argument(
        "--photographs", type=int, default=5, help="photographs under a moving camera to inject faults into"
    )
    parser.add_argument(
        "--alarms", type=int, default=150, help="photographs to count false alarms on, 12 s each; 0 for none"
    )
    parser.add_argument("--no-speed", action="store_true")
    parser.add_argument("--verbose", action="store_true", help="print each miss and each false alarm")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    sources = Sources(asked.data)
    wanted = [n.strip() for n in asked.only.split(",") if n.strip()]
    faults = [f for f in FAULTS if not wanted or f.name in wanted]
    clips = sources.films(asked.split)[: asked.films] + sources.photographs(asked.split, asked.photographs)
    with tempfile.TemporaryDirectory(prefix="mediaml-detectors-") as folder:
        if clips:
            f1_table(faults, clips, Path(folder), verbose=asked.verbose)
        if asked.alarms:
            false_alarms(sources, asked.alarms, Path(folder), verbose=asked.verbose)
        if not asked.no_speed:
            speed(sources, Path(folder))


if __name__ == "__main__":
    main()

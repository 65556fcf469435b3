"""Flat memory: a film of three hours with the default set, and many small files, with resident memory and handles watched.

    OMP_NUM_THREADS=1 python -m benchmarks.memory                     # a short look: two minutes of film, 300 files
    OMP_NUM_THREADS=1 python -m benchmarks.memory --film              # 3 h of 1080p at 2 frames/s: 21,600 frames, long
    OMP_NUM_THREADS=1 python -m benchmarks.memory --film --minutes 5  # the same, shorter
    OMP_NUM_THREADS=1 python -m benchmarks.memory --files 10000       # ten thousand stills and clips, one worker

The film (film.py) has a low frame rate, so that three hours of timeline, with all that is held until a file is committed,
cost the analysis of 21,600 frames; sound is at its full rate. Memory is the resident set of each process (bar for the film:
1.5 GB), mapped library code included, sampled once a second; `--csv` keeps the samples.
"""

from __future__ import annotations

import argparse
import csv
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.film import make_film

FPS = 2
SAMPLE_SECONDS = 1.0
PLACE = Path(tempfile.gettempdir()) / "mediaml-benchmarks"


class Sample(NamedTuple):
    """One process at one moment. `role` is "main" for the process started, "worker" for those below it."""

    seconds: float
    process: int
    role: str
    resident_bytes: int
    anonymous_bytes: int
    handles: int


@dataclass(slots=True)
class Watch:
    """Memory and open handles of a process and of all below it, over time."""

    process: int
    kept: Path | None = None  # where every sample is written as it is taken
    samples: list[Sample] = field(default_factory=list)

    def look(self, began: float) -> None:
        now = time.monotonic() - began
        for one in _family(self.process):
            resident, anonymous = _memory(one)
            if resident:
                role = "main" if one == self.process else "worker"
                self._add(Sample(now, one, role, resident, anonymous, _handles(one)))

    def _add(self, sample: Sample) -> None:
        if self.kept is not None:
            with self.kept.open("a" if self.samples else "w", newline="") as file:
                rows = csv.writer(file)
                rows.writerows([sample] if self.samples else [Sample._fields, sample])
        self.samples.append(sample)

    def of(self, role: str) -> list[Sample]:
        """The samples of the main process, or of the largest worker."""
        mine = [s for s in self.samples if s.role == role]
        if not mine:
            return []
        largest = max(mine, key=lambda s: s.resident_bytes).process
        return [s for s in mine if s.process == largest]


def _family(process: int) -> list[int]:
    """The process and all below it."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return found


def _memory(process: int) -> tuple[int, int]:
    """(resident, of it anonymous) bytes; (0, 0) for a process that is gone."""
    try:
        pages = [int(n) for n in Path(f"/proc/{process}/statm").read_text().split()]
    except (OSError, ValueError):
        return 0, 0
    size = os.sysconf("SC_PAGE_SIZE")
    return pages[1] * size, (pages[1] - pages[2]) * size


def _handles(process: int) -> int:
    try:
        return len(list(Path(f"/proc/{process}/fd").iterdir()))
    except OSError:
        return 0


def small_files(folder: Path, count: int) -> Path:
    """`count` files of a few kilobytes: stills, clips and sounds, no two alike."""
    from PIL import Image

    from tests.clips import gradient, make_clip, sine

    folder.mkdir(parents=True)
    clip = make_clip(folder / "clip.mp4", 3, audio=sine(0.1)).read_bytes()
    tone = make_clip(folder / "tone.wav", 0, audio=sine(0.05), audio_codec="pcm_s16le").read_bytes()
    Image.fromarray(gradient(1)).save(folder / "still.png")
    still = (folder / "still.png").read_bytes()
    for i in range(count):
        kind, data = (("png", still), ("mp4", clip), ("wav", tone))[i % 3]
        (folder / f"{i:06d}.{kind}").write_bytes(data + i.to_bytes(4, "big"))  # trailing bytes make another content
    return folder


def watched(arguments: list[str], kept: Path | None) -> Watch:
    """Runs `mediaml analyze` and watches it."""
    command = [sys.executable, "-m", "mediaml", "analyze", *arguments, "--quiet", "--no-derive", "--workers", "1"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    watch, began = Watch(process.pid, kept), time.monotonic()
    while process.poll() is None:
        watch.look(began)
        time.sleep(SAMPLE_SECONDS)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"exit code {process.returncode}; {used.ru_utime + used.ru_stime:.0f} CPU s, load {os.getloadavg()[0]:.0f}")
    if process.returncode > 1:
        sys.exit(process.returncode)
    return watch


def show(title: str, watch: Watch, parts: int = 6) -> None:
    """Peaks of each part of the run, so that growth shows."""
    print(f"\n{title}: {watch.samples[-1].seconds:.0f} s of wall time\n")
    print("| |" + "".join(f" part {i + 1} of {parts} |" for i in range(parts)) + " growth |")
    print("|---" * (parts + 2) + "|")
    for role in ("worker", "main"):
        samples = watch.of(role)
        size = max(1, len(samples) // parts)
        groups = [g for g in (samples[i * size : (i + 1) * size] for i in range(parts)) if g]
        for name, give in MEASURES.items():
            peaks = [max(map(give, g)) for g in groups]
            cells = "".join(f" {p:.3f} |" if isinstance(p, float) else f" {p} |" for p in peaks)
            print(f"| {role}: {name} |{cells} {peaks[-1] - peaks[min(1, len(peaks) - 1)]:+.3f} |", flush=True)


MEASURES: dict[str, Callable[[Sample], float]] = {
    "peak GB resident": lambda s: s.resident_bytes / 1e9,
    "of it anonymous": lambda s: s.anonymous_bytes / 1e9,
    "most handles": lambda s: s.handles,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", action="store_true")
    parser.add_argument("--minutes", type=int, default=180)
    parser.add_argument("--fps", type=int, default=FPS)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--analyzers", default="", help="comma-separated; the default set if empty")
    parser.add_argument("--csv", type=Path, help="keep every sample there")
    given = parser.parse_args()
    if not given.film and not given.files:  # a short look at both
        given.film, given.minutes, given.files = True, 2, 300
    chosen = ["-a", given.analyzers] if given.analyzers else []
    place = Path(tempfile.mkdtemp(prefix="mediaml-memory-"))
    try:
        if given.film:
            path = make_film(PLACE / f"film-{given.minutes}min-{given.fps}fps.mkv", given.minutes, given.fps)
            watch = watched([str(path), "-o", str(place / "film"), *chosen], given.csv)
            show(f"{given.minutes} min of 1080p at {given.fps} frames/s", watch)
        if given.files:
            media = small_files(place / "media", given.files)
            watch = watched([str(media), "-o", str(place / "files"), *chosen], given.csv)
            show(f"{given.files} small files", watch)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()

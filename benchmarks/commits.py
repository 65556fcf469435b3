"""A lake of many commits: time, size and memory of opening, reading and committing, before and after `mediaml lake compact`.

    OMP_NUM_THREADS=1 python -m benchmarks.commits                  # 10,000 commits: several CPU minutes
    OMP_NUM_THREADS=1 python -m benchmarks.commits --commits 1000

Every commit is one media with a second of per-frame rows and two vectors: two parts, staged and committed by the code that
`mediaml analyze` uses. Opening is done by a new `Lake`, whose catalogue is read from the newest checkpoint and the commits
after it. CPU seconds of the process; memory is anonymous resident memory of this process.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mediaml.tables import Lake
from tests.unit.lakes import luma, media_id, vectors

QUERY = "SELECT count(*), avg(luma_mean) FROM frames_wide"


def anonymous_bytes() -> int:
    """Of this process, resident."""
    pages = [int(n) for n in Path("/proc/self/statm").read_text().split()]
    return (pages[1] - pages[2]) * os.sysconf("SC_PAGE_SIZE")


def cost(name: str, work: Callable[[], object]) -> None:
    """Does the work and prints a row."""
    cpu, wall = time.process_time(), time.monotonic()
    work()
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    print(f"| {name} | {cpu:.3f} | {wall:.2f} | {anonymous_bytes() / 1e6:.0f} |", flush=True)


def size(folder: Path) -> str:
    """Files and bytes of a folder."""
    sizes = [p.stat().st_size for p in folder.rglob("*") if p.is_file()]
    return f"{len(sizes):,} files, {sum(sizes) / 1e6:.1f} MB"


def commit(lake: Lake, number: int) -> None:
    """One media."""
    found = np.random.default_rng(number).random((2, 64), np.float32)
    lake.commit(
        [lake.stage(media_id(str(number)), analyzers=[luma(25, value=number / 1e5), vectors(found, "e@1", "m")])]
    )


def fill(lake: Lake, count: int) -> None:
    """Commits, with their cost and this process's memory by tenths."""
    print("| commits | CPU ms a commit | wall ms a commit | MB of this process |\n|---|---|---|---|", flush=True)
    step = max(1, count // 10)
    for first in range(0, count, step):
        cpu, wall = time.process_time(), time.monotonic()
        last = min(first + step, count)
        for number in range(first, last):
            commit(lake, number)
        each = 1e3 / (last - first)
        cpu, wall = (time.process_time() - cpu) * each, (time.monotonic() - wall) * each
        print(f"| to {last} | {cpu:.2f} | {wall:.1f} | {anonymous_bytes() / 1e6:.0f} |", flush=True)


def look(path: Path, number: int) -> None:
    """What a user of the lake does: open it, read one media, read all, commit once more."""
    lake = Lake.open(path)
    cost("open (fold the catalogue)", lambda: lake.keys(media_id("0")))
    cost("rows of one media", lambda: lake.rows_of("frames", [media_id("7")], ["pts_seconds", "luma_mean"]))
    cost("mean of a column over all media", lambda: lake.query(QUERY))
    cost("the same again", lambda: lake.query(QUERY))
    cost("all vectors", lake.vectors)
    cost("one more commit", lambda: commit(lake, number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--commits", type=int, default=10_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediaml-commits-") as folder:
        path = Path(folder) / "lake"
        lake = Lake.open(path, create=True)
        fill(lake, given.commits)
        heading = "\n| | CPU s | wall s | MB of this process |\n|---|---|---|---|"
        print(f"\nbefore: {size(path)}, of it the manifest {size(path / 'manifest')}{heading}")
        look(path, given.commits)
        cost("compact", lake.compact)
        print(f"\nafter compaction: {size(path)}{heading}")
        look(path, given.commits + 1)
        cost("collect garbage", lambda: lake.collect_garbage(0.0))
        print(f"\nafter garbage collection: {size(path)}; load {os.getloadavg()[0]:.0f}")


if __name__ == "__main__":
    main()

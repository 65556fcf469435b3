"""The point-in-time join at size: 1 M events x 10 k titles x 512-d, nine versions a title.

Bar: under 60 s and 4 GB on 2 cores.

    python benchmarks/asof.py [--events 1000000] [--titles 10000] [--versions 9] [--dimensions 512] [--folder /tmp/asof]

The lake and the log are made first. The join then runs in a process of its own, from reading the log to the finished Parquet
file with the vectors in it; time and peak memory are that process's.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mediaml.rec.behaviour import read_events
from mediaml.rec.joining import join_events
from mediaml.spec import Column
from mediaml.tables import AnalyzerRows, Lake
from mediaml.tables.asof import AsOfRule

START = datetime(2024, 1, 1, tzinfo=UTC)
SECONDS = 365 * 86_400


def make_lake(folder: Path, titles: int, versions: int, dimensions: int) -> None:
    """`versions` builds, each with a row a title: some late, some backfilled."""
    lake = Lake.open(folder / "lake", create=True)
    rng = np.random.default_rng(0)
    columns = (
        Column("digest", "string", "hash", "of the row"),
        Column("has_vector", "bool", "1", "mask"),
        Column("vector_x", "float32", "1", "embedding", length=dimensions, nullable=True),
    )
    for version in range(versions):
        valid = rng.integers(0, SECONDS, titles)
        computed = START + timedelta(seconds=(version + 1) * SECONDS / (versions + 1))
        rows = {
            "media_id": ["m"] * titles,
            "valid_from": [START + timedelta(seconds=int(s)) for s in valid],
            "title_id": [f"title{i:06d}" for i in range(titles)],
            "feature_set": ["default"] * titles,
            "deleted": rng.random(titles) < 0.01,
            "media_ids": ["[]"] * titles,
            "provenance": ["{}"] * titles,
            "digest": [f"{version:04d}{i:012d}" for i in range(titles)],
            "has_vector": np.ones(titles, bool),
            "vector_x": rng.standard_normal((titles, dimensions)).astype(np.float32),
        }
        block = AnalyzerRows("title_features@1", "", {"features": columns}, {"features": rows})
        lake.replace_derived(f"features:default:{version}", [block], computed_at=computed)


def make_log(folder: Path, events: int, titles: int) -> None:
    """Popularity as 1 / rank; times in no order."""
    rng = np.random.default_rng(1)
    weights = 1 / np.arange(1, titles + 1)
    chosen = rng.choice(titles, events, p=weights / weights.sum())
    moments = int(START.timestamp() * 1e6) + rng.integers(0, SECONDS * 1_000_000, events)
    log = pa.table(
        {
            "user": pa.array([f"user{u}" for u in rng.integers(0, 50_000, events)]),
            "title": pa.array([f"title{t:06d}" for t in chosen]),
            "time": pa.array(moments).cast(pa.timestamp("us", "UTC")),
            "kind": pa.array(rng.choice(["play", "click"], events)),
            "dwell_seconds": rng.exponential(60, events),
        }
    )
    pq.write_table(log, folder / "events.parquet")


def join(folder: Path) -> None:
    """The measured part; prints JSON."""
    start = time.perf_counter()
    lake = Lake.open(folder / "lake")
    events = read_events(folder / "events.parquet")
    read = time.perf_counter()
    report = join_events(lake, events, folder / "train.parquet", AsOfRule("known"))
    end = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"read_seconds": read - start, "join_seconds": end - read, "total_seconds": end - start, "peak_bytes": peak}
    found["cpu_seconds"] = time.process_time()
    print(json.dumps(found | {"rows": report.rows_written, "statuses": dict(report.statuses)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("events", 1_000_000), ("titles", 10_000), ("versions", 9), ("dimensions", 512)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--folder", type=Path, default=Path("/tmp/mediaml-asof"))
    parser.add_argument("--join-only", action="store_true")
    args = parser.parse_args()
    if args.join_only:
        join(args.folder)
        return
    shutil.rmtree(args.folder, ignore_errors=True)
    args.folder.mkdir(parents=True)
    make_lake(args.folder, args.titles, args.versions, args.dimensions)
    make_log(args.folder, args.events, args.titles)
    command = [sys.executable, __file__, "--join-only", "--folder", str(args.folder)]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    size = (args.folder / "train.parquet").stat().st_size
    print(f"{found['rows']} rows, {size / 1e9:.2f} GB: {found['statuses']}")
    print(f"read and check {found['read_seconds']:.1f} s, join and write {found['join_seconds']:.1f} s")
    print(f"total {found['total_seconds']:.1f} s (bar 60), {found['cpu_seconds']:.1f} CPU s")
    print(f"peak {found['peak_bytes'] / 1e9:.2f} GB (bar 4)")
    shutil.rmtree(args.folder)


if __name__ == "__main__":
    main()

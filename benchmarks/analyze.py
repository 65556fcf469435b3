"""What `mediaml analyze` costs: by stage, and how it grows with duration, resolution, files and analyzers.

    OMP_NUM_THREADS=1 python -m benchmarks.analyze                       # all parts; tens of CPU minutes
    OMP_NUM_THREADS=1 python -m benchmarks.analyze --part stages --seconds 20
    OMP_NUM_THREADS=1 python -m benchmarks.analyze --part lake           # queries before and after compaction; one minute

CPU seconds of this process, all threads (decode runs in a thread of its own). "decode" is a bare PyAV loop, "decode and
views" MediaStream with every view that the analyzers ask for and nobody looking at them, "write" checking, encoding and
syncing the parts; the analyzers' seconds are CPU time inside each. The busy share is the wall time that their thread spends
inside analyzers, over the wall time of the file: 100 % says that decoding never keeps them waiting. Clips are test patterns
with noise, made by ffmpeg and kept in the temporary directory.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import torch

from mediaml.analyzers.base import Analyzer, select
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.engine import runner
from mediaml.engine.run import applicable, plan_media, run_media
from mediaml.engine.runner import limit_threads
from mediaml.engine.work import FileTask, identify, outcome_errors, outcome_rows, stage_outcome
from mediaml.tables import Lake

PLACE = Path(tempfile.gettempdir()) / "mediaml-benchmarks"
CPU = torch.device("cpu")


def clip(seconds: int, height: int) -> Path:
    """H.264 at 25 frames/s, 16:9, with stereo sound and a cut every four seconds."""
    import imageio_ffmpeg

    path = PLACE / f"analyze-{height}p-{seconds}s.mp4"
    if not path.exists():
        PLACE.mkdir(exist_ok=True)
        size = f"{height * 16 // 9 // 2 * 2}x{height}"
        source = f"testsrc2=s={size}:r=25:d={seconds},noise=alls=6:allf=t,hue=h='90*floor(t/4)'"
        inputs = ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", f"anoisesrc=d={seconds}:a=0.1"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *inputs]
        command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "26", "-c:a", "aac", "-ac", "2"]
        subprocess.run([*command, str(path)], check=True)
    return path


@dataclass(slots=True)
class Cost:
    """CPU and wall seconds of a piece of work."""

    cpu: float
    wall: float
    value: Any = None

    @classmethod
    def of(cls, work: Callable[[], Any]) -> Cost:
        cpu, wall = time.process_time(), time.perf_counter()
        value = work()
        return cls(time.process_time() - cpu, time.perf_counter() - wall, value)


def bare_decode(path: Path) -> int:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        return sum(1 for _ in container.decode(stream))


def ready(names: Sequence[str] | None) -> list[Analyzer]:
    """Analyzers with their models loaded."""
    made = [cls() for cls in select(names) if not cls.spec.needs_reference]
    for analyzer in made:
        analyzer.setup(CPU)
    return made


def views_only(path: Path, analyzers: Sequence[Analyzer]) -> int:
    media = probe(path)
    plan = plan_media(media, [a for a in analyzers if applicable(media, a)])
    with MediaStream(path, media, plan) as stream:
        return sum(len(delivery.batch) for delivery in stream)


def write(path: Path, outcome: Any, folder: Path) -> int:
    """Stages and commits; the bytes of the tables."""
    lake = Lake.open(folder, create=True)
    staged = stage_outcome(
        lake, identify(FileTask(path)), outcome.media, outcome_rows(outcome), outcome_errors(outcome)
    )
    lake.commit([staged])
    return sum(part.size_bytes for part in staged.parts)


@contextmanager
def cpu_inside_analyzers() -> Iterator[None]:
    """`Runner` counts the CPU time of its thread instead of wall time: what counts on a machine with other work."""
    whole = runner.time
    runner.time = SimpleNamespace(perf_counter=time.thread_time)  # type: ignore[assignment]
    try:
        yield
    finally:
        runner.time = whole


def stages(path: Path, analyzers: Sequence[Analyzer]) -> None:
    """The table of one file."""
    decode = Cost.of(lambda: bare_decode(path))
    views = Cost.of(lambda: views_only(path, analyzers))
    timed = Cost.of(lambda: run_media(path, probe(path), analyzers, device=CPU))
    with cpu_inside_analyzers():
        whole = Cost.of(lambda: run_media(path, probe(path), analyzers, device=CPU))
    with tempfile.TemporaryDirectory() as folder:
        written = Cost.of(lambda: write(path, whole.value, Path(folder) / "lake"))
    frames, spent = decode.value, whole.value.analyzer_seconds
    total = whole.cpu + written.cpu
    print(f"\n{path.name}: {frames} frames, default set of {len(spent)} analyzers; load {os.getloadavg()[0]:.0f}\n")
    print("| stage | CPU s | share | source frames a second and core |\n|---|---|---|---|")
    rows = [("decode (bare)", decode.cpu), ("decode and views", views.cpu), ("write", written.cpu)]
    rows += [("whole file", total)]
    for name, seconds in rows:
        print(f"| {name} | {seconds:.2f} | {seconds / total:.1%} | {frames / seconds if seconds else 0:.0f} |")
    print("\n| analyzer | CPU s | share |\n|---|---|---|")
    for name, seconds in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"| {name} | {seconds:.2f} | {seconds / total:.1%} |")
    inside = sum(timed.value.analyzer_seconds.values())
    print(
        f"\nthe thread of the analyzers is inside them for {inside / timed.wall:.0%} of the {timed.wall:.1f} s of wall time"
    )
    seconds = frames / 25
    print(f"tables: {written.value / 1e3:.0f} kB, {written.value / seconds * 3600 / 1e6:.0f} MB an hour of media")


def growth(title: str, cases: Sequence[tuple[str, Callable[[], Cost], float]]) -> None:
    """CPU seconds of each case, and of one unit of it."""
    print(f"\n| {title} | CPU s | CPU s a unit |\n|---|---|---|")
    for name, work, units in cases:
        cost = work()
        print(f"| {name} | {cost.cpu:.2f} | {cost.cpu / units:.3f} |", flush=True)


def analysis(path: Path, analyzers: Sequence[Analyzer], times: int = 1) -> Callable[[], Cost]:
    def work() -> None:
        for _ in range(times):
            run_media(path, probe(path), analyzers, device=CPU)

    return lambda: Cost.of(work)


def lake_queries(files: int) -> None:
    """Opening and reading a lake of many small parts, before and after compaction."""
    from tests.unit.lakes import luma, media_id, vectors

    with tempfile.TemporaryDirectory() as folder:
        lake = Lake.open(Path(folder) / "lake", create=True)
        for i in range(files):
            rows = [luma(250), vectors(torch.rand(10, 64).numpy(), "e@1", "m")]
            lake.commit([lake.stage(media_id(str(i)), analyzers=rows)])
        print(f"\n| {files} files | CPU s | wall s |\n|---|---|---|")

        def read() -> None:
            opened = Lake.open(lake.path)
            opened.query("SELECT media_id, avg(luma_mean) FROM frames_wide GROUP BY ALL")
            opened.vectors()

        for name, work in (("read, uncompacted", read), ("compact", lake.compact), ("read, compacted", read)):
            cost = Cost.of(work)
            print(f"| {name} | {cost.cpu:.2f} | {cost.wall:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = ("stages", "duration", "resolution", "files", "analyzers", "lake")
    parser.add_argument("--part", choices=parts, action="append")
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--height", type=int, default=720)
    parser.add_argument("--analyzers", default="", help="comma-separated; the default set if empty")
    given = parser.parse_args()
    wanted, s, h = given.part or parts, given.seconds, given.height
    limit_threads(1)
    if "lake" in wanted:
        lake_queries(500)
    if set(wanted) == {"lake"}:
        return
    made = ready([n for n in given.analyzers.split(",") if n] or None)
    analysis(clip(2, h), made)()  # warm up
    if "stages" in wanted:
        stages(clip(s, h), made)
    if "duration" in wanted:
        growth("duration (s)", [(str(d), analysis(clip(d, h), made), d) for d in (s // 2, s, 2 * s)])
    if "resolution" in wanted:
        sizes = [(x, x * x * 16 / 9 / 1e6) for x in (360, 720, 1080)]
        growth("height (megapixels a unit)", [(f"{x}p", analysis(clip(s // 2, x), made), mp) for x, mp in sizes])
    if "files" in wanted:
        growth("files", [(str(n), analysis(clip(s // 4, h), made, n), n) for n in (1, 2, 4)])
    if "analyzers" in wanted:
        counts = [n for n in (1, 4, 8, len(made)) if n <= len(made)]
        growth("analyzers", [(str(n), analysis(clip(s // 4, h), made[:n]), n) for n in counts])


if __name__ == "__main__":
    main()

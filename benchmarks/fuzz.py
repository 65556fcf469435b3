"""Mutated media, vocabularies, profiles and lakes against the code that reads them, under a guard of time and memory.

    python -m benchmarks.fuzz --cases 5000                     # the full number; some CPU minutes
    python -m benchmarks.fuzz --first 1234 --cases 1 --keep d  # one case again, its input kept in d

Every case is a number: seed and mutation follow from it (tests/fuzz). A worker takes one case after another until it dies or
is ended; the parent watches its CPU time and resident memory. A case ends well ("ok") or in a typed error. Findings are:
an untyped exception, nothing decoded without an error, more CPU or memory than allowed, a case that hangs. A decoder fault
(a signal inside FFmpeg) ends the worker and is counted apart: in a run it costs the file in hand (`mediaml.engine.local`).
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.seeds import make_seeds
from tests.fuzz.worker import case, load

CPU_SECONDS = 20.0
WALL_SECONDS = 180.0
MEMORY_BYTES = 1 << 30
"""Above what the worker needs after its first cases."""
ROOT = Path(__file__).resolve().parents[1]


@dataclass(slots=True)
class Report:
    """What came of the cases."""

    cases: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    faults: list[dict[str, Any]] = field(default_factory=list)
    findings: list[dict[str, Any]] = field(default_factory=list)
    peak_bytes: int = 0
    cpu_seconds: float = 0.0

    def plain(self) -> dict[str, Any]:
        return {
            "cases": self.cases,
            "ended": dict(self.ended.most_common()),
            "decoder_faults": self.faults,
            "findings": self.findings,
            "peak_megabytes": round(self.peak_bytes / 1e6),
            "cpu_seconds": round(self.cpu_seconds, 1),
        }


class Worker:
    """One process at work, and what it uses."""

    def __init__(self, seeds: Path, work: Path) -> None:
        command = [sys.executable, "-m", "tests.fuzz.worker", str(seeds), str(work)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT, env=environment)
        self.base_bytes = 0

    def cpu_seconds(self) -> float:
        fields = self._proc("stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") if fields else 0.0

    def memory_bytes(self) -> int:
        fields = self._proc("statm").split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if fields else 0

    def _proc(self, name: str) -> str:
        try:
            return Path(f"/proc/{self.process.pid}/{name}").read_text()
        except OSError:
            return ""

    def run(self, number: int, report: Report) -> dict[str, Any] | str:
        """The worker's answer, or how it ended."""
        assert self.process.stdin is not None and self.process.stdout is not None
        began, cpu = time.monotonic(), self.cpu_seconds()
        try:
            self.process.stdin.write(f"{number}\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        while True:
            ready, _, _ = select.select([self.process.stdout], [], [], 0.05)
            if ready:
                line = self.process.stdout.readline()
                return json.loads(line) if line else self._ended()
            used = self.memory_bytes()
            report.peak_bytes = max(report.peak_bytes, used)
            if self.base_bytes and used > self.base_bytes + MEMORY_BYTES:
                return self._stop(f"memory: {used / 1e6:.0f} MB")
            if self.base_bytes and self.cpu_seconds() - cpu > CPU_SECONDS:
                return self._stop(f"time: more than {CPU_SECONDS:g} CPU s")
            if time.monotonic() - began > WALL_SECONDS:
                return self._stop(f"hang: more than {WALL_SECONDS:g} s")

    def _ended(self) -> str:
        return f"signal: worker ended with code {self.process.wait()}"

    def _stop(self, why: str) -> str:
        self.process.kill()
        self.process.wait()
        return why

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()


def fuzz(first: int, cases: int, keep: Path | None = None) -> Report:
    """Runs the cases `first` to `first + cases - 1`."""
    report = Report()
    with tempfile.TemporaryDirectory(prefix="mediaml-fuzz-") as place:
        seeds, work = Path(place) / "seeds", Path(place) / "work"
        seeds.mkdir()
        work.mkdir()
        for seed in make_seeds(Path(place) / "made"):
            (seeds / f"{seed.kind}__{seed.name}").write_bytes(seed.data)
        worker = Worker(seeds, work)
        for number in range(first, first + cases):
            got = worker.run(number, report)
            report.cases += 1
            wrong = _take(report, number, got)
            if wrong and keep is not None:
                seed, data = case(load(seeds), number)
                keep.mkdir(parents=True, exist_ok=True)
                (keep / f"{number}-{seed.name}").write_bytes(data)
            if isinstance(got, str):
                report.cpu_seconds += worker.cpu_seconds()
                worker.close()
                worker = Worker(seeds, work)
            elif not worker.base_bytes:
                worker.base_bytes = worker.memory_bytes()
        report.cpu_seconds += worker.cpu_seconds()
        worker.close()
    return report


def _take(report: Report, number: int, got: dict[str, Any] | str) -> bool:
    """Counts one case; whether its input is worth keeping."""
    if isinstance(got, str):
        fault = {"case": number, "how": got}
        (report.faults if got.startswith("signal") else report.findings).append(fault)
        report.ended[got.split(":")[0]] += 1
        return True
    report.ended[got["ended"]] += 1
    if got["finding"]:
        report.findings.append(got)
    return bool(got["finding"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the inputs of findings")
    given = parser.parse_args()
    report = fuzz(given.first, given.cases, given.keep)
    print(json.dumps(report.plain(), indent=2))
    sys.exit(1 if report.findings else 0)


if __name__ == "__main__":
    main()

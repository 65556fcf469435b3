"""Exactly once: runs that die at random moments, and what the lake holds after the next run.

    python -m benchmarks.kill --times 50          # SIGKILL at 50 random moments; minutes
    python -m benchmarks.kill --commands 3        # the same on `mediaml analyze -w 1` as a user starts it

Each time: a run into a new lake is killed at a random moment of the length of an undisturbed run; the lake must then be
whole (`check_lake`); the same run is started again; now the tables must equal an undisturbed run's, what was committed
before must not have been computed again, and every result must stand in exactly one commit. Runs are forked from one
process that has imported everything, so that a trial costs its decoding and not its imports.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mediaml.analyzers.base import registry
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import SilentProgress
from mediaml.engine.settings import Settings
from mediaml.tables import Lake
from mediaml.tables.check import check_lake

ANALYZERS = ("siti", "silence")
FILES = 4
VOLATILE = ("computed_at", "seen_at", "run_id", "started_at", "finished_at")
_FORK = multiprocessing.get_context("fork")


def make_media(folder: Path) -> Path:
    """Tiny clips, every one different, and one file that must fail."""
    from tests.clips import gradient, make_clip, sine

    folder.mkdir(parents=True)
    for i in range(FILES):
        make_clip(folder / f"{i}.mp4", lambda n, i=i: gradient(n + 40 * i), 8 + i, audio=sine(0.3, 300.0 + i))
    (folder / "broken.mp4").write_bytes(b"no film")
    return folder


def analyze(media: Path, lake: Path) -> dict[str, int]:
    """One run in this process: (analyzed, unchanged, failed)."""
    settings = Settings(lake=lake, analyzers=ANALYZERS, workers=0, device="cpu")
    _, summary = run_analysis(discover(media), settings, derive=False, progress=SilentProgress())
    return {"analyzed": summary.analyzed, "unchanged": summary.unchanged, "failed": summary.failed}


def contents(lake: Path) -> dict[str, str]:
    """Table -> digest of its visible rows, less what differs between any two runs (times, run ids)."""
    opened = Lake.open(lake)
    found = {}
    for info in opened.tables():
        if info.name == "runs":
            continue
        columns = [c.name for c in opened.describe(info.name) if c.name not in VOLATILE]
        rows = sorted(repr(sorted(r.items())) for r in opened.table(info.name, columns).to_pylist())
        found[info.name] = hashlib.sha256("\n".join(rows).encode()).hexdigest()
    return found


def commits(lake: Path) -> Counter[tuple[str, str]]:
    """(media, analyzer) -> number of commits that hold a result of it."""
    found: Counter[tuple[str, str]] = Counter()
    for file in sorted(lake.glob("manifest/commits/*/*.json")):
        for unit in json.loads(file.read_bytes()).get("units", ()):
            found.update((unit["media_id"], key[0]) for key in unit["keys"])
    return found


def state(lake: Path) -> dict[str, Any]:
    """What a reader sees now, and the problems of the lake."""
    if not (lake / "manifest" / "format.json").exists():
        return {"media": 0, "problems": []}
    opened = Lake.open(lake)
    problems = [f"{p.kind} {p.where}: {p.message}" for p in check_lake(opened) if p.severity == "error"]
    whole = {m for m, _ in commits(lake)}
    return {"media": len(whole), "problems": problems}


def in_child(work: Callable[..., Any], *given: Any) -> Any:
    """The result of `work`, computed in a forked process; raises RuntimeError where it died."""
    ours, theirs = _FORK.Pipe(duplex=False)

    def body() -> None:
        theirs.send(work(*given))

    process = _FORK.Process(target=body)
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        raise RuntimeError(f"{work.__name__} died") from None
    finally:
        process.join()


def killed_run(media: Path, lake: Path, after_seconds: float) -> bool:
    """Starts a run and kills it; whether it was still at work."""
    process = _FORK.Process(target=analyze, args=(media, lake))
    process.start()
    process.join(after_seconds)
    alive = process.is_alive()
    if process.pid is not None and alive:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return alive


def killed_command(media: Path, lake: Path, after_seconds: float) -> bool:
    """`mediaml analyze` with a worker process, as a user starts it: its whole group is killed."""
    command = [sys.executable, "-m", "mediaml", "analyze", str(media), "-o", str(lake), "-q", "-w", "1", "--no-derive"]
    process = subprocess.Popen([*command, "-a", ",".join(ANALYZERS)], start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        process.wait(after_seconds)
        return False
    except subprocess.TimeoutExpired:
        process.kill()  # workers see their parent's socket close
        process.wait()
        return True


def trial(
    media: Path, lake: Path, kill: Callable[[Path, Path, float], bool], moment: float, expected: dict
) -> list[str]:
    """One kill and one rerun: what was not as it must be."""
    alive = kill(media, lake, moment)
    before = in_child(state, lake)
    wrong = [f"after the kill: {p}" for p in before["problems"]]
    done = in_child(analyze, media, lake)
    after = in_child(state, lake)
    wrong += [f"after the rerun: {p}" for p in after["problems"]]
    if done["analyzed"] + done["unchanged"] != FILES or done["unchanged"] > before["media"]:
        wrong.append(f"{before['media']} media were committed before; the rerun says {done}")
    twice = [key for key, count in commits(lake).items() if count != 1]
    if twice:
        wrong.append(f"results in more than one commit: {twice}")
    found = in_child(contents, lake)
    wrong += [f"table {name} differs" for name in expected if found[name] != expected[name]]
    if not alive and not wrong:
        wrong += [] if done["analyzed"] == 0 else ["an undisturbed run left work to do"]
    shutil.rmtree(lake)
    return wrong


def run(times: int, kill_commands: int, seed: int) -> dict[str, Any]:
    """All trials; the report as plain data."""
    chance = random.Random(seed)
    registry()  # imports every analyzer once, here, so that the forked runs find them
    with tempfile.TemporaryDirectory(prefix="mediaml-kill-") as place:
        folder = Path(place)
        media = in_child(make_media, folder / "media")
        began = time.monotonic()
        in_child(analyze, media, folder / "undisturbed")
        length = time.monotonic() - began
        expected = in_child(contents, folder / "undisturbed")
        wrong: list[str] = []
        kinds: list[tuple[Callable[[Path, Path, float], bool], float]] = [(killed_run, length)] * times
        kinds += [(killed_command, 12 * length)] * kill_commands
        for i, (kill, longest) in enumerate(kinds):
            moment = chance.uniform(0, longest)
            found = trial(media, folder / f"lake{i}", kill, moment, expected)
            wrong += [f"trial {i}, killed after {moment:.3f} s: {w}" for w in found]
        return {"kills": len(kinds), "undisturbed_seconds": round(length, 3), "wrong": wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--commands", type=int, default=0, help="kills of the command with its worker process")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    report = run(given.times, given.commands, given.seed)
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["wrong"] else 0)


if __name__ == "__main__":
    main()

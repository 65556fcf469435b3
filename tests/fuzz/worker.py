"""Runs many cases in one process: `python -m tests.fuzz.worker SEEDS WORK`; case numbers on stdin, one JSON line each out."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from pathlib import Path

from tests.fuzz.mutate import mutate, mutate_tar
from tests.fuzz.seeds import Seed
from tests.fuzz.targets import run


def load(folder: Path) -> list[Seed]:
    """Seeds that the parent has written: KIND__NAME."""
    files = sorted(folder.iterdir())
    return [Seed(f.name.split("__")[0], f.name.split("__")[1], f.read_bytes()) for f in files]  # type: ignore[arg-type]


def case(seeds: list[Seed], number: int) -> tuple[Seed, bytes]:
    """The seed and the bytes of a case: lakes and texts come round less often than media."""
    seed = seeds[number % len(seeds)]
    change = mutate_tar if seed.kind == "lake" else mutate
    return seed, change(seed.data, number)


def main(seeds_folder: Path, work: Path) -> None:
    warnings.simplefilter("ignore")
    seeds = load(seeds_folder)
    out = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for line in sys.stdin:
        number = int(line)
        seed, data = case(seeds, number)
        path = work / seed.name
        path.write_bytes(data)
        found = {"case": number, "kind": seed.kind, "seed": seed.name, "ended": "", "finding": None}
        try:
            found["ended"] = run(seed.kind, path)
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            text = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            found |= {"ended": "finding", "finding": text[:500]}
        out.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""Cold start on real logs: Last.fm-2K with audio embeddings, MovieLens-100k with its metadata. Read in place.

OMP_NUM_THREADS=2 python -m benchmarks.cold_start                 # prints; about six minutes on two cores
OMP_NUM_THREADS=2 python -m benchmarks.cold_start --append        # and adds the figures to benchmarks/results.md
OMP_NUM_THREADS=2 python -m benchmarks.cold_start --html DIR      # and writes one proof report a log
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.blocks import Content, make_content
from mediaml.rec.evaluation import Log, make_log
from mediaml.rec.proof import Proof, ProofSettings, evaluate
from mediaml.report.proof import proof_tables, write_proof

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", ROOT.parent / "shared" / "data")) / "recsys"
TITLE_WORDS = 64


def lastfm() -> tuple[Log, Content]:
    """1,858 listeners, 1,425 artists; content: VGGish rows of the artists' music, nothing that listeners wrote."""
    folder = SHARED / "swapUniba+multimodal_lfm2k"
    rows = np.loadtxt(folder / "lfm2k.inter", skiprows=1, dtype=np.int64)
    content = make_content([("vggish", np.load(folder / "vggish.npy"))])
    return make_log(rows[:, 0], rows[:, 1], None, item_count=content.titles), content


def movielens() -> tuple[Log, Content]:
    """943 users, 1,682 films; content: genres, release year, words of the title. A rating of any height is an event."""
    folder = SHARED / "RUCAIBox+RecBole" / "dataset" / "ml-100k"
    events = np.loadtxt(folder / "ml-100k.inter", skiprows=1)
    with (folder / "ml-100k.item").open(encoding="utf-8") as file:
        films = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    place = {int(f["item_id:token"]): n for n, f in enumerate(films)}
    users, user_of = np.unique(events[:, 0], return_inverse=True)
    items = np.array([place[int(i)] for i in events[:, 1]])
    years = [re.sub(r"\D", "", f["release_year:token"]) for f in films]
    year = np.array([float(y) if y else np.nan for y in years])
    knots = np.arange(1920, 2001, 5.0)
    content = make_content(
        [
            ("genres", indicators([f["class:token_seq"].split() for f in films])),
            ("year", np.exp(-np.square((year[:, None] - knots) / 4.0))),
            ("title words", indicators([words(f["movie_title:token_seq"]) for f in films], TITLE_WORDS)),
        ]
    )
    return make_log(user_of, items, events[:, 3], len(users), len(films)), content


def words(title: str) -> list[str]:
    return re.findall(r"[a-z]{2,}", title.lower())


def indicators(lists: list[list[str]], most: int | None = None) -> NDArray[np.float32]:
    """A column a word, commonest first; rows without any are absent (NaN)."""
    counts: dict[str, int] = {}
    for row in lists:
        for word in set(row):
            counts[word] = counts.get(word, 0) + 1
    kept = sorted(counts, key=lambda w: (-counts[w], w))[:most]
    out = np.array([[float(w in row) for w in kept] for row in lists], np.float32)
    out[[not row for row in lists]] = np.nan
    return out


def bars(name: str, proof: Proof) -> list[tuple[str, float, str, bool]]:
    """(claim, measured, bar, met)."""
    cell = {k: v["whole/cold"].recall.mean for k, v in proof.cells.items()}
    found = []
    if name == "Last.fm-2K":
        cold = proof.cells["bridge_balanced"]["cold/cold"].recall.mean
        assert proof.permutation is not None
        p = proof.permutation["p"]
        warm = proof.differences["warm/warm: bridge relative to ID-only"]
        mixed = proof.differences["whole/warm: bridge (balanced) relative to ID-only among warm"]
        guarded = proof.differences["whole/warm: bridge (protective) relative to ID-only among warm"]
        found += [
            ("cold-only R@10", cold, ">= .18", cold >= 0.18),
            ("whole-catalogue cold R@10, balanced", cell["bridge_balanced"], ">= .07", cell["bridge_balanced"] >= 0.07),
            ("permutation p", p, "<= .01", p <= 0.01),
            ("warm R@10 among warm, relative to ID-only", warm.mean, "within 1 %", warm.within(-0.01, 0.01)),
            ("the same in the mixed list, protective", guarded.mean, "within 1 %", guarded.within(-0.01, 0.01)),
            ("the same in the mixed list, balanced", mixed.mean, "within 1 %", mixed.within(-0.01, 0.01)),
        ]
    else:
        value = cell["bridge_balanced"]
        found.append(("whole-catalogue cold R@10, balanced", value, ">= .10", value >= 0.10))
    return found


def section(name: str, proof: Proof, seconds: float) -> str:
    lines = [f"### {name}", ""]
    data = proof.data
    blocks = ", ".join(f"{n} ({b['columns']} columns, {b['titles']} titles)" for n, b in data["blocks"].items())
    lines += [
        f"{data['users']} users, {data['titles']} titles, {data['events']} events; content: {blocks}. {seconds:.0f} s.",
        "",
    ]
    lines += ["| claim | measured | bar | met |", "|---|---|---|---|"]
    lines += [f"| {c} | {v:.4f} | {bar} | {'yes' if met else '**no**'} |" for c, v, bar, met in bars(name, proof)]
    for table in proof_tables(proof):
        lines += ["", f"{table.title}", "", "| " + " | ".join(table.head) + " |", "|---" * len(table.head) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in table.rows]
    return "\n".join(lines) + "\n"


def heading() -> str:
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    today = datetime.now(UTC).date().isoformat()
    return (
        f"\n## Cold start\n\n{today}, {machine}, after commit {commit}, `python -m benchmarks.cold_start --append`.\n\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--append", action="store_true", help="add the figures to benchmarks/results.md")
    parser.add_argument("--html", type=Path, help="folder for the proof reports and their JSON")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--permutations", type=int, default=100)
    given = parser.parse_args()
    text = ""
    for name, read in (("Last.fm-2K", lastfm), ("MovieLens-100k", movielens)):
        log, content = read()
        began = time.perf_counter()
        settings = ProofSettings(splits=given.splits, permutations=given.permutations)
        proof = evaluate(log, content, settings, on_step=lambda s, n=name: print(f"{n}: {s}", flush=True))
        text += section(name, proof, time.perf_counter() - began) + "\n"
        if given.html:
            given.html.mkdir(parents=True, exist_ok=True)
            write_proof(proof, given.html / f"{name}.html", title=f"Cold start: {name}")
            proof.write_json(given.html / f"{name}.json")
    print(text)
    if given.append:
        target = ROOT / "benchmarks" / "results.md"
        before = target.read_text(encoding="utf-8") if target.exists() else "# Results\n"
        target.write_text(before + heading() + text, encoding="utf-8")


if __name__ == "__main__":
    main()

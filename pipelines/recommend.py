"""From media to a recommender's proof: analyze, features, point-in-time join, training, evaluation.

    python -m pipelines.recommend work/ --draw 80            # draws its own clips into work/media first
    python -m pipelines.recommend work/ --media ~/movies     # at least 40 files

The behaviour log is SYNTHETIC and says so in its file name, its column `origin` and its metadata. It is made so
that the truth is known: users like warm-coloured titles or cool ones, with a strength that the recipe then
finds again from the joined training file, and that the proof must see (and must not see in a log without the effect).
"""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

import mediaml
from mediaml.rec.behaviour import read_events
from mediaml.rec.features import build_features
from mediaml.rec.joining import join_events
from mediaml.rec.proof import Proof, ProofSettings, evaluate_files
from mediaml.report.proof import write_proof

EFFECT = 1.5
"""True log-odds of a play for one standard deviation of warmth, for a user who likes it warm."""
BASE = -1.0
FEATURE = "mean_warmth"
SHOWN = 40
"""Titles shown to each user, at random: propensity is the same for all."""


@dataclass(frozen=True, slots=True)
class Found:
    """The effect as logistic regression finds it in the joined file, and the proof on both logs."""

    effect: float
    standard_error: float
    proof: Proof
    proof_without: Proof


def recommend(work: Path, media: Path, users: int = 400, settings: ProofSettings | None = None) -> Found:
    """Runs the whole way in `work`; writes lake/, the logs, train.parquet, proof.html and proof_without_effect.html."""
    work.mkdir(parents=True, exist_ok=True)
    lake = mediaml.analyze(media, out=work / "lake", analyzers=["colour_stats"], derive=False)
    titles = write_titles(lake, work / "titles.csv")
    print("\n".join(build_features(lake, titles).report.lines()))

    found = []
    for name, effect in (("events_synthetic", EFFECT), ("events_synthetic_no_effect", 0.0)):
        log = work / f"{name}.parquet"
        pq.write_table(synthetic_log(lake, effect, users), log)
        plays = pq.read_table(log, filters=[("kind", "=", "play")])
        found.append(evaluate_files(plays, work / "lake", settings or ProofSettings(k=3)))
    report = join_events(lake, read_events(work / "events_synthetic.parquet"), work / "train.parquet")
    print("\n".join(report.lines()))
    effect, error = fit_effect(pq.read_table(work / "train.parquet"))
    print(f"effect of warmth: true {EFFECT}, found {effect:.2f} +- {1.96 * error:.2f}")
    for proof, name in zip(found, ("proof", "proof_without_effect"), strict=True):
        shown = proof.cells["bridge_balanced"]["cold/cold"].recall.mean
        chance = proof.cells["random"]["cold/cold"].recall.mean
        p = proof.permutation["p"] if proof.permutation else float("nan")
        print(f"{name}: cold recall {shown:.3f}, chance {chance:.3f}, permutation p {p:.3f}")
        write_proof(proof, work / f"{name}.html", f"{name}: a synthetic log")
    return Found(effect, error, *found)


def write_titles(lake: mediaml.Lake, path: Path) -> Path:
    """One title a file; content counts from the time of the file's first analysis."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["title_id", "media", "valid_from", "valid_to"])
        rows = lake.query("SELECT DISTINCT media_id FROM media ORDER BY 1").to_pylist()
        out.writerows([f"title-{n:04d}", row["media_id"], "", ""] for n, row in enumerate(rows))
    return path


def synthetic_log(lake: mediaml.Lake, effect: float, users: int) -> pa.Table:
    """Impressions at random and plays by a known law: log-odds = BASE + effect * taste * standardised warmth.

    All events lie after the features were computed. Users with an even number have taste 1, others -1.
    """
    rng = np.random.default_rng(17)
    rows = lake.query(f"SELECT title_id, {FEATURE} AS x FROM features WHERE NOT deleted ORDER BY 1").to_pylist()  # noqa: S608
    x = standardised(np.array([r["x"] for r in rows]))
    start = datetime.now(UTC) + timedelta(minutes=1)
    shown = min(SHOWN, len(rows))
    columns: dict[str, list] = {n: [] for n in ("user", "title", "time", "kind", "propensity", "origin")}
    for user in range(users):
        taste = 1 if user % 2 == 0 else -1
        for slot, item in enumerate(rng.permutation(len(rows))[:shown]):
            played = rng.random() < 1 / (1 + np.exp(-(BASE + effect * taste * x[item])))
            columns["user"].append(f"u{user:04d}")
            columns["title"].append(rows[item]["title_id"])
            columns["time"].append(start + timedelta(seconds=user + 600 * slot))
            columns["kind"].append("play" if played else "impression")
            columns["propensity"].append(shown / len(rows))
            columns["origin"].append("synthetic")
    table = pa.table(columns)
    return table.replace_schema_metadata({"origin": "synthetic", "true_effect": str(effect)})


def standardised(values: NDArray) -> NDArray[np.float64]:
    return (values - values.mean()) / values.std()


def fit_effect(joined: pa.Table) -> tuple[float, float]:
    """(log-odds a standard deviation of warmth times taste, its standard error) by logistic regression, Newton's method.

    The taste is known here because the log is ours; warmth comes from the joined columns alone.
    """
    known = joined.filter(joined.column("feature_status").combine_chunks().cast(pa.string()).is_valid())
    warmth = np.array(known.column(FEATURE).to_pylist(), dtype=np.float64)
    titles = np.array(known.column("title").to_pylist())
    _, first = np.unique(titles, return_index=True)
    x = (warmth - warmth[first].mean()) / warmth[first].std()
    taste = np.array([1.0 if int(u[1:]) % 2 == 0 else -1.0 for u in known.column("user").to_pylist()])
    played = np.array([k == "play" for k in known.column("kind").to_pylist()], dtype=np.float64)
    design = np.stack([np.ones_like(x), taste * x], axis=1)
    weights, covariance = np.zeros(2), np.eye(2)
    for _ in range(25):
        p = 1 / (1 + np.exp(-design @ weights))
        covariance = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
        weights = weights + covariance @ design.T @ (played - p)
    return float(weights[1]), float(np.sqrt(covariance[1, 1]))


def draw_media(folder: Path, count: int) -> Path:
    """`count` clips of ten frames, each with a colour of its own and a moving edge."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(3)
    for number in range(count):
        colour, other = rng.integers(20, 236, size=(2, 3))
        with av.open(str(folder / f"clip{number:03d}.mp4"), "w") as out:
            stream = out.add_stream("libx264", rate=Fraction(10))
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for frame in range(10):
                picture = np.tile(colour.astype(np.uint8), (48, 64, 1))
                picture[:, : 4 + 2 * frame] = other
                out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
            out.mux(stream.encode())
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--media", type=Path, help="a directory with at least 40 media")
    source.add_argument("--draw", type=int, help="draw that many clips instead")
    given = parser.parse_args()
    media = given.media or draw_media(given.work / "media", given.draw)
    recommend(given.work, media)


if __name__ == "__main__":
    main()

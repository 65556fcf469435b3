"""The proof: what content is worth for titles without a history, and what it costs those that have one, in one run.

Every model sees the same training events. Its full rankings are measured in three catalogues: cold titles only, warm titles
only, and the whole one, where either must be found among all. Figures are means over splits with bootstrap intervals
over users; the permutation test gives each title another one's content and refits the regression.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.rec.baselines import EASE, IALS, ContentKNN, ContentRidge, EASEPlusContent, ItemKNN, Popularity
from mediaml.rec.behaviour import BehaviourSettings
from mediaml.rec.blocks import Content
from mediaml.rec.bridge import Bridge, BridgeSettings
from mediaml.rec.evaluation import (
    Catalogue,
    Log,
    MixedLists,
    Ranking,
    Recommender,
    Scores,
    Split,
    make_split,
    rank_each,
)
from mediaml.rec.inputs import read_inputs
from mediaml.rec.matrices import size, users_of_each
from mediaml.rec.permutation import null_recalls
from mediaml.rec.statistics import Estimate, interval, paired_interval, permutation_p, relative_interval

VIEWS: Mapping[Catalogue, tuple[Catalogue, ...]] = {
    "cold": ("cold",),
    "warm": ("warm",),
    "whole": ("cold", "warm", "whole"),
}
"""Candidates -> whose held-out events count."""
ID_ONLY = "ease"
CHANCE = "random"
FRONTIER_SCALES = (0.0, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)


@dataclass(frozen=True, slots=True)
class ProofSettings:
    """splits, hidden_share, k: the protocol. permutations: at least 100 give p down to .0099; 0 leaves the test out."""

    splits: int = 5
    hidden_share: float = 0.2
    k: int = 10
    permutations: int = 100
    resamples: int = 2000
    seed: int = 0
    with_ials: bool = True
    bridge: BridgeSettings = field(default_factory=BridgeSettings)

    def __post_init__(self) -> None:
        if self.splits < 1:
            raise InvalidValue(f"splits = {self.splits}; at least 1, 5 is usual")
        if 0 < self.permutations < 100:
            raise InvalidValue(f"{self.permutations} permutations mislead; use at least 100, or 0 for none")


@dataclass(frozen=True, slots=True)
class Cell:
    """One model in one view."""

    recall: Estimate
    ndcg: Estimate
    coverage: float
    novelty_bits: float


@dataclass(frozen=True, slots=True)
class Proof:
    """All that was found; `to_dict()` is plain JSON. `cells` is model -> "candidates/counted" -> Cell."""

    data: Mapping[str, Any]
    protocol: Mapping[str, Any]
    cells: Mapping[str, Mapping[str, Cell]]
    differences: Mapping[str, Estimate]
    permutation: Mapping[str, Any] | None
    frontier: Sequence[Mapping[str, float]]
    chosen: Sequence[Mapping[str, Any]]
    popularity: Mapping[str, float]
    notes: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        return _plain(asdict(self))

    def write_json(self, path: str | Path) -> Path:
        target = Path(path)
        target.write_text(json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n", encoding="utf-8")
        return target


@dataclass(slots=True, eq=False)
class _Tally:
    """Rankings of all splits: model -> view -> one Ranking a split."""

    rankings: dict[str, dict[str, list[Ranking]]] = field(default_factory=dict)
    frontier: dict[float, list[tuple[float, float]]] = field(default_factory=dict)
    chosen: list[dict[str, Any]] = field(default_factory=list)
    observed: list[float] = field(default_factory=list)
    null: list[list[float]] = field(default_factory=list)
    popularity: list[float] = field(default_factory=list)

    def add(self, name: str, scores: Scores, split: Split, k: int) -> None:
        views = self.rankings.setdefault(name, {})
        for among, counted in VIEWS.items():
            for counts, found in zip(counted, rank_each(scores, split, among, counted, k), strict=True):
                views.setdefault(f"{among}/{counts}", []).append(found)

    def grid(self, name: str, view: str, measure: str = "recall") -> NDArray[np.float64]:
        return np.stack([getattr(r, measure) for r in self.rankings[name][view]])  # (splits, users)


def evaluate(
    log: Log,
    content: Content,
    settings: ProofSettings | None = None,
    *,
    tags: NDArray | None = None,
    on_step: Callable[[str], None] = lambda _: None,
) -> Proof:
    """Runs every model over every split. Deterministic for its seed on one machine.

    Args:
        tags: 0/1 a title, for the trunk's tag head. # (I, T)
        on_step: told what is under way.

    Raises:
        InvalidValue: the log is too small, or content and log differ in titles.
    """
    chosen = settings or ProofSettings()
    if content.titles != log.item_count:
        raise InvalidValue(f"content has {content.titles} titles, the log {log.item_count}; one row a title is needed")
    tally = _Tally()
    for number in range(chosen.splits):
        split = make_split(log, chosen.hidden_share, chosen.seed + number)
        _run_split(split, content, chosen, tally, tags, lambda s, n=number: on_step(f"split {n + 1}: {s}"))
    return _conclude(log, content, chosen, tally)


def evaluate_files(
    behaviour: str | Path | pa.Table,
    content: str | Path | pa.Table,
    settings: ProofSettings | None = None,
    *,
    query: str | None = None,
    reading: BehaviourSettings | None = None,
    feature_set: str = "default",
    on_step: Callable[[str], None] = lambda _: None,
) -> Proof:
    """`evaluate` on a behaviour log and a lake or features table; see `read_inputs` for what they may be."""
    given = read_inputs(behaviour, content, settings=reading, query=query, feature_set=feature_set)
    return replace(evaluate(given.log, given.content, settings, on_step=on_step), notes=given.notes)


def _run_split(
    split: Split,
    content: Content,
    settings: ProofSettings,
    tally: _Tally,
    tags: NDArray | None,
    say: Callable[[str], None],
) -> None:
    say("bridge")
    bridge = Bridge(replace(settings.bridge, k=settings.k), tags=tags).fit(split.train, content)
    for point in bridge.points:
        bridge.point = point
        tally.add(f"bridge_{point}", bridge.score(split.train), split, settings.k)
    regularisation = bridge.chosen.regularisation
    for model in _baselines(regularisation, settings.with_ials):
        say(model.name)
        scores = model.fit(split.train, content).score(split.train)
        tally.add(model.name, scores, split, settings.k)
    noise = np.random.default_rng(settings.seed + 7).random(size(split.train), dtype=np.float32)
    tally.add(CHANCE, noise, split, settings.k)
    tally.chosen.append(asdict(bridge.chosen))
    tally.popularity.append(_popularity_correlation(bridge, split))
    mixed = MixedLists(bridge.mixed(split.train, 1.0), split, settings.k)
    for scale in FRONTIER_SCALES:
        tally.frontier.setdefault(scale, []).append(mixed.recalls(scale))
    if settings.permutations:
        say(f"{settings.permutations} permutations")
        observed, null = null_recalls(
            split, content, bridge.chosen, settings.bridge.factors, settings.permutations, settings.seed, settings.k
        )
        tally.observed.append(observed)
        tally.null.append(null)


def _plain(value: Any) -> Any:
    """JSON's own types; what is not a number becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _baselines(regularisation: float, with_ials: bool) -> list[Recommender]:
    models: list[Recommender] = [Popularity(), ItemKNN(), EASE(regularisation)]
    if with_ials:
        models.append(IALS())
    knn, near = ContentKNN(), ContentKNN(50)
    knn.name, near.name = "content_profile", "content_knn"
    return [*models, EASEPlusContent(regularisation), knn, near, ContentRidge(regularisation=regularisation)]


def _popularity_correlation(bridge: Bridge, split: Split) -> float:
    """Spearman's correlation of predicted and true popularity over the hidden titles."""
    true = users_of_each(split.cold_held)[split.cold]
    ranks = [np.argsort(np.argsort(v)).astype(float) for v in (true, bridge.log_popularity()[split.cold])]
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])


def _conclude(log: Log, content: Content, settings: ProofSettings, tally: _Tally) -> Proof:
    options = {"resamples": settings.resamples, "seed": settings.seed}
    cells: dict[str, dict[str, Cell]] = {}
    for name, views in tally.rankings.items():
        cells[name] = {}
        for view, rankings in views.items():
            recall, ndcg = (interval(tally.grid(name, view, m), **options) for m in ("recall", "ndcg"))
            shown = float(np.mean([r.coverage for r in rankings])), float(np.mean([r.novelty_bits for r in rankings]))
            cells[name][view] = Cell(recall, ndcg, *shown)
    permutation = None
    if tally.null:
        null = np.mean(tally.null, axis=0).tolist()
        observed = float(np.mean(tally.observed))
        p = permutation_p(observed, null)
        permutation = {
            "observed": observed,
            "p": p,
            "null": null,
            "null_mean": float(np.mean(null)),
            "null_max": max(null),
        }
    return Proof(
        data={
            "users": log.user_count,
            "titles": log.item_count,
            "events": len(log.users),
            "has_times": log.times is not None,
            "blocks": {b.name: {"columns": b.values.shape[1], "titles": int(b.present.sum())} for b in content.blocks},
        },
        protocol={
            k: getattr(settings, k) for k in ("splits", "hidden_share", "k", "permutations", "resamples", "seed")
        },
        cells=cells,
        differences=_differences(tally, options),
        permutation=permutation,
        frontier=_frontier(tally),
        chosen=tally.chosen,
        popularity={"cold_spearman": float(np.mean(tally.popularity))},
    )


def _differences(tally: _Tally, options: Mapping[str, int]) -> dict[str, Estimate]:
    """Named comparisons of the bridge, each over the same users and splits."""
    grid = tally.grid
    found = {
        f"cold/cold: bridge - {other}": paired_interval(
            grid("bridge_balanced", "cold/cold"), grid(other, "cold/cold"), **options
        )
        for other in ("content_profile", "content_knn", "content_ridge", ID_ONLY)
    }
    id_only = grid(ID_ONLY, "warm/warm")
    for name, view, label in (
        ("bridge_balanced", "warm/warm", "warm/warm: bridge relative to ID-only"),
        ("bridge_protective", "whole/warm", "whole/warm: bridge (protective) relative to ID-only among warm"),
        ("bridge_balanced", "whole/warm", "whole/warm: bridge (balanced) relative to ID-only among warm"),
        ("ease_plus_content", "warm/warm", "warm/warm: EASE plus content relative to ID-only"),
    ):
        found[label] = relative_interval(grid(name, view), id_only, **options)
    return found


def _frontier(tally: _Tally) -> list[dict[str, float]]:
    found: list[dict[str, float]] = []
    for scale, pairs in sorted(tally.frontier.items()):
        cold, warm = np.mean(pairs, axis=0).tolist()
        alone = found[0]["warm_recall"] if found else warm
        found.append({"scale": scale, "cold_recall": cold, "warm_recall": warm, "warm_change": warm / alone - 1})
    return found

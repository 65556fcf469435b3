"""Baselines by hand, the bridge's promises, and the proof on worlds whose truth is known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markupsafe import escape

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.baselines import EASE, IALS, ContentKNN, ContentRidge, ItemKNN, Popularity
from mediaml.rec.blocks import Block, Content, distances, make_content, standardise
from mediaml.rec.bridge import Bridge
from mediaml.rec.evaluation import make_split
from mediaml.rec.matrices import dense, from_pairs, gram, users_of_each
from mediaml.rec.proof import Proof, evaluate
from mediaml.rec.trunk import TrunkSettings
from mediaml.report.proof import proof_tables, write_proof
from tests.unit.rec_worlds import FAST, fast, world


@pytest.fixture(scope="module")
def split():
    return make_split(world(1.0)[0], 0.2, seed=3)


@pytest.fixture(scope="module")
def bridge(split) -> Bridge:
    return Bridge(FAST).fit(split.train, world(1.0)[1])


def test_ease_solves_its_problem(split) -> None:
    """Lagrange: off the diagonal the gradient of the penalised error is 0, on it the weight is."""
    train = from_pairs(*np.nonzero(dense(split.train)[:, ~split.cold]), (150, 64))
    weights = EASE(10.0).fit(train, world(1.0)[1]).weights.astype(np.float64)
    common = gram(train).astype(np.float64)
    gradient = common @ weights - common + 10.0 * weights
    off = ~np.eye(64, dtype=bool) & (users_of_each(train) > 0)
    assert np.abs(gradient[off]).max() < 2e-3
    assert np.abs(np.diag(weights)).max() == 0.0


def test_item_knn_and_popularity_by_hand() -> None:
    train = from_pairs(np.array([0, 0, 1, 1, 2]), np.array([0, 1, 0, 1, 2]), (3, 4))
    content = make_content([("x", np.eye(4))])
    assert Popularity().fit(train, content).score(train)[0].tolist() == [2, 2, 1, 0]
    scores = ItemKNN(neighbours=10, shrink=0.0001).fit(train, content).score(train)
    assert scores[0].tolist() == pytest.approx([1, 1, 0, 0], abs=1e-3)


def test_ials_user_factors_are_the_exact_minimum(split) -> None:
    pytest.importorskip("implicit")
    model = IALS(factors=8, rounds=3).fit(split.train, world(1.0)[1])
    users, items = model.users(split.train).astype(np.float64), model.item_factors.astype(np.float64)
    had = dense(split.train)[0]
    confidence = np.where(had > 0, model.alpha, 1.0)
    error = had - users[0] @ items.T
    gradient = -(confidence * error) @ items + model.regularisation * users[0]
    assert np.abs(gradient).max() < 1e-3


def test_behaviour_models_cannot_tell_cold_items_apart(split) -> None:
    for model in (Popularity(), ItemKNN(), EASE()):
        scores = model.fit(split.train, world(1.0)[1]).score(split.train)
        assert np.ptp(scores[:, split.cold]) == 0.0


@pytest.mark.parametrize(
    "model", [ContentKNN(), ContentKNN(20), ContentRidge(factors=8)], ids=["profile", "knn", "ridge"]
)
def test_content_models_see_cold_items(model, split) -> None:
    scores = model.fit(split.train, world(1.0)[1]).score(split.train)
    liked = dense(split.cold_held) > 0
    cold = np.broadcast_to(split.cold, liked.shape)
    assert scores[liked].mean() > scores[cold & ~liked].mean() + 0.2 * scores[:, split.cold].std()


def test_bridge_leaves_warm_titles_to_behaviour(bridge: Bridge, split) -> None:
    ease = EASE(bridge.chosen.regularisation).fit(split.train, world(1.0)[1]).score(split.train)
    for point in bridge.points:
        bridge.point = point
        np.testing.assert_allclose(bridge.score(split.train)[:, bridge.is_warm], ease[:, bridge.is_warm], atol=1e-6)


def test_scale_moves_cold_titles_only(bridge: Bridge, split) -> None:
    one, two = bridge.mixed(split.train, 1.0), bridge.mixed(split.train, 2.0)
    assert (one[:, bridge.is_warm] == two[:, bridge.is_warm]).all()
    np.testing.assert_allclose(two[:, ~bridge.is_warm], 2 * one[:, ~bridge.is_warm], rtol=1e-5)


def test_users_without_history_get_popularity(bridge: Bridge) -> None:
    nobody = from_pairs(np.array([], int), np.array([], int), (2, 80))
    scores = bridge.score(nobody)
    assert (scores == bridge.log_popularity()).all()
    assert np.isfinite(scores).all()


def test_bridge_is_deterministic(bridge: Bridge, split) -> None:
    again = Bridge(FAST).fit(split.train, world(1.0)[1])
    assert (again.mixed(split.train, 1.0) == bridge.mixed(split.train, 1.0)).all()


def test_heads_learn_tags_and_completion(split) -> None:
    content = world(1.0)[1]
    first = content.blocks[0].values[:, 0]
    completion = np.where(split.cold, np.nan, 1 / (1 + np.exp(-2 * first)))
    settings = replace(FAST, trunk=TrunkSettings(width=32, steps=200, learning_rate=1e-2))
    made = Bridge(settings, tags=(first > 0)[:, None], completion=completion).fit(split.train, content)
    cold = ~made.is_warm
    said = made.heads()
    assert said.tags is not None
    assert said.completion is not None
    assert np.mean((said.tags[:, 0] > 0.5) == (first[cold] > 0)) > 0.7
    assert np.corrcoef(said.completion, first[cold])[0, 1] > 0.6


def test_missing_content_is_a_mask_and_not_a_zero() -> None:
    values = np.array([[1.0], [3.0], [np.nan], [5.0]])
    content = make_content([("a", values), ("b", np.arange(4.0))])
    assert content.blocks[0].present.tolist() == [True, True, False, True]
    made = standardise(content, np.ones(4, bool))
    apart = distances(made)
    # titles 2 and 3 share only b: their distance is that of b alone, not of b and an invented a
    b = made.blocks[1].values[:, 0]
    expected = (b[2] - b[3]) ** 2 / np.median(distances_by_hand(made)[~np.eye(4, dtype=bool)])
    assert apart[2, 3] == pytest.approx(expected, rel=1e-4)


def distances_by_hand(content: Content) -> np.ndarray:
    out = np.zeros((4, 4))
    for i in range(4):
        for j in range(4):
            shared = [b for b in content.blocks if b.present[i] and b.present[j]]
            out[i, j] = np.mean([np.sum((b.values[i] - b.values[j]) ** 2) for b in shared])
    return out


def test_bad_content_and_points(bridge: Bridge, split) -> None:
    with pytest.raises(InvalidValue, match="NaN or infinity"):
        Content((Block("x", np.array([[np.nan]], np.float32), np.array([True])),))
    with pytest.raises(InvalidValue, match="at least one modality"):
        Content(())
    with pytest.raises(InvalidValue, match="completion"):
        Bridge(FAST, completion=np.array([2.0]))
    other = Bridge(FAST).fit(split.train, world(1.0)[1])
    other.point = "balance"
    with pytest.raises(UnknownName, match="balanced"):
        other.score(split.train)


@pytest.fixture(scope="module")
def proof() -> Proof:
    return evaluate(*world(1.0), fast(permutations=100))


def test_proof_sees_an_effect_that_is_there(proof: Proof) -> None:
    assert proof.permutation is not None
    assert proof.permutation["p"] <= 0.01
    assert proof.differences["cold/cold: bridge - ease"].low > 0.2
    warm = proof.differences["warm/warm: bridge relative to ID-only"]
    assert (warm.mean, warm.low, warm.high) == pytest.approx((0.0, 0.0, 0.0), abs=1e-3)
    assert proof.cells["ease"]["whole/cold"].recall.mean == 0.0
    assert proof.cells["bridge_balanced"]["whole/cold"].recall.mean > 0.3
    assert proof.popularity["cold_spearman"] > -1


def test_proof_sees_no_effect_where_there_is_none() -> None:
    found = evaluate(*world(0.0), fast(permutations=100))
    assert found.permutation is not None
    assert found.permutation["p"] > 0.05
    assert found.differences["cold/cold: bridge - ease"].low < 0.05


def test_frontier_starts_without_cold_titles_and_trades(proof: Proof) -> None:
    first, last = proof.frontier[0], proof.frontier[-1]
    assert first["cold_recall"] == 0.0
    assert first["warm_change"] == 0.0
    assert last["cold_recall"] > first["cold_recall"]
    assert last["warm_recall"] < first["warm_recall"]


def test_report_is_one_file_without_parts_of_others(proof: Proof, tmp_path: Path) -> None:
    page = write_proof(proof, tmp_path / "proof.html", "<b>made up</b>").read_text()
    assert "&lt;b&gt;made up&lt;/b&gt;" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "<script" not in page
    for table in proof_tables(proof):
        assert str(escape(table.title)) in page
        assert all(len(row) == len(table.head) for row in table.rows)
    shown = f"{proof.cells['bridge_balanced']['cold/cold'].recall.mean:.4f}"
    assert shown in page


def test_json_is_plain(proof: Proof, tmp_path: Path) -> None:
    read = json.loads(proof.write_json(tmp_path / "proof.json").read_text())
    assert read["cells"]["bridge_balanced"]["cold/cold"]["recall"]["mean"] == pytest.approx(
        proof.cells["bridge_balanced"]["cold/cold"].recall.mean
    )
    assert read["protocol"]["permutations"] == 100


def test_few_permutations_are_refused() -> None:
    with pytest.raises(InvalidValue, match="at least 100"):
        fast(permutations=20)

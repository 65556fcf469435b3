"""From media to proof: the effect that was put into the log is found again, and none where there was none."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipelines.recommend import EFFECT, draw_media, recommend
from tests.unit.rec_worlds import fast


@pytest.mark.slow
def test_recommend_recovers_the_effect(tmp_path: Path) -> None:
    media = draw_media(tmp_path / "media", 50)
    found = recommend(tmp_path / "work", media, users=150, settings=fast(permutations=100, k=3))
    assert abs(found.effect - EFFECT) < 3 * found.standard_error < 0.5
    assert found.proof.permutation is not None
    assert found.proof.permutation["p"] <= 0.01
    assert found.proof_without.permutation is not None
    assert found.proof_without.permutation["p"] > 0.05
    joined = pq.read_table(tmp_path / "work" / "train.parquet")
    assert joined.num_rows == 150 * 40
    assert set(joined.column("feature_status").to_pylist()) == {"joined"}
    assert set(joined.column("origin").to_pylist()) == {"synthetic"}
    assert (tmp_path / "work" / "proof.html").is_file()

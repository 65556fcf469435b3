"""What a table must not hold is refused when it is staged, naming analyzer and column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mediaml.errors import ContractBreach, InvalidValue
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, Lake
from tests.unit.lakes import LUMA, TALL, frames, luma, media_id, vectors

A = media_id("a")
FREE = Column("free", "float64", "1", "any number")
PAIR = Column("pair", "float32", "1", "two numbers", length=2)
TEXT = Column("text", "string", "text", "words")
FLAG = Column("flag", "bool", "1", "yes or no")
NAN, INF = float("nan"), float("inf")


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake", create=True)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        (FREE, np.array([0.0, NAN]), "1 of 2 values are NaN"),
        (FREE, [INF, 1.0], "NaN or infinite"),
        (FREE, pa.array([-INF]), "NaN or infinite"),
        (replace(FREE, nullable=True), [NAN, None], "NaN or infinite"),
        (PAIR, np.array([[1.0, NAN]], np.float32), "1 of 2 values are NaN"),
        (LUMA, np.array([0.5, 1.5], np.float32), "1.5 is above the declared maximum 1"),
        (LUMA, [-0.25], "-0.25 is below the declared minimum 0"),
        (LUMA, [None, 0.5], "1 of 2 values are null"),
        (LUMA, np.zeros((2, 2), np.float32), "has shape"),
        (PAIR, np.zeros((2, 3), np.float32), "vectors of length 3; 2 are declared"),
        (PAIR, np.zeros(4, np.float32), "takes (N, D)"),
        (TALL, np.array([1.0, 2.0]), "float64"),
        (TALL, [1.5], "float64"),
        (TALL, [True], "bool"),
        (TALL, [2**40], "column frames.tall"),
        (TALL, ["7"], "column frames.tall"),
        (TALL, np.array([2**40]), "column frames.tall"),
        (TEXT, [b"x\xff"], "column frames.text"),
        (TEXT, [1], "column frames.text"),
        (FLAG, [1], "int64"),
    ],
)
def test_a_bad_value_is_refused(lake: Lake, column: Column, values: Any, reason: str) -> None:
    with pytest.raises(ContractBreach) as caught:
        lake.stage(A, analyzers=[frames(column, values, "bad@3")])
    assert caught.value.analyzer == "bad@3"
    assert f"frames.{column.name}" in str(caught.value)
    assert reason in str(caught.value)
    assert not list(lake.path.glob("frames/*/*")), "nothing of a refused analyzer is written"


@pytest.mark.parametrize(
    ("column", "values", "stored"),
    [
        (TALL, np.ma.masked_array([1, 2], [False, True]), [1, None]),
        (TALL, np.array([1, 2], np.uint8), [1, 2]),
        (FREE, [1, 2.5], [1.0, 2.5]),
        (FREE, np.array([1, 2], np.float16), [1.0, 2.0]),
        (replace(LUMA, maximum=0.1), np.full(1, 0.1, np.float32), [np.float32(0.1)]),
        (PAIR, [[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0], [3.0, 4.0]]),
        (replace(PAIR, nullable=True), [None, [3.0, 4.0]], [None, [3.0, 4.0]]),
        (FLAG, np.array([True, False]), [True, False]),
        (TEXT, ["ä\n\x00", "lone \udcff"], ["ä\n\x00", "lone \\udcff"]),
        (TEXT, np.array(["a", "b"]), ["a", "b"]),
    ],
)
def test_good_values_come_back(lake: Lake, column: Column, values: Any, stored: list[Any]) -> None:
    lake.commit([lake.stage(A, analyzers=[frames(column, values)])])
    assert lake.table("frames", [column.name]).column(0).to_pylist() == stored


def test_the_columns_must_be_the_declared_ones(lake: Lake) -> None:
    rows = luma().rows[Table.FRAMES]
    declared = {Table.FRAMES: (LUMA,)}
    for changed, reason in [
        ({k: v for k, v in rows.items() if k != "luma_mean"}, "missing: ['luma_mean']"),
        ({k: v for k, v in rows.items() if k != "pts_seconds"}, "missing: ['pts_seconds']"),
        ({**rows, "extra": [1, 2, 3]}, "not declared: ['extra']"),
        ({**rows, "pts_seconds": [0.0]}, "differ in length"),
    ]:
        with pytest.raises(ContractBreach) as caught:
            lake.stage(A, analyzers=[AnalyzerRows("bad@1", "", declared, {Table.FRAMES: changed})])
        assert reason in str(caught.value)
    with pytest.raises(ContractBreach, match="'frame' does not exist"):
        lake.stage(A, analyzers=[AnalyzerRows("bad@1", "", {}, {"frame": {}})])


def test_a_column_name_means_one_thing_within_a_part(lake: Lake) -> None:
    other = replace(LUMA, dtype="float64")
    with pytest.raises(ContractBreach, match="rename one of them"):
        lake.stage(A, analyzers=[luma(), frames(other, [0.5], "other@1")])
    for name in ("analyzer", "media_id"):
        with pytest.raises(ContractBreach, match="choose another name"):
            lake.stage(A, analyzers=[frames(replace(TEXT, name=name), ["x"])])
    with pytest.raises(ContractBreach, match="key column"):
        lake.stage(A, analyzers=[frames(replace(TEXT, name="pts_seconds"), ["x"])])


def test_an_analyzer_may_narrow_a_key_column(lake: Lake) -> None:
    unit = Column("vector", "float32", "1", "unit vector", Table.EMBEDDINGS, minimum=-1, maximum=1, length=2)
    good = replace(vectors(np.ones((1, 2), np.float32), "e@1", "m"), columns={Table.EMBEDDINGS: (unit,)})
    lake.commit([lake.stage(A, analyzers=[good])])
    described = {c.name: c for c in lake.describe("embeddings")}["vector"]
    assert (described.dtype, described.maximum, described.source) == ("float32[2]", 1, "e@1")
    wrong = replace(vectors(np.full((1, 2), 2, np.float32), "e@1", "m"), columns=good.columns)
    with pytest.raises(ContractBreach, match="above the declared maximum"):
        lake.stage(A, analyzers=[wrong])


@pytest.mark.parametrize("spec_id", ["luma", "luma@0", "Luma@1", "luma@1 "])
def test_a_spec_id_is_name_at_version(spec_id: str) -> None:
    with pytest.raises(InvalidValue, match="name@version"):
        AnalyzerRows(spec_id)


def test_a_status_without_results_has_no_rows() -> None:
    with pytest.raises(InvalidValue, match="cannot come with rows"):
        replace(luma(), status="failed")

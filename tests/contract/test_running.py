"""The conformance checks themselves: each refuses what it is there to refuse."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.spec import Column, Need, Spec, Table, View
from tests.contract.inputs import media_info
from tests.contract.running import Result, assert_same, check_cell, check_columns, check_rows, run
from tests.frames import luma_batch

SPEC = Spec(
    name="made_up",
    version=1,
    summary="for this test",
    outputs=(
        Column("score", "float32", "1", "a score", minimum=0, maximum=1),
        Column("maybe", "float32", "1", "a score or null", nullable=True),
        Column("total", "float32", "1", "a sum", Table.FILES, length=2),
    ),
    need=Need(View.luma()),
    kinds=("black",),
)
BATCH = luma_batch(np.zeros((2, 4, 4), np.uint8))
GOOD = {"score": torch.tensor([0.0, 1.0]), "maybe": torch.tensor([math.nan, 7.0])}
SPAN: dict[str, Any] = {
    "kind": ["black"],
    "start_seconds": [0.0],
    "end_seconds": [1.0],
    "severity": [1.0],
    "confidence": [1.0],
    "evidence_seconds": [None],
    "message": ["m"],
}


def test_good_columns_pass() -> None:
    check_columns(SPEC, GOOD, BATCH)
    check_rows(SPEC, {Table.FILES: {"total": [[1.0, 2.0]]}, Table.SPANS: SPAN})


@pytest.mark.parametrize(
    "change",
    [
        {"score": torch.tensor([0.0, math.nan])},
        {"score": torch.tensor([0.0, 1.01])},
        {"score": torch.tensor([-0.01, 1.0])},
        {"score": torch.tensor([0, 1])},
        {"score": torch.tensor([0.0])},
        {"score": torch.zeros(2, 1)},
        {"maybe": torch.tensor([math.inf, 0.0])},
        {"more": torch.zeros(2)},
    ],
)
def test_bad_columns_are_refused(change: dict[str, torch.Tensor]) -> None:
    with pytest.raises(AssertionError):
        check_columns(SPEC, {**GOOD, **change}, BATCH)


def test_no_columns_at_all_are_refused() -> None:
    class Mute(FrameAnalyzer):
        def update(self, batch: FrameBatch) -> Mapping[str, torch.Tensor]:
            return {}

    analyzer = Mute()
    vars(analyzer)["spec"] = SPEC  # of the object, not of the class: the registry does not see it
    with pytest.raises(AssertionError, match="gave none"):
        run(analyzer, [BATCH], media_info())


@pytest.mark.parametrize(
    "rows",
    [
        {Table.FILES: {}},
        {Table.FILES: {"total": [[1.0, 2.0]] * 2}},
        {Table.FILES: {"total": [[1.0]]}},
        {Table.FILES: {"total": [[1.0, math.nan]]}},
        {Table.FILES: {"total": [None]}},
        {Table.FILES: {"total": [[1.0, 2.0]], "other": [1.0]}},
        {Table.SPANS: {**SPAN, "kind": ["noise"]}},
        {Table.SPANS: {**SPAN, "end_seconds": [-1.0]}},
        {Table.SPANS: {**SPAN, "severity": [1.5]}},
        {Table.SPANS: {k: v for k, v in SPAN.items() if k != "message"}},
        {Table.SPANS: {**SPAN, "message": []}},
    ],
)
def test_bad_rows_are_refused(rows: dict[Table, dict[str, Any]]) -> None:
    with pytest.raises(AssertionError):
        check_rows(SPEC, rows)


def test_cells_have_their_type() -> None:
    text = Column("text", "string", "text", "words")
    check_cell(text, "word")
    for column, value in ((text, 1), (Column("n", "int32", "1", "count"), 1.5), (Column("b", "bool", "1", "flag"), 1)):
        with pytest.raises(AssertionError):
            check_cell(column, value)


def test_results_that_differ_are_told_apart() -> None:
    one = Result({"a": torch.tensor([1.0, math.nan])}, {"files": {"x": [1.0], "t": ["w"]}})
    assert_same(one, Result({"a": torch.tensor([1.0001, math.nan])}, {"files": {"x": [1.0001], "t": ["w"]}}))
    for other in (
        Result({"a": torch.tensor([1.1, math.nan])}, one.rows),
        Result({"a": torch.tensor([1.0, 1.0])}, one.rows),
        Result(one.frames, {"files": {"x": [1.1], "t": ["w"]}}),
        Result(one.frames, {"files": {"x": [1.0], "t": ["v"]}}),
        Result(one.frames, {}),
    ):
        with pytest.raises(AssertionError):
            assert_same(one, other)

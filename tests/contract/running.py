"""Runs one analyzer over made input the way the engine does, and checks what it gives against its spec."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mediaml.analyzers.base import Analyzer
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Spec, Table
from mediaml.tables.schema import KEYS

PER_FRAME = (Table.FRAMES, Table.EMBEDDINGS)
RELATIVE, ABSOLUTE = 2e-3, 2e-4  # how far values may differ between groupings and devices


@dataclass
class Result:
    """Per-frame columns in order of pts, and the rows of `finish`."""

    frames: dict[str, Tensor] = field(default_factory=dict)
    rows: dict[str, dict[str, list[Any]]] = field(default_factory=dict)


def run(analyzer: Analyzer, batches: Iterable[FrameBatch | AudioBlock], media: MediaInfo) -> Result:
    """start, update for each batch, finish; every output is checked on the way, and that the input was not modified."""
    analyzer.start(media)
    pts: list[Tensor] = []
    outputs: list[Mapping[str, Tensor]] = []
    seen = 0
    for batch in batches:
        seen += 1
        before = [(t, t.clone()) for t in _tensors(batch)]
        output = analyzer.update(batch)
        for now, then in before:
            assert torch.equal(now, then), f"{analyzer.spec.name} modified its input"
        check_columns(analyzer.spec, output, batch)
        if output:
            assert isinstance(batch, FrameBatch)
            pts.append(batch.pts_seconds.cpu())
            outputs.append(output)
    rows = analyzer.finish()
    check_rows(analyzer.spec, rows)
    frames = analyzer.spec.columns(Table.FRAMES) if seen else ()
    assert outputs or not frames or Table.FRAMES in rows, (
        f"{analyzer.spec.name} gave none of {[c.name for c in frames]}"
    )
    result = Result(rows={str(t): {n: list(v) for n, v in columns.items()} for t, columns in rows.items()})
    if outputs:
        order = torch.cat(pts).argsort()
        result.frames = {name: torch.cat([o[name].cpu() for o in outputs])[order] for name in outputs[0]}
    return result


def _tensors(batch: FrameBatch | AudioBlock) -> list[Tensor]:
    if isinstance(batch, AudioBlock):
        return [batch.samples] + ([batch.reference.samples] if batch.reference else [])
    found = [batch.pts_seconds, batch.duration_seconds, batch.frame_index, batch.key_frame, *batch.views.values()]
    if batch.planes is not None:
        found += [p for p in (batch.planes.y, batch.planes.u, batch.planes.v) if p is not None]
    return found + (_tensors(batch.reference) if batch.reference else [])


def check_columns(spec: Spec, output: Mapping[str, Tensor], batch: FrameBatch | AudioBlock) -> None:
    """Exactly the declared per-frame columns, in shape, kind and range, on the batch's device."""
    if isinstance(batch, AudioBlock):
        assert not output, f"{spec.name}: audio analyzers give rows in finish"
        return
    declared = {c.name: c for t in PER_FRAME for c in spec.columns(t)}
    if not output:  # then `finish` gives them: see `run`
        return
    assert set(output) == set(declared)
    for name, values in output.items():
        column = declared[name]
        assert values.shape == ((len(batch),) if column.length is None else (len(batch), column.length)), name
        assert values.device.type == batch.device.type, name
        kind = {"float32": "f", "float64": "f", "int32": "i", "int64": "i", "bool": "b"}[column.dtype]
        assert kind == _kind(values.dtype), f"{name}: {values.dtype} for {column.dtype}"
        check_values(column, values.detach().cpu().to(torch.float64).flatten().tolist())


def _kind(dtype: torch.dtype) -> str:
    return "b" if dtype == torch.bool else "f" if dtype.is_floating_point else "i"


def check_values(column: Column, values: Sequence[float]) -> None:
    """Within the declared range; NaN (null on its way to the tables) only where null is allowed; never infinite."""
    slack = 1e-5
    for value in values:
        if math.isnan(value):
            assert column.nullable and column.length is None, f"NaN in {column.name}, which is not nullable"
            continue
        assert math.isfinite(value), f"{column.name} is {value}"
        for bound, outside in ((column.minimum, -1), (column.maximum, 1)):
            if bound is not None:
                excess = (value - bound) * outside
                assert excess <= slack * max(1.0, abs(bound)), (
                    f"{column.name} = {value}, declared {column.minimum}..{column.maximum}"
                )


def check_rows(spec: Spec, rows: Mapping[Table, Mapping[str, Sequence[Any]]]) -> None:
    """Tables of the spec only, each with its key columns and exactly the declared ones, of equal length and valid values."""
    for table, columns in rows.items():
        keys = {f.name for f in KEYS[table]}
        declared = {c.name: c for c in spec.columns(table)}
        stated = set(declared) - keys if table in PER_FRAME else set(declared)
        assert keys | stated <= set(columns) | (keys & set(declared)), (
            f"{table} lacks {sorted((keys | stated) - set(columns))}"
        )
        assert set(columns) <= keys | stated, f"{table} has undeclared {sorted(set(columns) - keys - stated)}"
        assert len({len(v) for v in columns.values()}) <= 1, f"{table}: columns of different lengths"
        for name, column in declared.items():
            for value in columns.get(name, ()):
                check_cell(column, value)
        _check_meaning(spec, table, columns)


def check_cell(column: Column, value: Any) -> None:
    """One value of a row: null only where allowed, else of the declared type, length and range."""
    if value is None:
        assert column.nullable, f"null in {column.name}, which is not nullable"
        return
    if column.dtype in ("string", "binary"):
        assert isinstance(value, str if column.dtype == "string" else bytes), f"{column.name}: {type(value)}"
        return
    array = np.asarray(value)
    assert array.shape == (() if column.length is None else (column.length,)), f"{column.name} has shape {array.shape}"
    kinds = {"float32": "fiu", "float64": "fiu", "int32": "iu", "int64": "iu", "bool": "b"}[column.dtype]
    assert array.dtype.kind in kinds, f"{column.name}: {array.dtype} for {column.dtype}"
    assert np.isfinite(array.astype(np.float64)).all(), f"{column.name} is {value}; null is None in rows"
    check_values(column, array.astype(np.float64).flatten().tolist())


def _check_meaning(spec: Spec, table: Table, columns: Mapping[str, Sequence[Any]]) -> None:
    if table is Table.FILES:
        assert all(len(v) == 1 for v in columns.values()), "files has one row a file"
    if "start_seconds" in columns and "end_seconds" in columns:
        assert all(a <= b for a, b in zip(columns["start_seconds"], columns["end_seconds"], strict=True))
    if table is Table.SPANS:
        assert set(columns["kind"]) <= set(spec.kinds), f"kinds {set(columns['kind'])} are not in spec.kinds"
        assert all(0 <= v <= 1 for name in ("severity", "confidence") for v in columns[name])
    if table is Table.THUMBNAILS:
        assert all(bytes(j).startswith(b"\xff\xd8") for j in columns["jpeg"])


def assert_same(a: Result, b: Result, *, exact: bool = False) -> None:
    """Equal columns and rows, up to rounding (or to the last bit)."""
    relative, absolute = (0.0, 0.0) if exact else (RELATIVE, ABSOLUTE)
    assert set(a.frames) == set(b.frames)
    for name, values in a.frames.items():
        torch.testing.assert_close(
            b.frames[name], values, rtol=relative, atol=absolute, equal_nan=True, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert set(a.rows) == set(b.rows)
    for table, columns in a.rows.items():
        assert set(columns) == set(b.rows[table]), table
        for name, values in columns.items():
            others = b.rows[table][name]
            assert len(values) == len(others), f"{table}.{name}"
            for one, other in zip(values, others, strict=True):
                if isinstance(one, (str, bytes)) or one is None:
                    assert one == other, f"{table}.{name}"
                else:
                    assert np.asarray(other) == pytest.approx(np.asarray(one), rel=relative, abs=absolute), (
                        f"{table}.{name}"
                    )

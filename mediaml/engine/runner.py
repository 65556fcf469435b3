"""One analyzer at work on one file: catches its failure, gathers its columns, packs its rows."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import Analyzer
from mediaml.engine.pack import Arrays, check_update
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import MediaInfo
from mediaml.ops.gathered import Gathered
from mediaml.spec import Column, Table
from mediaml.tables.rows import AnalyzerRows, parameters_hash

NullableArrays = dict[Table, dict[str, Any]]


class Runner:
    """Drives `start`, `update`, `finish` of one analyzer for one file. After a failure it is inert and `error` is set."""

    def __init__(self, analyzer: Analyzer) -> None:
        self.analyzer = analyzer
        self.spec = analyzer.spec
        self.error: Exception | None = None
        self.batches = 0
        self.seconds = 0.0  # wall time inside the analyzer
        self._keys, self._outputs = Gathered(), Gathered()

    def start(self, media: MediaInfo) -> None:
        self._guard(lambda: self.analyzer.start(media))

    def update(self, batch: FrameBatch | AudioBlock) -> Mapping[str, Tensor]:
        """The analyzer's columns for this batch, still on the device; {} after a failure."""
        if self.error is not None:
            return {}
        self.batches += 1
        output = self._guard(lambda: self.analyzer.update(batch)) or {}
        self._guard(lambda: check_update(self.spec, output, len(batch)))
        return {} if self.error is not None else output

    def keep(self, batch: FrameBatch, arrays: Arrays) -> None:
        """Stores this batch's columns, now on the host, beside the frames they belong to."""
        self._guard(lambda: self._keys.add(frame_keys(batch)))
        self._guard(lambda: self._outputs.add({name: torch.from_numpy(values) for name, values in arrays.items()}))

    def finish(self) -> None:
        """Ends the file. `rows` is complete afterwards."""
        self.rows: NullableArrays = {}
        if self.error is not None:
            return
        given = self._guard(self.analyzer.finish) or {}
        self.rows = {table: dict(columns) for table, columns in given.items()}
        if self._outputs:
            keys, outputs = (
                {name: column.numpy() for name, column in gathered.columns().items()}
                for gathered in (self._keys, self._outputs)
            )
            self._add_per_frame(keys, outputs)

    def packed(self) -> AnalyzerRows:
        """What the tables take: the rows, or the bare fact that it failed."""
        settings = analyzer_hash(self.analyzer)
        if self.error is not None:
            return AnalyzerRows(self.spec.id, settings, status="failed")
        columns = {table: self.spec.columns(table) for table in Table if self.spec.columns(table) or table in self.rows}
        return AnalyzerRows(self.spec.id, settings, columns, self.rows, source=self.spec.cite)

    def _add_per_frame(self, keys: Arrays, outputs: Arrays) -> None:
        frames = {c.name: nullable(c, outputs[c.name]) for c in self.spec.columns(Table.FRAMES)}
        if frames:
            self.rows[Table.FRAMES] = {"frame_index": keys["frame_index"], "pts_seconds": keys["pts_seconds"], **frames}
        for column in self.spec.columns(Table.EMBEDDINGS):
            n = len(keys["pts_seconds"])
            fps = self.spec.need.fps if self.spec.need else None
            span = 1.0 / fps if fps else keys["duration_seconds"]
            self.rows[Table.EMBEDDINGS] = {
                "start_seconds": keys["pts_seconds"],
                "end_seconds": keys["pts_seconds"] + span,
                "scope": ["frame"] * n,
                "model": [self.analyzer.space] * n,
                "weights_sha256": ["+".join(weights.identity_sha256(w) for w in self.spec.weights)] * n,
                column.name: outputs[column.name],
            }

    def _guard(self, call: Any) -> Any:
        if self.error is not None:
            return None
        began = time.perf_counter()
        try:
            return call()
        except (KeyboardInterrupt, SystemExit):
            raise
        except Exception as error:  # one failing analyzer never loses another's results
            self.error = error
            return None
        finally:
            self.seconds += time.perf_counter() - began


def nullable(column: Column, values: NDArray[Any]) -> Any:
    """NaN becomes null where the column allows null; elsewhere it stays, and the tables refuse it."""
    if column.nullable and values.dtype.kind == "f" and column.length is None:
        return pa.array(values, from_pandas=True)
    return values


def frame_keys(batch: FrameBatch) -> dict[str, Tensor]:
    """The host side of a batch's keys (they never leave the host on their way in)."""
    return {
        "frame_index": batch.frame_index.cpu(),
        "pts_seconds": batch.pts_seconds.cpu(),
        "duration_seconds": batch.duration_seconds.cpu(),
    }


def analyzer_hash(analyzer: Analyzer) -> str:
    """Part of the idempotency key: hash of the analyzer's settings and of its weights' checksums; "" where it has neither."""
    settings = {f"weights:{_label(name)}": weights.identity_sha256(name) for name in analyzer.spec.weights}
    return parameters_hash({**analyzer.parameters, **settings})


def _label(weight: str) -> str:
    return "own" if weight.startswith("@") else weight  # a file that was moved is the same weight


def limit_threads(threads: int) -> None:
    """Torch and OpenCV get `threads` threads, so that several workers do not fight for the cores."""
    import cv2

    torch.set_num_threads(threads)
    cv2.setNumThreads(threads)

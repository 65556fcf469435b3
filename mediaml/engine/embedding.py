"""`mediaml.embed`: media in, batches of vectors out, without a lake. With a lake, analyze with the same model instead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import Analyzer, select
from mediaml.decode.probe import probe
from mediaml.derive.pooling import pool_file, pool_shots
from mediaml.engine.analyze import PathLike, check_weights, discover
from mediaml.engine.run import MediaOutcome, run_media
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, choose_device
from mediaml.engine.work import FileTask, identify, outcome_errors
from mediaml.errors import AnalyzerError, InvalidValue, MediaError, MediamlError
from mediaml.spec import Table

Level = Literal["frame", "shot", "file"]
LEVELS: tuple[Level, ...] = ("frame", "shot", "file")
DEFAULT_MODEL = "embed_lite0"
SHOTS = "shots_transnetv2"
MODEL_NAMES = {"lite0": "embed_lite0"}


@dataclass(frozen=True, slots=True, eq=False)
class EmbeddingBatch:
    """The vectors of one file.

    media_id       sha256 of the content, hexadecimal
    start_seconds  (N,) float64: t0, where each frame, shot or the file begins on the file's timeline
    end_seconds    (N,) float64: t1, exclusive
    values         (N, D) float32, as numpy or torch array
    model, weights_sha256   the space: vectors are comparable within one space only
    pooling        how frames became these vectors: "none", "mean of frames", "mean of shots by seconds"
    error          why there are no vectors (then N is 0), or None
    """

    path: str
    media_id: str
    level: Level
    start_seconds: NDArray[np.float64]
    end_seconds: NDArray[np.float64]
    values: NDArray[np.float32] | Tensor
    model: str
    weights_sha256: str
    pooling: str
    error: MediamlError | None = None

    def __len__(self) -> int:
        return len(self.start_seconds)


def embed(
    paths: PathLike | Iterable[PathLike],
    model: str = DEFAULT_MODEL,
    *,
    level: Level = "shot",
    arrays: Literal["numpy", "torch"] = "numpy",
    device: DeviceName = "auto",
    recursive: bool = True,
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Iterator[EmbeddingBatch]:
    """Yields one batch of vectors a file, in the order of discovery; each file is decoded once, in this process.

    Args:
        paths: files and directories.
        model: "lite0", or an address such as "open_clip:ViT-B-32/laion2b_s34b_b79k" or "open_clip:ViT-B-32/@FILE".
        level: "frame" (one a second unless the model's address says otherwise), "shot" (frames pooled) or "file" (shots
            pooled). A file in which no shot was found counts as one shot.
        arrays: what `values` are.

    Raises:
        UsageError, WeightsError when called, before the first decode. A file that fails gives an empty batch whose `error`
        says why; nothing is raised for it.
    """
    if level not in LEVELS:
        raise InvalidValue(f"level {level!r} must be one of {', '.join(LEVELS)}")
    if arrays not in ("numpy", "torch"):
        raise InvalidValue(f"arrays {arrays!r} must be numpy or torch")
    classes = select([embedder_name(model)] if level == "frame" else [embedder_name(model), SHOTS])
    embedder = next(c for c in classes if c.spec.columns(Table.EMBEDDINGS))
    check_weights(classes)
    chosen_device = torch.device(choose_device(device))
    found = discover(paths, recursive=recursive)
    return _batches(found, embedder, classes, level, arrays, chosen_device, max_pixels)


def embedder_name(model: str) -> str:
    """The analyzer's name or address for what a user calls a model: also a weight of the manifest (clip-vit-b-32).

    Raises UnknownName, InvalidValue (not an embedder).
    """
    name = MODEL_NAMES.get(model, f"open_clip:{model}" if model.startswith("@") else model)
    named = {entry.name: entry.open_clip for entry in weights.entries() if entry.open_clip}
    if model.replace("-", "_") in named:
        name = f"open_clip:{named[model.replace('-', '_')]}"
    classes = select([name])
    if len(classes) != 1 or not classes[0].spec.columns(Table.EMBEDDINGS):
        raise InvalidValue(f"{model!r} is not one embedding model; try lite0 or open_clip:MODEL/TAG")
    return name


def _batches(
    found: Any,
    embedder: type[Analyzer],
    classes: list[type[Analyzer]],
    level: Level,
    arrays: str,
    device: torch.device,
    max_pixels: int,
) -> Iterator[EmbeddingBatch]:
    ready = {cls.spec.name: cls() for cls in classes}
    for analyzer in ready.values():
        analyzer.setup(device)
    space = ready[embedder.spec.name].space
    sha256 = "+".join(weights.identity_sha256(w) for w in embedder.spec.weights)
    dimensions = embedder.spec.columns(Table.EMBEDDINGS)[0].length or 0

    def batch(path: Path, media_id: str, rows: _Rows, error: MediamlError | None) -> EmbeddingBatch:
        values: Any = rows.values if arrays == "numpy" else torch.from_numpy(np.ascontiguousarray(rows.values))
        return EmbeddingBatch(
            str(path), media_id, level, rows.start, rows.end, values, space, sha256, rows.pooling, error
        )

    empty = _Rows(np.zeros(0), np.zeros(0), np.zeros((0, dimensions), np.float32), "none")
    for error in found.errors:
        yield batch(Path(error.path), "", empty, error)
    for path in found.files:
        media_id = ""
        try:
            media_id = identify(FileTask(path)).media_id
            outcome = run_media(path, probe(path), list(ready.values()), device=device, max_pixels=max_pixels)
            rows = _rows(outcome, embedder.spec.name, level)
        except MediamlError as error:
            yield batch(path, media_id, empty, error)
            continue
        yield batch(path, media_id, rows, None)


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    values: NDArray[np.float32]
    pooling: str


def _rows(outcome: MediaOutcome, name: str, level: Level) -> _Rows:
    """The vectors of a level out of what the analyzers gave. Raises MediaError, AnalyzerError where there are none."""
    if outcome.error is not None:
        raise outcome.error
    runners = {r.spec.name: r for r in outcome.runners}
    for runner in runners.values():
        if runner.error is not None:
            reason = outcome_errors(outcome)[0].message
            raise runner.error if isinstance(runner.error, MediamlError) else AnalyzerError(runner.spec.name, reason)
    if name not in runners or Table.EMBEDDINGS not in runners[name].rows:
        raise MediaError(outcome.media.path, "has no picture to embed")
    rows = runners[name].rows[Table.EMBEDDINGS]
    start, end = np.asarray(rows["start_seconds"]), np.asarray(rows["end_seconds"])
    values = np.asarray(rows["vector"], np.float32)
    if level == "frame":
        return _Rows(start, end, values, "none")
    shots = runners[SHOTS].rows.get(Table.SHOTS, {}) if SHOTS in runners else {}
    spans = np.stack([shots.get("start_seconds", []), shots.get("end_seconds", [])], axis=1).astype(np.float64)
    pooled = pool_shots(start, values, spans)
    if level == "shot":
        return _Rows(pooled.spans[:, 0], pooled.spans[:, 1], pooled.values, pooled.pooling)
    whole = pool_file(pooled)
    return _Rows(start[:1], end[-1:], whole.values, whole.pooling)

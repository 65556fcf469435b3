"""The index sidecar: a FAISS inverted file beside the lake, for more vectors than an exact search should read.

It holds nothing that the tables do not: delete the folder `sidecars` and build it again with `mediaml index LAKE`. An index
answers only for exactly the vectors it was built from; when the lake has others, the search is exact until it is rebuilt.
Chosen by measurement (benchmarks/vector_index.py, benchmarks/results.md): half-precision vectors in inverted lists.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mediaml.derive.inputs import matrix
from mediaml.errors import InvalidValue, LakeUnwritable, UsageError, printable
from mediaml.retrieval.spaces import Space
from mediaml.retrieval.where import HIT
from mediaml.tables import Lake
from mediaml.tables.reader import literal

EXACT_UP_TO = 200_000  # vectors that are compared one by one
FOLDER = "sidecars"
FORMAT = 1
PROBES_SHARE = 1 / 16  # of the inverted lists that a query reads
SMALLEST = 1000  # vectors worth an index
TRAINING_PER_LIST = 40
_BLOCK = 50_000

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, vectors done, vectors in all)."""


@dataclass(slots=True, eq=False)
class VectorIndex:
    """An open index: `rows` are the hits (columns of HIT) in the order of its vectors."""

    rows: pa.Table
    kind: str
    _index: Any
    _lists: int

    @property
    def size(self) -> int:
        return self.rows.num_rows

    def search(
        self, vector: NDArray[np.float32], top: int, allowed: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and cosines of the `top` nearest, best first, among `allowed` positions (None for all)."""
        faiss = _faiss()
        faiss.omp_set_num_threads(1)
        if allowed is not None and len(allowed) == 0:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        probes = max(8, round(self._lists * PROBES_SHARE))
        settings: dict[str, Any] = {"nprobe": probes if allowed is None else self._lists}
        if allowed is not None:
            settings["sel"] = faiss.IDSelectorBatch(allowed)
        scores, at = self._index.search(vector[None], top, params=faiss.SearchParametersIVF(**settings))
        kept = at[0] >= 0
        return at[0][kept], scores[0][kept]

    def positions(self, kept: pa.Table) -> NDArray[np.int64]:
        """Where these hits (media_id, start_seconds, scope) stand in the index."""
        wanted = set(_keys(kept))
        return np.asarray([i for i, key in enumerate(_keys(self.rows)) if key in wanted], np.int64)


def _keys(rows: pa.Table) -> zip[tuple[Any, ...]]:
    return zip(*(rows.column(n).to_pylist() for n in ("media_id", "start_seconds", "scope")), strict=True)


def folder_of(lake: Lake, space: Space) -> Path:
    """Where the index of a space lies."""
    name = hashlib.sha256(f"{space.model}\n{space.weights_sha256}".encode()).hexdigest()[:16]
    return Path(lake.path) / FOLDER / name


def fingerprint(lake: Lake, space: Space) -> str:
    """What tells these vectors from others: changes with every vector that comes, goes or is computed again."""
    chosen = f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)}"
    found = lake.query(
        "SELECT count(*) AS n, max(computed_at)::VARCHAR AS newest, "  # noqa: S608
        "bit_xor(hash(media_id, scope, start_seconds, computed_at))::VARCHAR AS rows "
        f"FROM embeddings WHERE {chosen} AND scope <> 'frame'"
    ).to_pylist()[0]
    return f"{found['n']} {found['newest']} {found['rows']}"


def open_index(lake: Lake, space: Space) -> VectorIndex | None:
    """The index of a space; None where there is none, or where the lake's vectors have changed since."""
    folder = folder_of(lake, space)
    try:
        facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if facts.get("format") != FORMAT or facts.get("fingerprint") != fingerprint(lake, space):
        return None
    faiss = _faiss()
    index = faiss.read_index(str(folder / "vectors.faiss"), faiss.IO_FLAG_MMAP | faiss.IO_FLAG_READ_ONLY)
    return VectorIndex(pq.read_table(folder / "rows.parquet"), facts["kind"], index, int(facts["lists"]))


def build_index(lake: Lake, space: Space, progress: Progress | None = None) -> Path:
    """Builds (or rebuilds) the index of a space and puts it in place at once; the folder.

    Raises UsageError (faiss is not installed), InvalidValue (too few vectors to be worth it), LakeUnwritable.
    """
    from mediaml.retrieval.search import candidates_sql

    faiss = _faiss()
    tell = progress or (lambda *_: None)
    state = fingerprint(lake, space)
    order = "ORDER BY media_id, start_seconds, scope"
    found = lake.query(f"SELECT * FROM ({candidates_sql(space, ', '.join((*HIT, 'vector')))}) {order}")  # noqa: S608
    count = found.num_rows
    if count < SMALLEST:
        raise InvalidValue(
            f"the space {space.model} has {count} vectors; an index is built from {SMALLEST} on, and used above {EXACT_UP_TO}"
        )
    lists = int(min(4096, max(16, count**0.5)))
    kind = f"IVF{lists},SQfp16"
    index = faiss.index_factory(space.dimensions, kind, faiss.METRIC_INNER_PRODUCT)
    tell("training", 0, count)
    sample = np.random.default_rng(0).permutation(count)[: TRAINING_PER_LIST * lists]
    index.train(_unit_rows(matrix(found.column("vector").take(pa.array(np.sort(sample))))))
    for begin in range(0, count, _BLOCK):
        index.add(_unit_rows(matrix(found.column("vector").slice(begin, _BLOCK))))
        tell("adding", min(count, begin + _BLOCK), count)
    facts = {
        "format": FORMAT,
        "fingerprint": state,
        "kind": kind,
        "lists": lists,
        "model": space.model,
        "vectors": count,
    }
    return _put(lake, space, index, found.drop_columns(["vector"]), facts)


def _put(lake: Lake, space: Space, index: Any, rows: pa.Table, facts: dict[str, Any]) -> Path:
    target = folder_of(lake, space)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".index-", dir=target.parent))
        try:
            _faiss().write_index(index, str(made / "vectors.faiss"))
            pq.write_table(rows, made / "rows.parquet")
            (made / "index.json").write_text(json.dumps(facts), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            made.replace(target)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise LakeUnwritable(f"{printable(target)}: the index cannot be written: {error.strerror or error}") from error
    return target


def _unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))


def _faiss() -> Any:
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("an index needs the package faiss; install it with: pip install 'mediaml[search]'") from None
    return faiss

"""The index sidecar: a FAISS index beside the lake, for more vectors than an exact search should read.

It holds nothing that the tables do not: delete the folder `sidecars` and build it again with `mediaml index LAKE`. An index
answers only for exactly the vectors it was built from; when the lake has others, the search is exact until it is rebuilt.
Chosen by measurement (benchmarks/vector_index.py, benchmarks/results.md): every vector is scanned as 4-bit product codes of
two dimensions each, and the best are compared again in half precision. With a condition, the vectors that it leaves are
compared in half precision, all of them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mediaml.derive.inputs import matrix
from mediaml.errors import InvalidValue, LakeUnwritable, printable
from mediaml.retrieval.candidates import candidates_sql
from mediaml.retrieval.space import Space
from mediaml.retrieval.vector_index import BLOCK, VectorIndex, load_faiss
from mediaml.retrieval.warm import warm
from mediaml.retrieval.where import HIT
from mediaml.tables import Lake
from mediaml.tables.reader import literal

EXACT_UP_TO = 200_000  # vectors that are compared one by one
FOLDER = "sidecars"
FORMAT = 3
SMALLEST = 1000  # vectors worth an index
TRAINING = 65_536  # vectors that the codes are learnt from

Progress = Callable[[str, int, int], None]
"""Called with (what is being done, vectors done, vectors in all)."""


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
    """The index of a space; None where there is none, or where the lake's vectors have changed since.

    The vectors in half precision stay on disk and are read where they are compared (memory-mapped); the codes are read whole.
    """
    kept = warm(lake)
    if space not in kept.indexes:
        kept.indexes[space] = _read_index(lake, space)
    return kept.indexes[space]


def _read_index(lake: Lake, space: Space) -> VectorIndex | None:
    folder = folder_of(lake, space)
    try:
        facts = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if facts.get("format") != FORMAT:
        return None
    if facts["state"] != lake.state() and facts["fingerprint"] != fingerprint(lake, space):
        return None
    faiss = load_faiss()
    mapped = getattr(faiss, "IO_FLAG_MMAP_IFC", 0)  # of FAISS 1.11 and later
    index = faiss.read_index(str(folder / "vectors.faiss"), mapped)
    return VectorIndex(pq.read_table(folder / "rows.parquet"), facts["kind"], index)


def build_index(lake: Lake, space: Space, progress: Progress | None = None) -> Path:
    """Builds (or rebuilds) the index of a space and puts it in place at once; the folder.

    Raises UsageError (faiss is not installed), InvalidValue (too few vectors to be worth it), LakeUnwritable.
    """
    faiss = load_faiss()
    tell = progress or (lambda *_: None)
    state, vectors = lake.state(), fingerprint(lake, space)
    order = "ORDER BY media_id, start_seconds, scope"
    found = lake.query(f"SELECT * FROM ({candidates_sql(space, ', '.join((*HIT, 'vector')))}) {order}")  # noqa: S608
    count = found.num_rows
    if count < SMALLEST:
        raise InvalidValue(
            f"the space {space.model} has {count} vectors; an index is built from {SMALLEST} on, and used above {EXACT_UP_TO}"
        )
    pairs = space.dimensions // 2 if space.dimensions % 2 == 0 else space.dimensions
    kind = f"PQ{pairs}x4fs,Refine(SQfp16)"
    index = faiss.index_factory(space.dimensions, kind, faiss.METRIC_INNER_PRODUCT)
    tell("training", 0, count)
    sample = np.random.default_rng(0).permutation(count)[:TRAINING]
    index.train(_unit_rows(matrix(found.column("vector").take(pa.array(np.sort(sample))))))
    for begin in range(0, count, BLOCK):
        index.add(_unit_rows(matrix(found.column("vector").slice(begin, BLOCK))))
        tell("adding", min(count, begin + BLOCK), count)
    facts = {
        "format": FORMAT,
        "state": state,
        "fingerprint": vectors,
        "kind": kind,
        "model": space.model,
        "vectors": count,
    }
    return _put(lake, space, index, found.drop_columns(["vector"]), facts)


def _put(lake: Lake, space: Space, index: Any, rows: pa.Table, facts: dict[str, Any]) -> Path:
    target = folder_of(lake, space)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=".index-", dir=target.parent))
        made.chmod(target.parent.stat().st_mode)  # readable by whoever may read the lake
        try:
            load_faiss().write_index(index, str(made / "vectors.faiss"))
            pq.write_table(rows, made / "rows.parquet")
            (made / "index.json").write_text(json.dumps(facts), encoding="utf-8")
            shutil.rmtree(target, ignore_errors=True)
            made.replace(target)
            warm(lake).indexes.pop(space, None)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    except OSError as error:
        raise LakeUnwritable(f"{printable(target)}: the index cannot be written: {error.strerror or error}") from error
    return target


def _unit_rows(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12))

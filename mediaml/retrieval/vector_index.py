"""An open FAISS index and the hits in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mediaml.errors import UsageError

BLOCK = 50_000  # vectors that are read at once
_COMPARED_AGAIN = 30  # candidates a hit wanted


@dataclass(slots=True, eq=False)
class VectorIndex:
    """An open index: `rows` are the hits (columns of HIT) in the order of its vectors."""

    rows: pa.Table
    kind: str
    _index: Any

    @property
    def size(self) -> int:
        return self.rows.num_rows

    def rows_at(self, positions: NDArray[np.int64]) -> pa.Table:
        """The hits at these positions. (`take` would copy a table in chunks: 30 ms of a million rows.)"""
        return pa.concat_tables([self.rows.slice(0, 0), *(self.rows.slice(int(p), 1) for p in positions)])

    def search(
        self, vector: NDArray[np.float32], top: int, allowed: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Positions and cosines of the `top` nearest, best first, among `allowed` positions (None for all)."""
        faiss = load_faiss()
        faiss.omp_set_num_threads(1)
        if allowed is not None:
            return self._among(vector, top, allowed)
        settings = faiss.IndexRefineSearchParameters(k_factor=_COMPARED_AGAIN)
        scores, at = self._index.search(vector[None], min(top, self.size), params=settings)
        kept = at[0] >= 0
        return at[0][kept], scores[0][kept]

    def _among(
        self, vector: NDArray[np.float32], top: int, allowed: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        refine = load_faiss().downcast_index(self._index.refine_index)
        parts = [
            refine.reconstruct_batch(allowed[begin : begin + BLOCK]) @ vector for begin in range(0, len(allowed), BLOCK)
        ]
        scores = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        best = np.argsort(-scores, kind="stable")[:top]
        return allowed[best], scores[best].astype(np.float32)

    def positions(self, kept: pa.Table) -> NDArray[np.int64]:
        """Where these hits (media_id, start_seconds, scope) stand in the index."""
        return np.flatnonzero(pc.call_function("is_in", [_keys(self.rows)], pc.SetLookupOptions(_keys(kept))))


def _keys(rows: pa.Table) -> pa.Array:
    """What tells a hit from all others, as one text each."""
    columns = [rows.column(n).combine_chunks().cast(pa.string()) for n in ("media_id", "start_seconds", "scope")]
    return pc.call_function("binary_join_element_wise", [*columns, pa.scalar(" ")])


def load_faiss() -> Any:
    """The package. Raises UsageError where it is not installed."""
    try:
        import faiss  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise UsageError("an index needs the package faiss; install it with: pip install 'mediaml[search]'") from None
    return faiss

"""Which index serves a million vectors: recall@10 against exact search, milliseconds a query on one core, seconds to build.

    python -m benchmarks.vector_index                         # 1 M x 512: 2 GB of vectors, about 10 minutes of one core
    python -m benchmarks.vector_index --vectors 100000 --lance

Vectors are synthetic, with the structure of embeddings: scenes within titles in a 64-dimensional subspace, and noise. Queries
are of two kinds: near a stored vector (another picture of the scene), and between scenes, as texts are.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

DIMENSIONS, INTRINSIC, NEIGHBOURS = 512, 64, 10
KINDS = ("IVF,SQ8", "IVF,SQfp16", "PQ256x4fs,Refine(SQfp16)", "IVF,PQ256x4fs,Refine(SQfp16)")
Search = Callable[[NDArray[np.float32]], NDArray[np.int64]]


class World:
    """Scenes in a subspace, from which vectors are drawn; the same for the same count and seed."""

    def __init__(self, count: int, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._basis = self._rng.standard_normal((INTRINSIC, DIMENSIONS), dtype=np.float32) / DIMENSIONS**0.5
        self._scenes = self._rng.standard_normal((max(1, count // 50), INTRINSIC), dtype=np.float32)

    def _near(self, count: int, spread: float) -> NDArray[np.float32]:
        which = self._rng.integers(0, len(self._scenes), count)
        inner = self._scenes[which] + spread * self._rng.standard_normal((count, INTRINSIC), dtype=np.float32)
        made = inner @ self._basis + 0.02 * self._rng.standard_normal((count, DIMENSIONS), dtype=np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)

    def stored(self, count: int) -> NDArray[np.float32]:
        """(count, 512) unit vectors."""
        return self._near(count, 0.5)

    def queries(self, count: int = 50) -> NDArray[np.float32]:
        """(2 * count, 512): near stored vectors, then between scenes."""
        return np.concatenate([self._near(count, s) for s in (0.5, 1.5)])


def vectors(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """(count, 512) unit vectors and (100, 512) queries."""
    world = World(count, seed)
    stored = np.empty((count, DIMENSIONS), np.float32)
    for begin in range(0, count, 100_000):
        end = min(count, begin + 100_000)
        stored[begin:end] = world.stored(end - begin)
    return stored, world.queries()


def exact(stored: NDArray[np.float32], queries: NDArray[np.float32]) -> NDArray[np.int64]:
    scores = queries @ stored.T
    best = np.argpartition(-scores, NEIGHBOURS, axis=1)[:, :NEIGHBOURS]
    order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1)
    return np.take_along_axis(best, order, 1)


def report(name: str, build: float, size: float, search: Search, queries: NDArray, truth: NDArray) -> None:
    search(queries[:1])
    begin = time.process_time()
    found = [search(q[None])[0] for q in queries]
    spent = (time.process_time() - begin) / len(queries)
    recall = [len(set(f) & set(t)) / NEIGHBOURS for f, t in zip(found, truth, strict=True)]
    kinds = f" (near {np.mean(recall[:50]):.4f}, between {np.mean(recall[50:]):.4f})" if len(recall) > 50 else ""
    print(
        f"{name:<44} build {build:7.1f} CPU s  {size:6.0f} MB  {1e3 * spent:7.2f} CPU ms a query  "
        f"recall@10 {np.mean(recall):.4f}{kinds}",
        flush=True,
    )


def faiss_rows(
    stored: NDArray[np.float32], queries: NDArray, truth: NDArray, folder: Path, kinds: Sequence[str]
) -> None:
    import faiss  # pyright: ignore[reportMissingImports]

    faiss.omp_set_num_threads(1)
    lists = int(min(1024, 4 * len(stored) ** 0.5))
    for kind in (k.replace("IVF,", f"IVF{lists},") for k in kinds):
        begin = time.process_time()
        index: Any = faiss.index_factory(DIMENSIONS, kind, faiss.METRIC_INNER_PRODUCT)
        sample = stored[:: max(1, len(stored) // (40 * lists))]
        index.train(np.ascontiguousarray(sample))
        for first in range(0, len(stored), 50_000):
            index.add(stored[first : first + 50_000])
        built = time.process_time() - begin
        faiss.write_index(index, str(folder / "index"))
        size = (folder / "index").stat().st_size / 1e6
        refined = "Refine" in kind
        for probes in (8, 16, 32, 64, 128, 256, 512) if "IVF" in kind else (1,):
            for factor in (10, 30, 100) if refined else (1,):
                settings: Any = faiss.SearchParametersIVF(nprobe=probes) if "IVF" in kind else None
                if refined:
                    settings = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=settings)
                name = f"faiss {kind} nprobe {probes}" + (f" x{factor}" if refined else "")
                report(name, built, size, lambda q, i=index, p=settings: i.search(q, 10, params=p)[1], queries, truth)


def lance_rows(stored: NDArray[np.float32], queries: NDArray, truth: NDArray, folder: Path) -> None:
    import lance  # pyright: ignore[reportMissingImports]
    import pyarrow as pa

    column = pa.FixedSizeListArray.from_arrays(pa.array(stored.ravel()), DIMENSIONS)
    table = pa.table({"id": np.arange(len(stored)), "vector": column})
    begin = time.process_time()
    data = lance.write_dataset(table, str(folder / "vectors.lance"))
    data.create_index("vector", "IVF_PQ", metric="cosine", num_partitions=256, num_sub_vectors=64)
    built = time.process_time() - begin
    size = sum(f.stat().st_size for f in (folder / "vectors.lance" / "_indices").rglob("*") if f.is_file()) / 1e6
    for probes, refine in ((16, 10), (32, 20), (64, 20)):

        def search(q: NDArray, probes: int = probes, refine: int = refine) -> NDArray[np.int64]:
            wanted = {"column": "vector", "q": q[0], "k": 10, "nprobes": probes, "refine_factor": refine}
            return np.asarray([data.to_table(columns=["id"], nearest=wanted)["id"].to_numpy()])

        report(f"lance IVF256,PQ64 nprobes {probes} refine {refine}", built, size, search, queries, truth)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=int, default=1_000_000)
    parser.add_argument("--lance", action="store_true")
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    options = parser.parse_args()
    stored, queries = vectors(options.vectors)
    print(f"{len(stored)} vectors of {DIMENSIONS}", flush=True)
    truth = exact(stored, queries)
    report("exact (matrix product)", 0.0, stored.nbytes / 1e6, lambda q: exact(stored, q), queries[:4], truth[:4])
    with tempfile.TemporaryDirectory() as folder:
        if options.lance:
            lance_rows(stored, queries, truth, Path(folder))
        faiss_rows(stored, queries, truth, Path(folder), options.kinds)


if __name__ == "__main__":
    main()

"""Vectors of windows of sound as rows of `embeddings`, and their mean as the file's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Window = tuple[float, float, NDArray[np.floating]]  # start and end in seconds, vector


def embedding_rows(windows: Sequence[Window], space: str, weights_sha256: str) -> dict[str, list[Any]]:
    """A row a window, and one of scope "file": the mean of the windows, of length 1. No row without a window."""
    rows = [(*w, "window") for w in windows]
    if windows:
        mean = np.mean([w[2] for w in windows], axis=0)
        rows.append((windows[0][0], windows[-1][1], mean / max(float(np.linalg.norm(mean)), 1e-12), "file"))
    return {
        "start_seconds": [r[0] for r in rows],
        "end_seconds": [r[1] for r in rows],
        "scope": [r[3] for r in rows],
        "model": [space] * len(rows),
        "weights_sha256": [weights_sha256] * len(rows),
        "vector": [np.asarray(r[2], np.float32) for r in rows],
    }

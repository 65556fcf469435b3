"""Item-item maps: column j says how much each title of a history speaks for title j, so a score is history @ map.

Warm columns are EASE's, untouched by content. A cold column is the kernel ridge regression of the warm columns on content,
blended with what the trunk predicts in the space of the leading collaborative factors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.rec.baselines.behaviour import ease_weights
from mediaml.rec.trunk import Predicted, Targets, Trunk, TrunkSettings

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Warm:
    """What behaviour says of the warm titles, before content comes in."""

    weights: Floats  # (W, W) EASE
    smooth: Floats  # (W, W) history -> denoised history, the regression's target in place of the raw one
    factors: Floats  # (W, d) singular vectors of the denoised histories times singular values, unit mean square
    users_of: Floats  # (W, d) history -> user factors that match
    counts: Floats  # (W,) users a title


def learn_warm(common: Floats, regularisation: float, factors: int, smoothing: float = 0.75) -> Warm:
    """From the Gram matrix of warm titles. `smoothing` is the share of EASE's scores beside the raw history. # (W, W)"""
    weights = ease_weights(common, regularisation)
    smooth = smoothing * weights + (1 - smoothing) * np.eye(len(weights), dtype=np.float32)
    values, vectors = np.linalg.eigh(smooth.T @ common @ smooth)
    count = min(factors, len(values))
    lengths = np.sqrt(np.maximum(values[::-1][:count], 1e-6))
    leading = vectors[:, ::-1][:, :count]
    scaled = leading * lengths
    unit = max(float(np.sqrt(np.square(scaled).mean())), 1e-9)
    users_of = (smooth @ leading) / lengths * unit
    return Warm(
        weights, smooth, (scaled / unit).astype(np.float32), users_of.astype(np.float32), np.diag(common).copy()
    )


def kernel(distance: Floats, width: float) -> Floats:
    """Laplacian kernel exp(-width * sqrt(distance)), (0, 1]; the median pair of titles has distance 1."""
    return np.exp(-width * np.sqrt(distance)).astype(np.float32)


def kernel_columns(warm: Warm, similar: Floats, is_warm: Bools, penalty: float) -> Floats:
    """Kernel ridge regression of the cold columns. # similar: (I, I) -> (W, I - W)"""
    inner = similar[np.ix_(is_warm, is_warm)] + penalty * np.eye(int(is_warm.sum()), dtype=np.float32)
    return warm.smooth @ np.linalg.solve(inner, similar[np.ix_(is_warm, ~is_warm)])


def trunk_columns(
    warm: Warm, rows: Floats, is_warm: Bools, settings: TrunkSettings, tags: Floats | None, completion: Floats | None
) -> tuple[Floats, Predicted]:
    """The trunk's cold columns, and all that its heads say of cold titles. # rows: (I, C) -> (W, I - W)"""
    targets = Targets(
        warm.factors,
        np.log1p(warm.counts).astype(np.float32),
        None if tags is None else tags[is_warm],
        None if completion is None else completion[is_warm],
    )
    said = Trunk(settings).fit(rows[is_warm], targets).predict(rows[~is_warm])
    return warm.users_of @ said.factors.T, said

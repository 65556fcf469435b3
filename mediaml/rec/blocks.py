"""What is known of titles before anyone has seen them: named blocks of numbers, each with a mask of who has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import InvalidValue

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """One modality: a row a title. Rows where `present` is false are never read."""

    name: str
    values: Floats  # (titles, D)
    present: Bools  # (titles,)


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """Blocks over the same titles, in the same order."""

    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        if not self.blocks:
            raise InvalidValue("content without a block; give at least one modality")
        for block in self.blocks:
            if len(block.values) != len(self.blocks[0].values) or len(block.present) != len(block.values):
                raise InvalidValue(f"block {block.name!r} has another number of titles than {self.blocks[0].name!r}")
            bad = int((~np.isfinite(block.values[block.present])).any(axis=1).sum())
            if bad:
                raise InvalidValue(
                    f"block {block.name!r}: {bad} present rows hold NaN or infinity; mark them absent or mend them"
                )

    @property
    def titles(self) -> int:
        return len(self.blocks[0].values)

    def rows(self, order: NDArray[np.integer] | Bools) -> Content:
        """The chosen titles, or the same ones in another order: a shuffle is `content.rows(permutation)`."""
        return Content(tuple(Block(b.name, b.values[order], b.present[order]) for b in self.blocks))


def make_content(blocks: Sequence[tuple[str, NDArray]]) -> Content:
    """Content of (name, values) pairs; a row with any NaN counts as absent."""
    made = []
    for name, values in blocks:
        array = np.asarray(values, dtype=np.float32)
        array = array[:, None] if array.ndim == 1 else array
        made.append(Block(name, array, np.asarray(np.isfinite(array).all(axis=1))))
    return Content(tuple(made))


def standardise(content: Content, fit_on: Bools) -> Content:
    """Every column to mean 0 and variance 1 / D over the titles of `fit_on` that have it, so that blocks weigh the same.

    Columns that do not vary there become 0. A block that no title of `fit_on` has is left out; at least one must remain.
    """
    made = []
    for block in content.blocks:
        known = block.values[block.present & fit_on].astype(np.float64)
        if not len(known):
            continue
        spread = known.std(axis=0)
        scale = np.where(spread > 1e-9, 1.0 / np.maximum(spread, 1e-9), 0.0) / np.sqrt(
            max(1, int((spread > 1e-9).sum()))
        )
        scaled = (block.values - known.mean(axis=0)) * scale
        made.append(Block(block.name, np.where(block.present[:, None], scaled, 0.0).astype(np.float32), block.present))
    if not made:
        raise InvalidValue("no title with behaviour has content; join the tables on the same title ids")
    return Content(tuple(made))


def distances(content: Content) -> Floats:
    """Squared distance of all pairs, averaged over the blocks that both have; the median pair has 1. # (I, I)

    Pairs without a common block get the greatest distance there is.
    """
    total = np.zeros((content.titles, content.titles), np.float32)
    shared = np.zeros_like(total)
    for block in content.blocks:
        norms = np.einsum("ij,ij->i", block.values, block.values)
        both = np.outer(block.present, block.present)
        total += both * np.maximum(norms[:, None] + norms[None] - 2 * block.values @ block.values.T, 0.0)
        shared += both
    mean = np.where(shared > 0, total / np.maximum(shared, 1.0), np.nan)
    np.fill_diagonal(mean, 0.0)
    mean = np.where(np.isnan(mean), np.nanmax(mean), mean)
    off_diagonal = mean[~np.eye(len(mean), dtype=bool)]
    return mean / max(float(np.median(off_diagonal)), 1e-9)


def design(content: Content) -> Floats:
    """All blocks side by side and their masks: absent values are 0 and their mask says so. # (I, sum of D + blocks)"""
    masks = np.stack([b.present for b in content.blocks], axis=1).astype(np.float32)
    return np.concatenate([*(b.values for b in content.blocks), masks], axis=1)

"""Fits the regressions of mediaml/nets/nr_kernel.py, in closed form, and says what they predict for what was left out.

A source left out, of a codec that is known: the block formula of Wahba (1990). A source and a codec left out: the same after
all encodes of that codec were taken out of the inverse. Errors of the first kind teach the second regression what to expect
of known codecs, errors of the second kind teach the third what to expect of others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from mediaml.nets.nr_kernel import OWN, Kernel, coarse, expected, matern

PENALTY = 0.02  # what is added to the kernel's diagonal
_ERROR_PENALTY = 3.0  # the errors' own: they are far noisier
_ERROR_STEP = 3  # and every so manieth point is enough for them
_VIEW_STEP = 3  # and for views that lack something
_LEAST = 0.5  # points of error, added before the logarithm


class Data(NamedTuple):
    """What is learned from. pictures (M, P, D): inputs of the P pictures of each encode; quality (M,) points of VMAF;
    groups, codecs (M,): whole numbers that name sources and codecs."""

    pictures: Tensor
    quality: Tensor
    groups: Tensor
    codecs: Tensor

    def at(self, rows: Tensor) -> Data:
        return Data(*(column[rows] for column in self))


class LeftOut(NamedTuple):
    """(M, P) of the pictures of each encode, by a model that never saw what was left out: quality and expected error."""

    quality: Tensor
    error: Tensor


Without = Iterator[tuple[Tensor, Tensor]]  # some points, and the numbers (M,) of a regression that is without them


@torch.no_grad()
def fit(kernel: Kernel, data: Data, seen: Tensor, every: int = _VIEW_STEP) -> tuple[Tensor, LeftOut, LeftOut]:
    """Least squares in the kernel's space at the mean of an encode's pictures, as it is stored; seen (V, M): the points that
    each view learns from, all but the first from `every` so manieth of them. Of the first view: which points those are, and
    what other sources predict for them, and what other sources of other codecs do."""
    kernel.points, kernel.codecs = coarse(data.pictures.mean(dim=1)), data.codecs.to(torch.int16)
    kernel.coefficients = torch.zeros(len(kernel.views), 3, len(data.quality))
    first: tuple[Tensor, LeftOut, LeftOut] | None = None
    for number, use in enumerate(kernel.views):
        at = seen[number].nonzero()[:: every if number else 1, 0]
        view = View(data.at(at), kernel.points[at], use)
        for target, solved in enumerate((view.quality, view.error, view.other_error)):
            kernel.coefficients[number, target, at] = solved.numbers.float()
            kernel.middles[number, target] = float(solved.middle)
        first = first or (at, view.known(), view.other())
    assert first is not None
    return first


class View:
    """The three regressions of one view."""

    def __init__(self, data: Data, points: Tensor, use: Tensor) -> None:
        """`points` (M, D): the means of the pictures' inputs, as they are stored."""
        self._data, self._use = data, use
        self._points = points * use
        shared = matern(self._points.double(), self._points.double())
        own = shared * self._own(data.codecs)
        wanted = data.quality.double()
        self.quality = _Solved(own, PENALTY, wanted)
        found = torch.zeros_like(wanted)
        for mine, numbers in self.quality.without(data.groups):
            found[mine] = own[mine] @ numbers
        self.error = _Solved(own, _ERROR_PENALTY, self._log_error(found), _ERROR_STEP)
        self._without_codecs = list(self.quality.without_codecs(data.groups, data.codecs))
        for mine, numbers in self._without_codecs:
            found[mine] = shared[mine] @ numbers
        self.other_error = _Solved(shared, _ERROR_PENALTY, self._log_error(found), _ERROR_STEP)

    def known(self) -> LeftOut:
        """By the other sources."""
        groups = self._data.groups
        return LeftOut(
            self._predicted(self.quality, self.quality.without(groups), own=True).clamp(0, 100),
            expected(self._predicted(self.error, self.error.without(groups), own=True)),
        )

    def other(self) -> LeftOut:
        """By the other sources of other codecs."""
        groups = self._data.groups
        return LeftOut(
            self._predicted(self.quality, self._without_codecs, own=False).clamp(0, 100),
            expected(self._predicted(self.other_error, self.other_error.without(groups), own=False)),
        )

    def _own(self, codecs: Tensor) -> Tensor:
        return 1 + OWN * (codecs[:, None] == self._data.codecs)

    def _log_error(self, found: Tensor) -> Tensor:
        """Of predictions less the middle."""
        return (((found + self.quality.middle).clamp(0, 100) - self._data.quality).abs() + _LEAST).log()

    def _predicted(self, solved: _Solved, without: Iterable[tuple[Tensor, Tensor]], *, own: bool) -> Tensor:
        """(M, P)"""
        pictures = self._data.pictures
        found = torch.zeros(pictures.shape[:2])
        for mine, numbers in without:
            x = (pictures[mine] * self._use).flatten(0, 1).double()
            kernel = matern(x, self._points.double())
            if own:
                kernel *= self._own(self._data.codecs[mine].repeat_interleave(pictures.shape[1]))
            found[mine] = (solved.middle + kernel @ numbers).float().view(len(mine), -1)
        return found


class _Solved:
    """One regression: its numbers (M,), 0 for all but every `step`-th point, and its middle."""

    def __init__(self, kernel: Tensor, penalty: float, wanted: Tensor, step: int = 1) -> None:
        self._rows = torch.arange(0, len(wanted), step)
        steadied = kernel[self._rows][:, self._rows]
        steadied.diagonal().add_(penalty)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(steadied))
        self.middle = wanted[self._rows].mean()
        self._wanted = wanted[self._rows] - self.middle
        self._solved = self.inverse @ self._wanted
        self._count = len(wanted)

    @property
    def numbers(self) -> Tensor:
        return self._placed(self._solved)

    def _placed(self, numbers: Tensor) -> Tensor:
        found = numbers.new_zeros(self._count)
        found[self._rows] = numbers
        return found

    def without(self, groups: Tensor) -> Without:
        """Every group left out."""
        for group in groups.unique():
            own = (groups[self._rows] == group).nonzero()[:, 0]
            left = self._placed(_without(self.inverse, self._solved, own))
            yield (groups == group).nonzero()[:, 0], left

    def without_codecs(self, groups: Tensor, codecs: Tensor) -> Without:
        """Every group left out together with every codec of which it has encodes; of regressions with all points."""
        for codec in codecs.unique():
            out, rest = (codecs == codec).nonzero()[:, 0], (codecs != codec).nonzero()[:, 0]
            cross = self.inverse[rest][:, out]
            inverse = self.inverse[rest][:, rest] - cross @ torch.linalg.solve(self.inverse[out][:, out], cross.T)
            numbers = inverse @ self._wanted[rest]
            for group in groups[out].unique():
                left = torch.zeros_like(self._solved)
                left[rest] = _without(inverse, numbers, (groups[rest] == group).nonzero()[:, 0])
                yield out[groups[out] == group], left


def _without(inverse: Tensor, numbers: Tensor, mine: Tensor) -> Tensor:
    """The numbers without some points, 0 for those (Wahba 1990, by blocks)."""
    if not len(mine):
        return numbers
    rest = numbers - inverse[:, mine] @ torch.linalg.solve(inverse[mine][:, mine], numbers[mine])
    rest[mine] = 0
    return rest

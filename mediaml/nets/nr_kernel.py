"""A kernel ridge regression over training encodes (Saunders et al. 1998), and one on its errors: what mediaml_nr learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

LENGTH, PENALTY = 60.0, 0.02  # how far points are alike; what is added to the kernel's diagonal
_ERROR_PENALTY = 3.0  # the errors' own: they are far noisier
_LEAST = 0.5  # points of error, added before the logarithm


class Kernel(nn.Module):
    """quality = middle + sum_i a_i k(|u (x - x_i)|); the same with other numbers for the log of its error.

    u (D,) of zeros and ones leaves out what is not known about x: there are several such views, each with coefficients of
    its own. views (V, D), points (M, D) half precision, coefficients (V, 2, M), middles (V, 2).
    """

    points: Tensor
    views: Tensor
    coefficients: Tensor
    middles: Tensor

    def __init__(self, count: int, views: Tensor) -> None:
        super().__init__()
        self.register_buffer("views", views, persistent=False)
        self.register_buffer("points", torch.zeros(count, views.shape[1], dtype=torch.float16))
        self.register_buffer("coefficients", torch.zeros(len(views), 2, count))
        self.register_buffer("middles", torch.zeros(len(views), 2))

    def forward(self, x: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """(N, D) and the view of each row (N,) -> quality (N,), not cut to 0..100, and its expected error (N,) > 0."""
        found = x.new_zeros(len(x), 2)
        for number in view.unique().tolist():
            rows, use = view == number, self.views[number].bool()
            kernel = _matern(x[rows][:, use].double(), self.points[:, use].double()).float()
            found[rows] = self.middles[number] + kernel @ self.coefficients[number].T
        return found[:, 0], _expected(found[:, 1])

    @torch.no_grad()
    def fit(self, points: Tensor, quality: Tensor, groups: Sequence[str]) -> LeftOut:
        """Least squares in the kernel's space at `points` (M, D), as they are stored; `groups` names each one's source.

        The errors that the second regression learns are those for a source that was left out.
        """
        self.points = points.half()
        self.coefficients = torch.zeros(len(self.views), 2, len(points))
        members = {name: torch.tensor([i for i, g in enumerate(groups) if g == name]) for name in dict.fromkeys(groups)}
        solved: list[_Solved] = []
        for number, use in enumerate(self.views.bool()):
            seen = self.points[:, use].double()
            kernel = _matern(seen, seen)
            first = _Solved(kernel, PENALTY, quality)
            error = (first.left_out(members) - quality).abs()
            second = _Solved(kernel, _ERROR_PENALTY, (error + _LEAST).log())
            for column, found in enumerate((first, second)):
                self.coefficients[number, column], self.middles[number, column] = found.numbers.float(), found.middle
            solved += [first, second]
        return LeftOut(self.points, self.views[0].bool(), members, (solved[0], solved[1]))


class _Solved:
    """One regression: its numbers (M,), and what they would be without a group, in closed form (Wahba 1990, by blocks)."""

    def __init__(self, kernel: Tensor, penalty: float, wanted: Tensor) -> None:
        steadied = kernel.clone()
        steadied.diagonal().add_(penalty)
        self.inverse = torch.cholesky_inverse(torch.linalg.cholesky(steadied))
        self.wanted, self.middle = wanted, wanted.mean()
        self.numbers = self.inverse @ (wanted - self.middle).double()

    def errors(self, group: Tensor) -> Tensor:
        """(G,): what the group's own points are, less what the others predict for them."""
        return torch.linalg.solve(self.inverse[group][:, group], self.numbers[group])

    def without(self, group: Tensor) -> Tensor:
        """(M,): the numbers without the group, 0 for its own."""
        rest = self.numbers - self.inverse[:, group] @ self.errors(group)
        rest[group] = 0
        return rest

    def left_out(self, members: Mapping[str, Tensor]) -> Tensor:
        """(M,): what the other groups predict for each point."""
        found = self.wanted.double().clone()
        for group in members.values():
            found[group] -= self.errors(group)
        return found.float()


class LeftOut(NamedTuple):
    """The first view's regressions without one source of the training."""

    points: Tensor
    use: Tensor
    members: Mapping[str, Tensor]
    solved: tuple[_Solved, _Solved]

    def __call__(self, x: Tensor, group: str) -> tuple[Tensor, Tensor]:
        """Inputs (N, D) of one source -> quality and expected error (N,), as `Kernel.forward` gives them, of the others; of
        all where no point is of that source."""
        kernel = _matern(x[:, self.use].double(), self.points[:, self.use].double())
        quality, error = (
            (s.middle + kernel @ s.without(self.members.get(group, torch.tensor([], dtype=torch.int64)))).float()
            for s in self.solved
        )
        return quality, _expected(error)


def _expected(log_error: Tensor) -> Tensor:
    return log_error.clamp(-2, 4).exp()


def _matern(a: Tensor, b: Tensor) -> Tensor:
    """The Matern kernel of smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17)."""
    far = torch.cdist(a, b) * (5**0.5 / LENGTH)
    return (1 + far + far.square() / 3) * torch.exp(-far)

"""A kernel ridge regression over training encodes (Saunders et al. 1998), and one on its errors: what mediaml_nr learns.

What all codecs share and what is a codec's own are two parts of one covariance, as in multi-task Gaussian processes (Bonilla
et al. 2007): k(x, x') (1 + s [same codec]). A codec that was trained on is predicted with both, any other with what they
share. Fitting it: pipelines/nr_fit.py.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LENGTH = 60.0  # how far points are alike
OWN = 0.1  # s: how much of what is learned is a codec's own
UNKNOWN = -1  # the codec of an encode whose codec was not trained on
_MOST_CODE = 127
_TARGETS = 3  # quality; log of its error for a codec that was trained on, and for one that was not


class Kernel(nn.Module):
    """quality = middle + sum_i a_i k(u x, u x_i) (1 + s [codec = codec_i]); the same with other numbers for the log of its
    error.

    u (D,) weighs the inputs, 0 for what is not known about x: there are several such views, each with coefficients of its
    own. views (V, D), points (M, D) as `coarse` leaves them, codecs (M,) whole numbers from 0, coefficients (V, 3, M), 0 for
    points that a view does not learn from, middles (V, 3).
    """

    points: Tensor
    codecs: Tensor
    views: Tensor
    coefficients: Tensor
    middles: Tensor

    def __init__(self, count: int, views: Tensor) -> None:
        super().__init__()
        self.register_buffer("views", views, persistent=False)
        self.register_buffer("points", torch.zeros(count, views.shape[1]))
        self.register_buffer("codecs", torch.zeros(count, dtype=torch.int16))
        self.register_buffer("coefficients", torch.zeros(len(views), _TARGETS, count))
        self.register_buffer("middles", torch.zeros(len(views), _TARGETS))

    def forward(self, x: Tensor, view: Tensor, codec: int) -> tuple[Tensor, Tensor]:
        """(N, D), the view of each row (N,) and the codec of all -> quality (N,), not cut to 0..100, and its expected error
        (N,) > 0."""
        found = x.new_zeros(len(x), 2)
        columns = [0, 2] if codec == UNKNOWN else [0, 1]
        own = (1 + OWN * (self.codecs == codec)).to(x.device)
        for number in view.unique().tolist():
            rows, use = view == number, self.views[number]
            kernel = matern((x[rows] * use).double(), (self.points * use).double()).float() * own
            found[rows] = self.middles[number, columns] + kernel @ self.coefficients[number, columns].T
        return found[:, 0], expected(found[:, 1])


def coarse(points: Tensor) -> Tensor:
    """(M, D) with each column on a grid of 255 levels, as files hold it in a byte a number."""
    codes, step = codes_of(points)
    return codes * step


def codes_of(points: Tensor) -> tuple[Tensor, Tensor]:
    """(M, D) int8 codes and the step of each column (D,); exact for what `coarse` gave."""
    step = (points.abs().amax(dim=0) / _MOST_CODE).clamp(min=1e-6)
    return (points / step).round().to(torch.int8), step


def expected(log_error: Tensor) -> Tensor:
    """Points of error, from a log that is kept within what training saw."""
    return log_error.clamp(-2, 4).exp()


def matern(a: Tensor, b: Tensor) -> Tensor:
    """The Matern kernel of smoothness 5/2 (Rasmussen & Williams 2006, eq. 4.17)."""
    far = torch.cdist(a, b) * (5**0.5 / LENGTH)
    return (1 + far + far.square() / 3) * torch.exp(-far)

"""Detail loss at one scale on the CPU: what `adm` sums, in strips that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

COS_1_DEGREE_SQUARED = 0.9996954202651978  # cos(1 degree)^2 in single precision, as libvmaf has it
CSF_STEP = 4096.0  # finest scale: the weighted impairment is rounded to 1 / 4096 ...
NEIGHBOUR, ITSELF = 4369 / 4096, 8738 / 4096  # ... and its 1/30 and 1/15, in units of 2^-17, to whole numbers
MASK_STEP = 2.0**17
_ROWS = 48  # of a strip


class Setting(NamedTuple):
    """One way to sum. csf: weights of the three bands; limit: of the gain that counts; aim: whether impairment is wanted."""

    csf: tuple[float, float, float]
    limit: float
    aim: bool


class Scale(NamedTuple):
    """What libvmaf's fixed point does at a scale: the finest rounds masks; coarser ones divide by 15-bit reciprocals, too
    small by `reciprocal` on average, and round squares up by `square_bias`."""

    finest: bool
    reciprocal: float
    square_bias: float


def sums_of_cubes(
    o: Tensor, t: Tensor, area: tuple[int, int], settings: Sequence[Setting], scale: Scale
) -> tuple[list[Tensor], Tensor]:
    """Detail bands (3, h + 2, w + 2) of the reference and the distorted picture, `area` (h, w) ->
    for each setting (2, 3): masked detail kept and impairment added; and (3,) detail that is there. All float64."""
    height, width = area
    room = _Room(o, min(_ROWS, height) + 2, width + 2)
    found = [torch.zeros(2, 3, dtype=torch.float64) for _ in settings]
    there = torch.zeros(3, dtype=torch.float64)
    for top in range(0, height, _ROWS):
        strip = slice(top, min(top + _ROWS, height) + 2)
        room.cut(strip.stop - top)
        there += _there(o[:, strip], room, scale.square_bias)
        for sums, setting in zip(found, settings, strict=True):
            restored = _restored(o[:, strip], t[:, strip], setting.limit, scale.reciprocal, room)
            loss = torch.sub(t[:, strip], restored, out=room.loss)
            csf = o.new_tensor(setting.csf).view(3, 1, 1)
            sums[0] += _masked(restored, loss, csf, scale.finest, room)
            if setting.aim:
                sums[1] += _masked(loss, restored, csf, scale.finest, room)
    return found, there


class _Room:
    """Memory for one strip, reused: three-band arrays with the frame of one pixel and without, and single planes."""

    def __init__(self, like: Tensor, rows: int, columns: int) -> None:
        self._bands = like.new_empty(4, 3 * rows * columns)
        self._planes = like.new_empty(5, rows * columns)
        self._columns = columns
        self.cut(rows)

    def cut(self, rows: int) -> None:
        """For a strip of so many rows, frame included."""
        wide, inside = (rows, self._columns), (rows - 2, self._columns - 2)
        outer = [b[: 3 * wide[0] * wide[1]].view(3, *wide) for b in self._bands]
        self.restored, self.loss, self.wide, self.wider = outer
        inner = [b[: 3 * inside[0] * inside[1]].view(3, *inside) for b in self._bands[2:]]
        self.inner, self.cubes = inner
        planes = [p[: wide[0] * wide[1]].view(wide) for p in self._planes]
        self.oo, self.tt, self.dot, self.flag, self.factor = planes
        self.threshold = self._planes[4, : inside[0] * inside[1]].view(inside)
        self.lines = self._planes[3, : inside[0] * wide[1]].view(inside[0], wide[1])


def _there(o: Tensor, room: _Room, bias: float) -> Tensor:
    detail = torch.abs(o[:, 1:-1, 1:-1], out=room.inner)
    squares = torch.mul(detail, detail, out=room.cubes)
    return _dots(squares.add_(bias) if bias else squares, detail)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """(3, h, w) twice -> (3,) float64 sums of products, band by band."""
    return torch.stack([torch.dot(x.reshape(-1), y.reshape(-1)) for x, y in zip(a, b, strict=True)]).double()


def _restored(o: Tensor, t: Tensor, limit: float, reciprocal: float, room: _Room) -> Tensor:
    """What is left of detail `o`: `t` between 0 and `o`; beyond `o` where only contrast grew (within 1 degree)."""
    if limit > 1:
        _same_angle(o, t, room)
        if reciprocal != 1:
            factor = torch.mul(room.flag, 1 - reciprocal, out=room.factor).add_(reciprocal)
            t = torch.mul(t, factor, out=room.loss)
        factor = torch.mul(room.flag, limit - 1, out=room.factor).add_(1)
        o = torch.mul(o, factor, out=room.restored)
    elif reciprocal != 1:
        t = torch.mul(t, reciprocal, out=room.loss)
    low = torch.clamp_max(o, 0, out=room.wide)
    high = torch.clamp_min(o, 0, out=room.wider)
    return torch.clamp(t, low, high, out=room.restored)


def _same_angle(o: Tensor, t: Tensor, room: _Room) -> None:
    """flag = 1 where the two bands' directions lie within 1 degree, else 0."""
    (oh, ov), (th, tv) = o[:2], t[:2]
    for out, (a, b, c, d) in ((room.oo, (oh, oh, ov, ov)), (room.tt, (th, th, tv, tv)), (room.dot, (oh, th, ov, tv))):
        torch.mul(a, b, out=out).addcmul_(c, d)
    torch.abs(room.dot, out=room.flag).mul_(room.dot)
    room.oo.mul_(COS_1_DEGREE_SQUARED).mul_(room.tt)
    torch.ge(room.flag, room.oo, out=room.flag)


def _masked(signal: Tensor, masker: Tensor, csf: Tensor, finest: bool, room: _Room) -> Tensor:
    """Weighted signal above the threshold that the masker sets, (3, h + 2, w + 2) both -> (3,) float64 sums of cubes."""
    threshold = (_fine_threshold if finest else _threshold)(masker, csf, room)
    visible = torch.mul(signal[:, 1:-1, 1:-1], csf, out=room.inner).abs_().sub_(threshold).clamp_min_(0)
    return _dots(torch.mul(visible, visible, out=room.cubes), visible)


def _threshold(masker: Tensor, csf: Tensor, room: _Room) -> Tensor:
    near = _added(torch.mul(masker, csf, out=room.wide).abs_(), room.dot)
    return _boxed(near, room).add_(near[1:-1, 1:-1]).mul_(1 / 30)


def _fine_threshold(masker: Tensor, csf: Tensor, room: _Room) -> Tensor:
    codes = torch.mul(masker, csf * CSF_STEP, out=room.wide).abs_().round_()
    near = _added(torch.mul(codes, NEIGHBOUR, out=room.wider).round_(), room.dot)
    here = _added(codes.mul_(ITSELF).round_(), room.oo)
    inside = (slice(1, -1), slice(1, -1))
    return _boxed(near, room).add_(here[inside]).sub_(near[inside]).mul_(1 / MASK_STEP)


def _added(bands: Tensor, out: Tensor) -> Tensor:
    """(3, h, w) -> (h, w)."""
    return torch.add(bands[0], bands[1], out=out).add_(bands[2])


def _boxed(x: Tensor, room: _Room) -> Tensor:
    """Sum over each pixel's 3x3 neighbourhood; (h + 2, w + 2) -> (h, w)."""
    lines = torch.add(x[:-2], x[1:-1], out=room.lines).add_(x[2:])
    return torch.add(lines[:, :-2], lines[:, 1:-1], out=room.threshold).add_(lines[:, 2:])

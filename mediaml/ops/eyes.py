"""How open the eyes of a face are, from the picture around the two points where a face detector puts them.

An open eye shows a dark disc, the iris: 11.7 mm across (Rüfer et al. 2005, Cornea 24(3)), where pupils are 63 mm apart
(Dodgson 2004, SPIE 5291), so 0.19 of their distance; lids cover a part of it. A shut eye shows the line of its lashes, a
quarter as thick, or nothing. The measure is the darkness summed down the eye, without what is thinner than half an iris:
depth below the skin around it, as a share of the skin's luma, times thickness in distances of the eyes. It depends on the
eyes' colour and on the light, so it orders pictures of one face in one light, a shot, and nothing else. Dark glasses and deep
shadows look open.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

LEAST_DISTANCE_PX = 28.0
"""Between the eyes; an eye is then 12 px wide. Below it a lash line and an iris cannot be told apart."""
_ACROSS, _UP, _DOWN = 0.20, 0.20, 0.22  # of the patch, in distances: half its width, and up and down from the eye
_LINE, _REACH = (
    0.0875,
    0.26,
)  # what is dark over a smaller height is a line, over a greater one a shadow, hair or a brow
_STEP = 0.0125  # of its samples, in distances


Point = tuple[float, float]


def eye_openness(luma: Tensor, left: Point, right: Point, nose: Point) -> float:
    """Openness of the eyes of a face, 0 to about 0.2; NaN where they are too small.

    The eye farther from the nose counts more: of a turned face the other one is seen edgewise, against hair or background.

    luma               (H, W) float in [0, 1]
    left, right, nose  (x, y) in px of `luma`; the eyes in any order
    """
    distance = math.dist(left, right)
    if distance < LEAST_DISTANCE_PX:
        return math.nan
    weights = [math.dist(eye, nose) ** 4 + 1e-9 for eye in (left, right)]
    found = [_openness(_patch(luma, eye, left, right, distance)) for eye in (left, right)]
    return sum(w * o for w, o in zip(weights, found, strict=True)) / sum(weights)


def luma_of(picture: Tensor) -> Tensor:
    """(3, H, W) RGB uint8 -> (H, W) luma of ITU-R BT.709 in [0, 1]."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722], device=picture.device) / 255
    return torch.einsum("chw,c->hw", picture.float(), weights)


def _patch(luma: Tensor, centre: Point, left: Point, right: Point, distance: float) -> Tensor:
    """(rows, columns) around one eye, levelled along the line of the eyes, `_STEP` distances a sample."""
    (x0, y0), (x1, y1) = sorted((left, right))
    along = torch.tensor([x1 - x0, y1 - y0], dtype=torch.float32, device=luma.device)  # one distance to the right
    down = torch.stack([-along[1], along[0]])
    columns = torch.arange(-_ACROSS, _ACROSS + 1e-6, _STEP, device=luma.device)
    rows = torch.arange(-_UP, _DOWN + 1e-6, _STEP, device=luma.device)
    places = torch.tensor(centre, device=luma.device) + rows[:, None, None] * down + columns[None, :, None] * along
    blur = max(1, round(_STEP * distance))
    picture = luma[None, None]
    if blur > 1:
        picture = F.avg_pool2d(F.pad(picture, (blur // 2, (blur - 1) // 2) * 2, mode="replicate"), blur, stride=1)
    size = torch.tensor([luma.shape[1], luma.shape[0]], dtype=torch.float32, device=luma.device)
    grid = (2 * places + 1) / size - 1
    return F.grid_sample(picture, grid[None], padding_mode="border", align_corners=False)[0, 0]


def _openness(patch: Tensor) -> float:
    skin = float(patch.median())
    if skin <= 0.02:
        return 0.0
    lit = _least(_most(patch, _REACH), _REACH)
    depth = (lit - patch).clamp(min=0) / skin  # dark between lighter places above and below: a black top-hat
    depth = _most(_least(depth, _LINE), _LINE)
    summed = depth.sum(0) * _STEP
    return min(1.0, float(summed.unfold(0, round(0.10 / _STEP), 1).mean(1).max()))


def _most(values: Tensor, height: float) -> Tensor:
    """(rows, columns): the largest value of each column within `height` distances."""
    reach = 2 * round(height / _STEP / 2) + 1
    padded = F.pad(values[None, None], (0, 0, reach // 2, reach // 2), value=-math.inf)
    return F.max_pool2d(padded, (reach, 1), stride=1)[0, 0]


def _least(values: Tensor, height: float) -> Tensor:
    return -_most(-values, height)

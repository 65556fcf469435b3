"""QP of a codec -> the size of its quantisation step, one scale for all codecs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MPEG = ("mpeg1video", "mpeg2video", "mpeg4", "h263", "flv1", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2")
# VP9's ac_qlookup at 8 bits (VP9 bitstream specification, 8.6.1) at knots; between them it is linear to within 1 %
_VP9_KNOTS = (
    (0, 4), (1, 8), (95, 102), (120, 152), (142, 203), (157, 255), (167, 305), (176, 359), (183, 408), (189, 456),
    (199, 550), (209, 663), (219, 801), (229, 969), (239, 1173), (249, 1479), (255, 1828),
)  # fmt: skip
# VP8's ac_qlookup (RFC 6386, 14.1) at knots; between them it is linear
_VP8_KNOTS = ((0, 4), (54, 58), (83, 116), (102, 173), (116, 229), (118, 239), (119, 245), (120, 249), (127, 284))
_STEPS = ("theora", "mjpeg")  # whose headers say the step itself


def log2_step(codec: str, qp: Tensor) -> Tensor:
    """QP as decode.coded gives it, any shape -> log2 of the step between reconstruction levels of an orthonormal transform of
    8-bit samples, float32; NaN stays NaN, and codecs whose QP is not known give NaN.

    H.264, HEVC and VVC: 2^((QP - 4) / 6) (Rec. ITU-T H.264, 8.5.9; H.265, 8.6.4.2; H.266, 8.7.3); VP9 and AV1: an eighth of
    the AC step, which both look up in one table (AV1 specification, 7.12.2, at 8 bits); VP8: half of its AC step; Theora and
    JPEG: the step as it is; MPEG-1, 2 and 4 part 2, H.263 and its kin: twice quantiser_scale, which is what FFmpeg exports.
    """
    qp = qp.to(torch.float32)
    if codec in ("h264", "hevc", "vvc"):
        return (qp - 4) / 6
    if codec in ("vp9", "av1"):
        return _looked_up(_VP9_KNOTS, qp).log2() - 3
    if codec == "vp8":
        return _looked_up(_VP8_KNOTS, qp).log2() - 1
    if codec in _MPEG:
        return torch.log2(qp.clamp(min=1))
    if codec in _STEPS:
        return torch.log2(qp.clamp(min=0.25))
    return torch.full_like(qp, math.nan)


def _looked_up(table: Sequence[tuple[int, int]], qp: Tensor) -> Tensor:
    """Linear between the knots."""
    knots = torch.tensor(table, dtype=torch.float32, device=qp.device)
    inside = qp.clamp(0, table[-1][0] - 0.001)
    at = torch.bucketize(inside, knots[:, 0].contiguous(), right=True).clamp(1, len(knots) - 1)
    (x0, y0), (x1, y1) = knots[at - 1].unbind(-1), knots[at].unbind(-1)
    return y0 + (y1 - y0) * (qp - x0) / (x1 - x0)

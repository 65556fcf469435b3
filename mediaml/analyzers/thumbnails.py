"""Thumbnails: few small JPEGs that show what a file looks like over time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.frames import FrameBatch
from mediaml.ops.colour import rgb_luma
from mediaml.ops.filters import separable
from mediaml.spec import Column, Need, Spec, Table, View

VIEW = View.rgb(192, 192, fit="contain", filter="area")
LONGEST_GAP_SECONDS = 60.0  # an unchanging picture gives one thumbnail in this time
DISTINCT = 0.06  # mean difference of two 8x8 RGB signatures in [0, 1] from which pictures differ clearly
BLACK_LUMA = 12.0  # mean luma of 255 below which a picture counts as black
MOST_KEPT = 1024  # thumbnails a file
JPEG_QUALITY = 70
_SIGNATURE_SIDE = 8


@dataclass(slots=True)
class _Look:
    """What a frame looks like and when it is shown."""

    pts_seconds: float
    signature: Tensor  # (192,) on the host

    def differs(self, other: _Look) -> bool:
        return float((self.signature - other.signature).abs().mean()) >= DISTINCT


@dataclass(slots=True)
class _Picture:
    """A frame that may become a thumbnail."""

    look: _Look
    sharpness: float
    black: bool
    rgb: Tensor  # (3, H, W) uint8

    @property
    def rank(self) -> tuple[bool, float]:
        return not self.black, self.sharpness


@dataclass(slots=True)
class _Kept:
    """The thumbnails of a file so far. Thins itself: the spacing doubles whenever `MOST_KEPT` is reached."""

    rows: list[tuple[float, int, int, bytes, float]] = field(default_factory=list)
    spacing_seconds: float = 0.0
    last: _Look | None = None

    def add(self, picture: _Picture) -> None:
        """Keeps `picture` unless it is too near to the last kept one in time, or too like it within the longest gap."""
        look = picture.look
        if self.last is not None:
            gap = look.pts_seconds - self.last.pts_seconds
            if gap < self.spacing_seconds or (gap < LONGEST_GAP_SECONDS and not look.differs(self.last)):
                return
        height, width = picture.rgb.shape[1:]
        self.rows.append((look.pts_seconds, width, height, encode_jpeg(picture.rgb), picture.sharpness))
        self.last = look
        while len(self.rows) >= MOST_KEPT:
            self._thin()

    def _thin(self) -> None:
        span = self.rows[-1][0] - self.rows[0][0]
        self.spacing_seconds = max(2 * self.spacing_seconds, 2 * span / len(self.rows), 1e-3)
        thinned = self.rows[:1]
        for row in self.rows[1:]:
            if row[0] - thinned[-1][0] >= self.spacing_seconds:
                thinned.append(row)
        self.rows = thinned


class Thumbnails(FrameAnalyzer):
    """JPEGs of at most 192x192 px from one frame a second.

    Frames are taken in runs that look alike (or last 60 s); each run gives its sharpest frame that is not black, unless it
    looks like the thumbnail before it. Black runs give none, but a file that is black throughout gives one. At most 1023 a
    file, whatever its length: beyond that they are thinned evenly in time. On a GPU only signatures and chosen frames are
    copied to the host, where the JPEG coder works.
    """

    spec = Spec(
        name="thumbnails",
        version=2,
        summary="small JPEGs where the picture changes",
        outputs=(
            Column(
                "sharpness",
                "float32",
                "8-bit code value",
                "standard deviation of the Laplacian of the thumbnail's luma",
                Table.THUMBNAILS,
                minimum=0.0,
            ),
        ),
        need=Need(VIEW, fps=1.0, tolerance_seconds=0.5),
        ordered=True,
        groups=("thumbnails",),
        cite="Pech-Pacheco et al. 2000 (variance of the Laplacian)",
        cost_ms=0.7,
    )

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._kept = _Kept()
        self._run_start: _Look | None = None  # first frame of the run: what the others are compared with
        self._best: _Picture | None = None  # best frame of the run
        self._black: _Picture | None = None  # for a file that is black throughout

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        rgb = batch.view(VIEW)  # (N, 3, H, W) uint8
        facts = torch.cat([signature(rgb), _sharpness_and_luma(rgb)], dim=1).cpu()
        for pts, fact, picture in zip(batch.pts_seconds.tolist(), facts, rgb, strict=True):
            sharpness, luma = fact[-2:].tolist()
            self._take(_Picture(_Look(pts, fact[:-2]), sharpness, luma < BLACK_LUMA, picture))
        for held in (self._best, self._black):
            if held is not None:
                held.rgb = held.rgb.cpu().clone()  # the batch itself is not kept alive
        return {}

    def _take(self, picture: _Picture) -> None:
        start, look = self._run_start, picture.look
        alike = start is not None and not look.differs(start)
        if start is not None and alike and look.pts_seconds - start.pts_seconds < LONGEST_GAP_SECONDS:
            if self._best is None or picture.rank > self._best.rank:
                self._best = picture
            return
        self._end_run()
        self._run_start, self._best = look, picture

    def _end_run(self) -> None:
        best, self._best = self._best, None
        if best is None:
            return
        if not best.black:
            self._kept.add(best)
        elif self._black is None:
            self._black = best

    def finish(self) -> Rows:
        self._end_run()
        if not self._kept.rows and self._black is not None:
            self._kept.add(self._black)
        rows = self._kept.rows
        self._reset()
        if not rows:
            return {}
        names = ("pts_seconds", "width", "height", "jpeg", "sharpness")
        return {Table.THUMBNAILS: dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))}


def signature(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> (N, 192) float32: mean colour of 8x8 tiles, in [0, 1]."""
    return F.adaptive_avg_pool2d(rgb.to(torch.float32) / 255, _SIGNATURE_SIDE).flatten(1)


def _sharpness_and_luma(rgb: Tensor) -> Tensor:
    """(N, 3, H, W) uint8 -> (N, 2): deviation of the Laplacian of luma, and mean luma, on the 0..255 scale."""
    luma = rgb_luma(rgb.to(torch.float32))
    second, same = (1.0, -2.0, 1.0), (0.0, 1.0, 0.0)
    laplacian = separable(luma, second, same, "replicate") + separable(luma, same, second, "replicate")
    return torch.stack([laplacian.flatten(1).std(dim=1, correction=0), luma.flatten(1).mean(dim=1)], dim=1)


def encode_jpeg(rgb: Tensor) -> bytes:
    """(3, H, W) uint8 -> a JPEG."""
    out = io.BytesIO()
    Image.fromarray(rgb.permute(1, 2, 0).cpu().contiguous().numpy()).save(
        out, "JPEG", quality=JPEG_QUALITY, optimize=True
    )
    return out.getvalue()

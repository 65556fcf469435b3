"""How the camera moves: pan, tilt, zoom and roll from one looked-at picture to the next, by a robust similarity fit.

Corners (Shi & Tomasi 1994) of the earlier picture are followed to the later one (pyramidal Lucas & Kanade, Bouguet
2000), and a similarity (shift, scale, rotation) is fitted to their paths by RANSAC: what moves in the scene is left out
as outliers as long as most of the corners belong to what stands still.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import Column, Need, Spec, View

WIDTH, HEIGHT = 256, 144
VIEW = View.rgb(WIDTH, HEIGHT)
CORNERS, LEAST_CORNERS = 150, 12
LEAST_INLIERS = 0.4
"""Share of the followed corners that must agree; below it the motion is not known (a cut, a flat or a chaotic picture)."""
MOST_SECONDS = 0.5
"""Pictures further apart are not compared."""

Grey = NDArray[np.uint8]  # (144, 256)


def _rate(name: str, unit: str, what: str) -> Column:
    return Column(
        name, "float32", unit, f"{what}, since the frame looked at before; null where not known", nullable=True
    )


class CameraMotion(FrameAnalyzer):
    """Rates of pan, tilt, zoom and roll, ten times a second. Null at cuts and where the picture has nothing to follow."""

    spec = Spec(
        name="camera_motion",
        version=3,
        summary="pan, tilt, zoom and roll of the camera",
        outputs=(
            _rate("pan_rate", "picture widths/s", "camera turning right (the scene moves left)"),
            _rate("tilt_rate", "picture widths/s", "camera turning down (the scene moves up)"),
            _rate("zoom_rate", "1/s", "logarithm of the growth of the scene: positive zooms in"),
            _rate("roll_rate", "degrees/s", "camera rolling: positive turns the scene clockwise"),
            Column(
                "motion_agreement", "float32", "1", "share of followed corners that move as the camera does",
                minimum=0, maximum=1, nullable=True,
            ),
        ),
        need=Need(VIEW, fps=10.0, tolerance_seconds=0.05),
        ordered=True,
        groups=("shots",),
        default=False,
        cite="Shi & Tomasi 1994; Bouguet 2000 (pyramidal Lucas-Kanade); Fischler & Bolles 1981 (RANSAC)",
        cost_ms=3.0,
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._before: tuple[float, Grey] | None = None

    def start(self, media: MediaInfo) -> None:  # noqa: ARG002
        self._before = None

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        pictures = batch.view(VIEW).permute(0, 2, 3, 1).cpu().numpy()  # (N, 144, 256, 3)
        rows = np.full((len(pictures), 5), np.nan, np.float32)
        for i, (at, picture) in enumerate(zip(batch.pts_seconds.tolist(), pictures, strict=True)):
            grey = np.asarray(cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2GRAY), np.uint8)
            if self._before is not None and 0 < at - self._before[0] <= MOST_SECONDS:
                rows[i] = motion(self._before[1], grey, at - self._before[0])
            self._before = at, grey
        columns = torch.from_numpy(rows).to(batch.device).unbind(1)
        return dict(zip((c.name for c in self.spec.outputs), columns, strict=True))

    def finish(self) -> dict:
        self._before = None
        return {}


def motion(before: Grey, now: Grey, seconds: float) -> tuple[float, float, float, float, float]:
    """(pan, tilt, zoom, roll rates, agreement) between two (144, 256) pictures; NaN where not known."""
    unknown = (math.nan, math.nan, math.nan, math.nan, math.nan)
    corners = cv2.goodFeaturesToTrack(before, CORNERS, 0.02, 6)
    if corners is None or len(corners) < LEAST_CORNERS:
        return unknown
    path, found, _ = cv2.calcOpticalFlowPyrLK(
        before, now, corners, np.empty_like(corners), winSize=(15, 15), maxLevel=3
    )
    kept = found.ravel() == 1
    if int(kept.sum()) < LEAST_CORNERS:
        return unknown
    middle = np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2], np.float32)
    start, end = corners.reshape(-1, 2)[kept] - middle, path.reshape(-1, 2)[kept] - middle
    fit, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=1.0)
    if fit is None or (agreement := float(inliers.sum()) / len(corners)) < LEAST_INLIERS:
        return unknown
    scale = math.hypot(fit[0, 0], fit[1, 0])
    if not 0.5 < scale < 2.0:
        return unknown
    roll = math.degrees(math.atan2(fit[1, 0], fit[0, 0]))
    shift = -fit[:, 2] / WIDTH
    return float(shift[0]) / seconds, float(shift[1]) / seconds, math.log(scale) / seconds, roll / seconds, agreement

"""Shot boundaries from differences of tiny pictures: a small part of the network's cost, and no weights.

A cut is a frame whose picture differs from the one before, wherever the camera may have moved to, by much more than its
neighbours do, and that stays: the picture after it resembles the new one, not the old one, which rules flashes out. A
gradual transition is a stretch whose middle is the mean of its two ends (dissolve, fade), or whose pixels each change
once, from one end's value to the other's (wipe), while the ends themselves differ as two shots do: the twin comparison
of Zhang, Kankanhalli & Smoliar 1993 with the linearity test of dissolve models. What is kept between batches is the
last pictures and a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.shots.differences import FEATURES, LONGEST, difference_features
from mediaml.analyzers.shots.fast_decisions import find_changes
from mediaml.analyzers.shots.transitions import shot_rows, shots_between
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.ops.gathered import Gathered
from mediaml.spec import Column, Need, Spec, Table, View

VIEW = View.rgb(48, 27, filter="area")


class FastShots(FrameAnalyzer):
    """Shots with the transition that ends each, from differences of 48x27 pictures."""

    spec = Spec(
        name="shots_fast",
        version=1,
        summary="shot boundaries from picture differences: no network, no weights",
        outputs=(
            Column(
                "transition",
                "string",
                "class",
                "how the shot ends: 'cut', 'gradual' (dissolve, fade, wipe) or 'end' of the file",
                Table.SHOTS,
            ),
            Column(
                "transition_start_seconds",
                "float64",
                "s",
                "time of the transition's first frame",
                Table.SHOTS,
                minimum=0.0,
                nullable=True,
            ),
            Column(
                "transition_end_seconds",
                "float64",
                "s",
                "time at which its last frame ends",
                Table.SHOTS,
                minimum=0.0,
                nullable=True,
            ),
        ),
        need=Need(VIEW),
        ordered=True,
        groups=("shots_fast",),
        default=False,
        cite="Zhang, Kankanhalli & Smoliar 1993, Automatic partitioning of full-motion video (twin comparison)",
        cost_ms=0.6,
    )

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._reset()

    def start(self, media: MediaInfo) -> None:  # noqa: ARG002
        self._reset()

    def _reset(self) -> None:
        self._last: Tensor | None = None  # (LONGEST, 3, 27, 48) uint8
        self._gathered: Gathered[str] = Gathered()

    @torch.inference_mode()
    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        frames = batch.view(VIEW)
        if self._last is None:
            self._last = frames[:1].expand(LONGEST, -1, -1, -1)
        joined = torch.cat([self._last, frames])
        self._last = joined[-LONGEST:].clone()
        ends = batch.pts_seconds + batch.duration_seconds
        keys = {"pts": batch.pts_seconds, "ends": ends, "index": batch.frame_index}
        self._gathered.add({**keys, "features": difference_features(joined)})
        return {}

    def finish(self) -> Rows:
        if self._last is None:
            return {}
        pts, ends, index, values = (column.cpu().numpy() for column in self._gathered.columns().values())
        self._reset()
        shots = shots_between(find_changes(dict(zip(FEATURES, values.T, strict=True))), len(pts))
        return {Table.SHOTS: shot_rows(shots, pts, ends, index)}

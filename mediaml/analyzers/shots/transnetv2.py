"""Shot boundaries by TransNetV2 (Soucek & Lokoc 2020, arXiv 2008.04838).

Every frame is seen at 48x27. The network looks at windows of 100 frames, 50 apart, and the middle 50 predictions of each
are kept; the file is padded by 25 copies of its first frame and by copies of its last one, as in the reference
implementation. Frames wait only until their window is full: fewer than 100 tiny pictures are kept between batches on a CPU
(450 on a GPU), whatever the duration, plus two probabilities, two times and an index a frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.shots.transitions import find_transitions, shot_rows, shots_between
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.nets.transnetv2 import HEIGHT, MARGIN, STEP, WIDTH, WINDOW, TransNetV2
from mediaml.nets.transnetv2_fused import FusedTransNetV2
from mediaml.ops.gathered import Gathered
from mediaml.spec import Column, Need, Spec, Table, View

VIEW = View.rgb(WIDTH, HEIGHT, filter="area")
SERIES_FLOOR = 0.02
"""Frames whose probability is lower leave no row in the `cut_probability` series."""

_KEEP = slice(MARGIN, MARGIN + STEP)


def _column(name: str, dtype: str, unit: str, description: str, maximum: float | None = None) -> Column:
    return Column(name, dtype, unit, description, Table.SHOTS, minimum=0.0, maximum=maximum, nullable=True)  # type: ignore[arg-type]


class ShotBoundaries(FrameAnalyzer):
    """Shots with the transition that ends each, and the probability curve."""

    spec = Spec(
        name="shots_transnetv2",
        version=1,
        summary="Shot boundaries: cuts and gradual transitions (TransNetV2)",
        outputs=(
            Column(
                "transition",
                "string",
                "class",
                "how the shot ends: 'cut', 'gradual' (dissolve, fade, wipe) or 'end' of the file",
                Table.SHOTS,
            ),
            _column(
                "transition_probability", "float32", "1", "network's score of that transition; not calibrated", 1.0
            ),
            _column("transition_start_seconds", "float64", "s", "time of the transition's first frame"),
            _column("transition_end_seconds", "float64", "s", "time at which its last frame ends"),
        ),
        need=Need(VIEW),
        ordered=True,
        weights=("transnetv2",),
        groups=("shots",),
        cite="Soucek & Lokoc 2020, TransNet V2, arXiv:2008.04838; MIT weights",
        licence="MIT",
        cost_ms=13.0,
        series=("cut_probability",),
    )

    def __init__(self, threshold: float = 0.5) -> None:
        """`threshold`: probability in (0, 1) above which a frame counts as a transition's centre."""
        if not 0 < threshold < 1:
            raise InvalidValue(f"shot threshold {threshold} must lie between 0 and 1; 0.5 is the published value")
        self.threshold = threshold

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"threshold": self.threshold}

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        state = torch.load(weights.resolve("transnetv2"), map_location="cpu", weights_only=True)
        self.use(state, device)

    def use(self, state: Mapping[str, Tensor], device: torch.device) -> None:
        """Takes a state dict of `TransNetV2` as the network."""
        net = TransNetV2()
        net.load_state_dict(state)
        self.device = device
        self.net = FusedTransNetV2(net.eval()).to(device).eval()
        self.windows_at_once = 1 if device.type == "cpu" else 8  # one window stays in a core's cache
        self._reset()

    def start(self, media: MediaInfo) -> None:  # noqa: ARG002
        self._reset()

    def _reset(self) -> None:
        self._waiting: Tensor | None = None  # (n, 3, 27, 48) uint8, from the next window's first frame on
        self._frames, self._likely = Gathered(), Gathered()

    @torch.inference_mode()
    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        frames = batch.view(VIEW)
        if self._waiting is None:
            self._waiting = frames[:1].expand(MARGIN, -1, -1, -1)
        self._waiting = torch.cat([self._waiting, frames])
        ends = batch.pts_seconds + batch.duration_seconds
        self._frames.add({"pts": batch.pts_seconds, "ends": ends, "index": batch.frame_index})
        self._predict(self.windows_at_once)
        return {}

    def _predict(self, at_least: int) -> None:
        """Runs every full window, if there are `at_least` so many; forgets the frames that no later window needs."""
        assert self._waiting is not None
        ready = (len(self._waiting) - WINDOW) // STEP + 1
        if ready < at_least:
            return
        for begin in range(0, ready, self.windows_at_once):
            count = min(self.windows_at_once, ready - begin)
            spans = [self._waiting[k * STEP : k * STEP + WINDOW] for k in range(begin, begin + count)]
            centre, inside = self.net(torch.stack(spans), _KEEP)  # (windows, 50)
            self._likely.add({"centre": centre.sigmoid().flatten(), "inside": inside.sigmoid().flatten()})
        self._waiting = self._waiting[ready * STEP :].clone()

    @torch.inference_mode()
    def finish(self) -> Rows:
        if self._waiting is None:
            return {}
        pts, ends, index = (column.cpu().numpy() for column in self._frames.columns().values())
        if len(pts) == 1:  # a still: nothing to look for, and a window of 100 copies of it would cost a second
            centre = inside = np.zeros(1, np.float32)
        else:
            self._pad(len(pts))
            self._predict(1)
            centre, inside = (c[: len(pts)].float().cpu().numpy() for c in self._likely.columns().values())
        self._reset()
        rows = self._shot_rows(centre, inside, pts, ends, index)
        likely = np.flatnonzero(centre >= SERIES_FLOOR)
        if len(likely):
            rows[Table.SERIES] = {
                "series": ["cut_probability"] * len(likely),
                "time_seconds": pts[likely],
                "value": centre[likely].astype(np.float64),
            }
        return rows

    def _pad(self, frames: int) -> None:
        """Every real frame gets a prediction: copies of the last one up to the end of the last window."""
        assert self._waiting is not None
        missing = -(-frames // STEP) * STEP + MARGIN - frames
        self._waiting = torch.cat([self._waiting, self._waiting[-1:].expand(missing, -1, -1, -1)])

    def _shot_rows(
        self, centre: np.ndarray, inside: np.ndarray, pts: np.ndarray, ends: np.ndarray, index: np.ndarray
    ) -> dict[Table, dict]:
        shots = shots_between(find_transitions(centre, inside, self.threshold), len(pts))
        likely = [s.transition.probability if s.transition else None for s in shots]
        return {Table.SHOTS: {**shot_rows(shots, pts, ends, index), "transition_probability": likely}}

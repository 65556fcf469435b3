"""People and everyday things, once a second: YOLOX over the 80 kinds of COCO, with a file that the user brings."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.faces_text.box_rows import Box, BoxRows, area, share_box
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.nets.yolox import COCO_80, SIDE, Yolox
from mediaml.spec import Column, Need, Spec, Table, View

VIEW = View.rgb(SIDE, SIDE, fit="contain", filter="bilinear")
PERSON = 0


class Objects(FrameAnalyzer):
    """Boxes of kind "object" with COCO's class as label, and how many people there are and how tall the tallest box is.

    `least_score`: objectness times class probability from which a thing counts. YOLOX-nano misses most things below about a
    tenth of the picture's width.
    """

    spec = Spec(
        name="objects",
        version=2,
        summary="people and things of 80 kinds (COCO): boxes and counts",
        outputs=(
            Column("person_count", "int32", "people", "people in the picture", minimum=0),
            Column("object_count", "int32", "things", "things of all 80 kinds, people among them", minimum=0),
            Column("tallest_person_height", "float32", "1", "height of the tallest person's box as a share of the picture's",
                   minimum=0, maximum=1),
            Column("label", "string", "class", "class of COCO-80", Table.BOXES),
        ),
        need=Need(VIEW, fps=1.0, tolerance_seconds=0.5),
        weights=("yolox_nano",),
        groups=("objects",),
        default=False,
        cite="Ge et al. 2021, YOLOX, arXiv:2107.08430; Lin et al. 2014, COCO",
        cost_ms=45.0,
    )  # fmt: skip

    def __init__(self, least_score: float = 0.3) -> None:
        if not 0.01 <= least_score < 1:
            raise InvalidValue(f"least_score {least_score} must lie in [0.01, 1), e.g. 0.3")
        self.least_score = least_score
        self._found = BoxRows("object")

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"least_score": self.least_score}

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._net = Yolox(weights.resolve("yolox_nano"))

    def start(self, media: MediaInfo) -> None:  # noqa: ARG002
        self._found.take()

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        pictures = batch.view(VIEW).permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, 3) RGB
        rows = [self._look(pts, p) for pts, p in zip(batch.pts_seconds.tolist(), pictures, strict=True)]
        people, things, heights = zip(*rows, strict=True)
        return {
            "person_count": torch.tensor(people, dtype=torch.int32, device=batch.device),
            "object_count": torch.tensor(things, dtype=torch.int32, device=batch.device),
            "tallest_person_height": torch.tensor(heights, dtype=torch.float32, device=batch.device),
        }

    def _look(self, pts: float, picture: NDArray[np.uint8]) -> tuple[int, int, float]:
        """Number of people, number of things and height of the tallest person in a (H, W, 3) RGB picture."""
        height, width = picture.shape[:2]
        found = self._net(np.ascontiguousarray(picture[:, :, ::-1]), self.least_score)
        people: list[Box] = []
        things = 0
        for edges, score, kind in zip(found.boxes.tolist(), found.scores.tolist(), found.kinds.tolist(), strict=True):
            box = share_box(edges, width, height)
            if area(box) <= 0:
                continue
            things += 1
            self._found.add(pts, COCO_80[kind], score, box)
            if kind == PERSON:
                people.append(box)
        return len(people), things, max((b[3] - b[1] for b in people), default=0.0)

    def finish(self) -> Rows:
        found = self._found.take()
        return {Table.BOXES: found} if found else {}

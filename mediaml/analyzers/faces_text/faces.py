"""Faces: how many, how large and where, once a second. Nobody is recognised and nothing is kept that could tell who it is."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.faces_text.box_rows import BoxRows, area, share_box
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.mtcnn import Mtcnn
from mediaml.ops.eyes import eye_openness, luma_of
from mediaml.spec import Column, Need, Spec, Table, View

SIDE = 640
VIEW = View.rgb(SIDE, SIDE, fit="contain", filter="area")
LEAST_REAL_PX = 12
"""In pictures smaller than the view a face needs so many pixels of its own: enlarging adds nothing to see."""
_NETS = ("mtcnn_pnet", "mtcnn_rnet", "mtcnn_onet")


class Faces(FrameAnalyzer):
    """Face boxes with five landmarks each, by MTCNN on pictures of at most 640x640 px.

    Faces below `smallest_face_px` of that picture are not looked for (20 px are 1/18 of a 16:9 picture's height). Profiles
    and covered faces are often missed; drawn faces are found now and then.
    """

    spec = Spec(
        name="faces",
        version=2,
        summary="faces: number, size, boxes and landmarks; no identities",
        outputs=(
            Column("face_count", "int32", "faces", "faces in the picture", minimum=0),
            Column("largest_face_share", "float32", "1", "share of the picture's area that the largest face's box has",
                   minimum=0, maximum=1),
            Column("largest_face_height", "float32", "1", "height of the largest face's box as a share of the picture's",
                   minimum=0, maximum=1),
            Column("largest_face_eye_openness", "float32", "1",
                   "darkness summed down the eyes of the largest face: the more, the wider open; orders frames of one shot, "
                   "nothing else; null where the eyes are less than 28 px apart in the 640 px picture",
                   minimum=0, maximum=1, nullable=True),
            Column("landmarks", "float32", "1",
                   "x and y of left eye, right eye, nose, left and right corner of the mouth, as shares of width and height",
                   Table.BOXES, length=10, nullable=True),
        ),
        need=Need(VIEW, fps=1.0, tolerance_seconds=0.5),
        weights=_NETS,
        groups=("faces", "content"),
        default=False,
        cite="Zhang et al. 2016, MTCNN, IEEE SPL 23(10); weights of facenet-pytorch 2.6.0",
        licence="MIT",
        cost_ms=100.0,
    )  # fmt: skip

    def __init__(self, smallest_face_px: int = 20) -> None:
        if not 12 <= smallest_face_px <= 360:
            raise InvalidValue(f"smallest_face_px {smallest_face_px} must lie in [12, 360]; the authors use 20")
        self.smallest_face_px = smallest_face_px
        self._found = BoxRows("face")

    @property
    def parameters(self) -> Mapping[str, int]:
        return {"smallest_face_px": self.smallest_face_px}

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        states = [read_checkpoint(weights.resolve(name)) for name in _NETS]
        self._detector = Mtcnn(*states, device=device, smallest=self.smallest_face_px)

    def start(self, media: MediaInfo) -> None:
        self._found.take()
        video = media.main_video
        longest = max(video.display_width, video.display_height) if video else SIDE
        self._detector.smallest = max(self.smallest_face_px, round(LEAST_REAL_PX * SIDE / longest))

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        rows = []
        for pts, picture in zip(batch.pts_seconds.tolist(), batch.view(VIEW), strict=True):
            rows.append(self._look(pts, picture))
        counts, shares, heights, eyes = zip(*rows, strict=True)
        return {
            "face_count": torch.tensor(counts, dtype=torch.int32, device=batch.device),
            "largest_face_share": torch.tensor(shares, dtype=torch.float32, device=batch.device),
            "largest_face_height": torch.tensor(heights, dtype=torch.float32, device=batch.device),
            "largest_face_eye_openness": torch.tensor(eyes, dtype=torch.float32, device=batch.device),
        }

    def _look(self, pts: float, picture: Tensor) -> tuple[int, float, float, float]:
        """Number of faces in a (3, H, W) picture; area, height and openness of the eyes (or NaN) of the largest."""
        height, width = picture.shape[1:]
        faces = self._detector(picture)
        points = faces.landmarks.cpu()
        landmarks = (points / torch.tensor([width, height], dtype=torch.float32)).flatten(1).tolist()
        boxes = [share_box(edges, width, height) for edges in faces.boxes.tolist()]
        for box, score, shares in zip(boxes, faces.scores.tolist(), landmarks, strict=True):
            self._found.add(pts, "face", score, box, landmarks=shares)
        if not boxes:
            return 0, 0.0, 0.0, math.nan
        largest = max(range(len(boxes)), key=lambda i: area(boxes[i]))
        left, right, nose = ((float(x), float(y)) for x, y in points[largest, :3])
        box = boxes[largest]
        return len(boxes), area(box), box[3] - box[1], eye_openness(luma_of(picture), left, right, nose)

    def finish(self) -> Rows:
        found = self._found.take()
        return {Table.BOXES: found} if found else {}

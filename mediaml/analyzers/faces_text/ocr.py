"""Text in the picture (subtitles, credits, captions, signs), read every two seconds by PP-OCRv6."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.artifacts.findings import span_rows
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.analyzers.faces_text.box_rows import BoxRows, area, share_box
from mediaml.analyzers.faces_text.text_spans import Line, text_spans
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.media import MediaInfo
from mediaml.nets.text_detector import TextDetector
from mediaml.nets.text_recognizer import TextRecognizer, line_picture
from mediaml.spec import Column, Need, Spec, Table, View

SIDE = 960
FPS = 0.5
VIEW = View.rgb(SIDE, SIDE, fit="contain", filter="area")
_ENLARGED = 2.0
"""Small pictures are looked at enlarged so many times and not more: what is not in them is not found by enlarging."""


class BurnedInText(FrameAnalyzer):
    """Lines of text with boxes, and spans that say how long each text stands.

    Lines may be tilted by up to 45 degrees; one that runs downwards is read only if its letters are turned with it. Which
    characters can be read is in docs/shots.md. Letters are read, not meaning: a subtitle and a sign are one.
    """

    spec = Spec(
        name="burned_in_text",
        version=1,
        summary="text in the picture: lines, boxes and when they stand",
        outputs=(
            Column("text_line_count", "int32", "lines", "lines of text that could be read", minimum=0),
            Column("text_share", "float32", "1", "share of the picture's area that their boxes have", minimum=0, maximum=1),
            Column("label", "string", "text", "the line as it was read", Table.BOXES),
        ),
        need=Need(VIEW, fps=FPS, tolerance_seconds=0.5),
        weights=("ppocr_det", "ppocr_rec"),
        groups=("text", "content"),
        default=False,
        cite="PaddleOCR, PP-OCRv6 (small); Liao et al. 2020 (differentiable binarization); weights of rapidocr 3.10.0",
        cost_ms=600.0,
        kinds=("text",),
    )  # fmt: skip

    def __init__(self, least_score: float = 0.6) -> None:
        """`least_score`: mean probability of a line's characters below which it is not kept."""
        if not 0 <= least_score < 1:
            raise InvalidValue(f"least_score {least_score} must lie in [0, 1), e.g. 0.6")
        self.least_score = least_score
        self._reset()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {"least_score": self.least_score}

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._detect = TextDetector(weights.resolve("ppocr_det"), SIDE)
        self._recognize = TextRecognizer(weights.resolve("ppocr_rec"))

    def start(self, media: MediaInfo) -> None:
        self._reset()
        video = media.main_video
        longest = max(video.display_width, video.display_height) if video else SIDE
        self._detect.longest_side = min(SIDE, max(TextDetector.LEAST_SIDE, round(_ENLARGED * longest)))

    def _reset(self) -> None:
        self._found = BoxRows("text")
        self._looks: list[tuple[float, list[Line]]] = []

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        pictures = batch.view(VIEW).permute(0, 2, 3, 1).cpu().numpy()  # (N, H, W, 3) RGB
        rows = [self._look(pts, p) for pts, p in zip(batch.pts_seconds.tolist(), pictures, strict=True)]
        counts, shares = zip(*rows, strict=True)
        return {
            "text_line_count": torch.tensor(counts, dtype=torch.int32, device=batch.device),
            "text_share": torch.tensor(shares, dtype=torch.float32, device=batch.device),
        }

    def _look(self, pts: float, picture: NDArray[np.uint8]) -> tuple[int, float]:
        """Number of lines in a (H, W, 3) RGB picture, and their share of its area."""
        height, width = picture.shape[:2]
        bgr = np.ascontiguousarray(picture[:, :, ::-1])
        lines: list[Line] = []
        share = 0.0
        for line in self._detect(bgr):
            text, score = self._recognize(line_picture(bgr, line.corners))
            if not text or score < self.least_score:
                continue
            low, high = line.corners.min(0).tolist(), line.corners.max(0).tolist()
            box = share_box((*low, *high), width, height)
            self._found.add(pts, text, score, box)
            lines.append((text, score))
            share += area(box)
        self._looks.append((pts, lines))
        return len(lines), min(1.0, share)

    def finish(self) -> Rows:
        boxes, looks = self._found.take(), sorted(self._looks)
        self._reset()
        spans = text_spans(looks, 1 / FPS)
        rows: dict[Table, Mapping] = {Table.SPANS: span_rows(spans)}
        if boxes:
            rows[Table.BOXES] = boxes
        return rows

"""Faces, burned-in text, NSFW score and objects: what the networks give, on real and made pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mediaml import weights
from mediaml.analyzers.base import Analyzer
from mediaml.analyzers.faces_text.box_rows import BoxRows, area, share_box
from mediaml.analyzers.faces_text.faces import Faces
from mediaml.analyzers.faces_text.nsfw import network_input
from mediaml.analyzers.faces_text.ocr import BurnedInText
from mediaml.analyzers.faces_text.text_spans import text_spans
from mediaml.errors import InvalidValue, WeightsAbsent, WeightsCorrupt
from mediaml.frames import Colour, FrameBatch
from mediaml.nets.dnn_net import DnnNet
from mediaml.nets.mtcnn import Mtcnn
from mediaml.nets.onnx_tensors import onnx_metadata
from mediaml.nets.text_detector import lines_of
from mediaml.nets.text_recognizer import line_picture
from mediaml.nets.yolox import COCO_80, SIDE, Yolox
from mediaml.spec import Need, Table, View

COCO = "img-det/lightly-ai+coco128_yolo"
NANO = "tag-weights/Bigisland1729+object-detection-models/yolox_nano.onnx"
FACE_PICTURE, FACE_SIZE = "000000000196.jpg", (480, 360)


def ready(analyzer: Analyzer) -> Analyzer:
    for name in analyzer.spec.weights:
        try:
            weights.resolve(name)
        except WeightsAbsent as error:
            pytest.skip(f"weights: {error}")
    analyzer.setup(torch.device("cpu"))
    return analyzer


def batch(need: Need | None, pictures: np.ndarray, times: list[float]) -> FrameBatch:
    """(N, H, W, 3) RGB at these seconds."""
    assert need is not None and isinstance(need.view, View)
    n = len(times)
    return FrameBatch(
        pts_seconds=torch.tensor(times, dtype=torch.float64),
        duration_seconds=torch.full((n,), 0.04, dtype=torch.float64),
        frame_index=torch.arange(n),
        key_frame=torch.zeros(n, dtype=torch.bool),
        colour=Colour(),
        views={need.view: torch.from_numpy(pictures).permute(0, 3, 1, 2)},
    )


def test_shares_are_clipped_to_the_picture() -> None:
    assert share_box((-5, 10, 50, 300), 100, 200) == (0.0, 0.05, 0.5, 1.0)
    assert area((0.0, 0.05, 0.5, 1.0)) == pytest.approx(0.475)
    rows = BoxRows("face")
    rows.add(2.0, "face", 0.9, (0, 0, 1, 1), extra=1)
    rows.add(1.0, "face", 1.0000001, (0, 0, 0.5, 1), extra=2)
    taken = rows.take()
    assert (taken["pts_seconds"], taken["extra"], taken["score"]) == ([1.0, 2.0], [2, 1], [1.0, 0.9])
    assert rows.take() == {}


@pytest.mark.weights
def test_a_face_of_a_real_picture_is_found_where_it_is(shared_data: Path) -> None:
    analyzer = ready(Faces())
    picture = cv2.imread(str(shared_data / COCO / "images/train2017" / FACE_PICTURE))
    assert picture is not None
    small = np.ascontiguousarray(cv2.resize(picture, FACE_SIZE, interpolation=cv2.INTER_AREA)[:, :, ::-1])
    both = np.stack([small, np.full_like(small, 90)])
    found = analyzer.update(batch(analyzer.spec.need, both, [0.0, 1.0]))
    boxes = analyzer.finish()[Table.BOXES]
    assert found["face_count"].tolist() == [1, 0]
    assert found["largest_face_share"][1] == 0
    assert boxes["pts_seconds"] == [0.0]
    left, top, right, bottom = (boxes[n][0] for n in ("x_min", "y_min", "x_max", "y_max"))
    assert 0 < float(found["largest_face_eye_openness"][0]) < 0.3 and found["largest_face_eye_openness"][1].isnan()
    assert float(found["largest_face_height"][0]) == pytest.approx(bottom - top, abs=1e-6)
    eyes_and_mouth = np.array(boxes["landmarks"][0]).reshape(5, 2)
    assert (eyes_and_mouth[:, 0] > left).all() and (eyes_and_mouth[:, 0] < right).all()
    assert eyes_and_mouth[:2, 1].max() < eyes_and_mouth[2, 1] < eyes_and_mouth[3:, 1].min(), (
        "eyes above nose above mouth"
    )


def test_faces_below_twelve_pixels_cannot_be_asked_for() -> None:
    with pytest.raises(InvalidValue, match="12"):
        Faces(smallest_face_px=8)
    with pytest.raises(InvalidValue, match="12"):
        Mtcnn({}, {}, {}, torch.device("cpu"), smallest=4)


def test_text_stands_until_the_first_look_without_it() -> None:
    looks = [
        (0.0, [("GOOD MORNING", 0.8)]),
        (2.0, [("GOOD M0RNING", 0.9), ("LIVE", 0.99)]),
        (4.0, [("LIVE", 0.98)]),
        (6.0, []),
        (8.0, [("LIVE", 0.7)]),
    ]
    spans = [(f.start, f.end, f.message, f.confidence, f.evidence) for f in text_spans(looks, 2.0)]
    assert spans == [
        (0.0, 4.0, "GOOD M0RNING", 0.9, 2.0),
        (2.0, 6.0, "LIVE", 0.99, 2.0),
        (8.0, 10.0, "LIVE", 0.7, 8.0),
    ]
    assert text_spans([], 2.0) == []


def test_a_text_does_not_outlast_a_gap_in_the_looks() -> None:
    (span,) = text_spans([(0.0, [("A", 1.0)]), (60.0, [])], 2.0)
    assert (span.start, span.end) == (0.0, 3.0)


def test_the_map_of_text_becomes_rectangles() -> None:
    chance = np.zeros((100, 200), np.float32)
    chance[40:50, 30:130] = 0.9
    chance[80:90, 30:60] = 0.35  # above the threshold of a pixel, below that of a line
    (line,) = lines_of(chance)
    grown = 10 * 100 * 1.6 / (2 * (10 + 100))  # area over perimeter
    assert line.corners.min(0) == pytest.approx([30 - grown, 40 - grown], abs=1.5)
    assert line.corners.max(0) == pytest.approx([129 + grown, 49 + grown], abs=1.5)
    assert line.score == pytest.approx(0.9, abs=0.1)


def test_a_line_that_runs_downwards_is_laid_down() -> None:
    picture = np.zeros((60, 40, 3), np.uint8)
    corners = np.array([[5, 5], [15, 5], [15, 55], [5, 55]], np.float32)
    assert line_picture(picture, corners).shape == (10, 50, 3)


@pytest.mark.weights
def test_drawn_lines_are_read() -> None:
    analyzer = ready(BurnedInText())
    picture = np.random.default_rng(0).integers(40, 90, (224, 400, 3)).astype(np.uint8)
    picture = cv2.blur(picture, (9, 9))
    cv2.putText(picture, "BREAKING NEWS", (20, 60), cv2.FONT_HERSHEY_DUPLEX, 1.2, (255, 255, 255), 2, cv2.LINE_AA)
    cv2.putText(picture, "Berlin, 18:30", (90, 190), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 255), 2, cv2.LINE_AA)
    blank = np.zeros_like(picture)
    need = analyzer.spec.need
    first = analyzer.update(batch(need, np.asarray(np.stack([picture, picture]), np.uint8), [0.0, 2.0]))
    second = analyzer.update(batch(need, blank[None], [4.0]))
    rows = analyzer.finish()
    assert (first["text_line_count"].tolist(), second["text_line_count"].tolist()) == ([2, 2], [0])
    assert 0.05 < float(first["text_share"][0]) < 0.4 and float(second["text_share"][0]) == 0
    read = [label.replace(" ", "") for label in rows[Table.BOXES]["label"]]
    assert read == ["BREAKINGNEWS", "Berlin,18:30"] * 2
    assert rows[Table.SPANS]["kind"] == ["text", "text"]
    assert set(rows[Table.SPANS]["end_seconds"]) == {4.0}


@pytest.mark.weights
def test_the_recogniser_knows_the_letters_of_latin_languages() -> None:
    try:
        listed = onnx_metadata(weights.resolve("ppocr_rec"))["character"].splitlines()
    except WeightsAbsent as error:
        pytest.skip(f"weights: {error}")
    assert len(listed) == 18708
    assert set("äöüßéèçñøåłžğőAZaz09?!.,") <= set(listed)
    assert not set("жяאبกक한") & set(listed), "docs/shots.md says that these cannot be read"


@pytest.mark.weights
def test_the_nsfw_score_is_that_of_onnxruntime(shared_data: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    try:
        path = weights.resolve("open_nsfw")
    except WeightsAbsent as error:
        pytest.skip(f"weights: {error}")
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    net = DnnNet(path)
    for name in ("000000000428.jpg", "000000000009.jpg"):
        picture = cv2.imread(str(shared_data / COCO / "images/train2017" / name))
        assert picture is not None
        squeezed = np.asarray(cv2.resize(picture, (256, 256))[:, :, ::-1], np.uint8)
        values = network_input(squeezed)
        assert values.shape == (1, 224, 224, 3)
        assert values[0, 0, 0] == pytest.approx(squeezed[16, 16, ::-1] - np.array([104.0, 117.0, 123.0]))
        (expected,) = session.run(None, {session.get_inputs()[0].name: values})
        assert net(values)[0, 1] == pytest.approx(expected[0, 1], abs=1e-5)


def test_people_are_found_where_the_labels_say(shared_data: Path) -> None:
    net = Yolox(shared_data / NANO)
    picture = cv2.imread(str(shared_data / COCO / "images/train2017/000000000036.jpg"))
    assert picture is not None
    height, width = picture.shape[:2]
    labels = np.loadtxt(shared_data / COCO / "object_detection/labels/train2017/000000000036.txt", ndmin=2)
    found = net(np.asarray(picture, np.uint8), 0.5)
    person = labels[labels[:, 0] == COCO_80.index("person")][0, 1:]
    best = found.boxes[found.kinds == COCO_80.index("person")][0]
    expected = np.concatenate([person[:2] - person[2:] / 2, person[:2] + person[2:] / 2]) * np.array(
        [width, height, width, height]
    )
    assert best == pytest.approx(expected, abs=0.06 * width)
    assert np.all(np.diff(found.scores) <= 0) and found.scores.min() >= 0.5
    assert SIDE == 416


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07not a network")
    with pytest.raises(WeightsCorrupt, match=r"broken\.onnx"):
        DnnNet(tmp_path / "broken.onnx")

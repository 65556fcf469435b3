"""Native planes of every kind of pixel format, against the samples that were written into the frame."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mediaml.decode.colour import Source, source_of, traits
from mediaml.decode.planes import PlaneReader
from mediaml.media import VideoStream

W, H = 18, 10


def stream(codec: str = "h264", **changes: object) -> VideoStream:
    facts: dict = {
        "index": 0, "codec": codec, "profile": None, "level": None, "width": W, "height": H, "display_width": W,
        "display_height": H, "sample_aspect_ratio": Fraction(1), "rotation_degrees": 0, "mirrored": False,
        "field_order": "progressive", "frame_rate": 25.0, "frame_rate_nominal": 25.0, "variable_frame_rate": False,
        "pixel_format": None, "bit_depth": 8, "chroma": None, "has_alpha": False, "matrix": None, "range": None,
        "transfer": None, "primaries": None, "chroma_location": None, "hdr": None, "bitrate_bps": None, "start_seconds": 0.0,
        "duration_seconds_header": None, "frames_header": None, "key_frame_interval_seconds": None,
    }  # fmt: skip
    return VideoStream(**{**facts, **changes})


def source(frame: av.VideoFrame, **changes: object) -> Source:
    return source_of(traits(frame), stream(**changes))  # type: ignore[arg-type]


def fill(frame: av.VideoFrame, index: int, rows: NDArray) -> None:
    """Writes `rows` (h, n) into a plane, row by row."""
    plane = frame.planes[index]
    raw = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)  # type: ignore[arg-type]
    bytes_ = np.ascontiguousarray(rows).view(np.uint8)
    raw[: rows.shape[0], : bytes_.shape[1]] = bytes_


def noise(h: int, w: int, bits: int, seed: int = 0) -> NDArray:
    values = np.random.default_rng(seed).integers(0, 1 << bits, (h, w))
    return values.astype(np.uint8 if bits == 8 else "<u2")


@pytest.mark.parametrize(
    ("name", "bits", "chroma"),
    [
        ("yuv420p", 8, (5, 9)), ("yuvj420p", 8, (5, 9)), ("yuv422p", 8, (10, 9)), ("yuv444p", 8, (10, 18)),
        ("yuv440p", 8, (5, 18)), ("yuv411p", 8, (10, 5)), ("yuv410p", 8, (3, 5)), ("yuva420p", 8, (5, 9)),
        ("yuv420p9le", 9, (5, 9)), ("yuv420p10le", 10, (5, 9)), ("yuv422p10le", 10, (10, 9)), ("yuv444p12le", 12, (10, 18)),
        ("yuv420p14le", 14, (5, 9)), ("yuv444p16le", 16, (10, 18)), ("yuva444p10le", 10, (10, 18)),
        ("gray", 8, None), ("gray10le", 10, None), ("gray16le", 16, None),
    ],
)  # fmt: skip
def test_planar_formats_are_read_as_they_are(name: str, bits: int, chroma: tuple[int, int] | None) -> None:
    frame = av.VideoFrame(W, H, name)
    written = [noise(H, W, bits)] + ([noise(*chroma, bits, s) for s in (1, 2)] if chroma else [])
    for i, plane in enumerate(written):
        fill(frame, i, plane)
    planes, depth = PlaneReader().read(frame, source(frame))
    assert depth == bits
    assert len(planes) == len(written)
    for got, expected in zip(planes, written, strict=True):
        assert got.dtype == (np.uint8 if bits == 8 else np.uint16)
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "bits", "chroma", "swapped"),
    [
        ("nv12", 8, (5, 9), False), ("nv21", 8, (5, 9), True), ("nv16", 8, (10, 9), False), ("nv24", 8, (10, 18), False),
        ("nv42", 8, (10, 18), True), ("p010le", 10, (5, 9), False), ("p012le", 12, (5, 9), False),
        ("p016le", 16, (5, 9), False), ("p210le", 10, (10, 9), False), ("p410le", 10, (10, 18), False),
    ],
)  # fmt: skip
def test_semi_planar_formats_are_taken_apart(name: str, bits: int, chroma: tuple[int, int], swapped: bool) -> None:
    frame = av.VideoFrame(W, H, name)
    y, u, v = noise(H, W, bits), noise(*chroma, bits, 1), noise(*chroma, bits, 2)
    shift = 16 - bits if bits > 8 else 0
    pair = np.stack([v, u] if swapped else [u, v], axis=-1).reshape(chroma[0], -1)
    fill(frame, 0, y << shift)
    fill(frame, 1, pair << shift)
    planes, depth = PlaneReader().read(frame, source(frame))
    assert depth == bits
    for got, expected in zip(planes, (y, u, v), strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(
    ("name", "order"), [("yuyv422", (0, 1, 0, 2)), ("uyvy422", (1, 0, 2, 0)), ("yvyu422", (0, 2, 0, 1))]
)
def test_packed_422_is_unpacked_without_loss(name: str, order: tuple[int, ...]) -> None:
    frame = av.VideoFrame(W, H, name)
    parts = [noise(H, W, 8), noise(H, W // 2, 8, 1), noise(H, W // 2, 8, 2)]
    packed = np.empty((H, W * 2), np.uint8)
    taken = 0
    for position, part in enumerate(order):
        packed[:, position::4] = parts[0][:, taken::2] if part == 0 else parts[part]
        taken += part == 0
    fill(frame, 0, packed)
    planes, depth = PlaneReader().read(frame, source(frame))
    assert depth == 8
    for got, expected in zip(planes, parts, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("name", "chroma"), [("yuv420p10be", (5, 9)), ("yuv422p12be", (10, 9)), ("gray12be", None)])
def test_big_endian_is_swapped_without_loss(name: str, chroma: tuple[int, int] | None) -> None:
    bits = 10 if "10" in name else 12
    frame = av.VideoFrame(W, H, name)
    written = [noise(H, W, bits)] + ([noise(*chroma, bits, s) for s in (1, 2)] if chroma else [])
    for i, plane in enumerate(written):
        fill(frame, i, plane.astype(">u2"))
    planes, depth = PlaneReader().read(frame, source(frame))
    assert depth == bits
    for got, expected in zip(planes, written, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_grey_with_alpha_drops_alpha() -> None:
    frame = av.VideoFrame(W, H, "ya8")
    y = noise(H, W, 8)
    fill(frame, 0, np.stack([y, noise(H, W, 8, 1)], axis=-1).reshape(H, -1))
    planes, depth = PlaneReader().read(frame, source(frame))
    assert (depth, len(planes)) == (8, 1)
    np.testing.assert_array_equal(planes[0], y)


def test_one_bit_becomes_black_and_white() -> None:
    frame = av.VideoFrame(16, 2, "monob")
    fill(frame, 0, np.array([[0b10101010, 0xFF], [0, 0b00001111]], np.uint8))
    planes, depth = PlaneReader().read(frame, source(frame))
    assert depth == 8
    np.testing.assert_array_equal(planes[0][0], [255, 0] * 4 + [255] * 8)
    np.testing.assert_array_equal(planes[0][1], [0] * 12 + [255] * 4)


@pytest.mark.parametrize("name", ["rgb24", "bgr24", "rgba", "gbrp", "gbrap"])
def test_rgb_becomes_full_range_bt709(name: str) -> None:
    rgb = np.random.default_rng(3).integers(0, 256, (H, W, 3)).astype(np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=name)
    seen = source(frame, codec="png")
    planes, depth = PlaneReader().read(frame, seen)
    assert (depth, len(planes), seen.colour.matrix, seen.colour.range) == (8, 3, "bt709", "full")
    r, g, b = np.moveaxis(rgb.astype(float), -1, 0)
    y = 0.2126 * r + 0.7152 * g + 0.0722 * b
    expected = (y, 128 + (b - y) / 1.8556, 128 + (r - y) / 1.5748)
    for got, want in zip(planes, expected, strict=True):
        assert np.abs(got - np.clip(want, 0, 255)).max() <= 0.51


def test_deep_rgb_keeps_its_depth() -> None:
    level = np.full((H, W, 3), 40000, np.uint16)
    frame = av.VideoFrame.from_ndarray(level, format="rgb48le")
    planes, depth = PlaneReader().read(frame, source(frame, codec="png"))
    assert depth == 16
    assert np.abs(planes[0].astype(int) - 40000).max() <= 1
    assert np.abs(planes[1].astype(int) - 32768).max() <= 1


def test_luma_only_gives_one_plane() -> None:
    frame = av.VideoFrame(W, H, "p010le")
    planes, depth = PlaneReader().read(frame, source(frame), luma_only=True)
    assert (len(planes), depth) == (1, 10)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 5), (17, 9)])
def test_odd_sizes_round_chroma_up(width: int, height: int) -> None:
    frame = av.VideoFrame(width, height, "yuv420p")
    planes, _ = PlaneReader().read(frame, source(frame))
    assert [p.shape for p in planes] == [(height, width)] + [((height + 1) // 2, (width + 1) // 2)] * 2

"""RGB views: colours against the formulas of the standards, geometry against pictures whose corners are known."""

from __future__ import annotations

import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.filter import Graph

from mediaml.decode.colour import source_of, traits
from mediaml.decode.lanes import Pictures, Shown
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.decode.views import Picture, ViewMaker, geometry
from mediaml.spec import Need, View
from tests.clips import make_clip
from tests.unit.test_planes import fill, source, stream

LUMA = {"bt709": (0.2126, 0.0722), "smpte170m": (0.299, 0.114), "bt2020nc": (0.2627, 0.0593)}  # Kr, Kb
MATRIX_CODE = {"bt709": 1, "smpte170m": 6, "bt2020nc": 9}
FULL, LIMITED = 2, 1


def make(view: View, frame: av.VideoFrame, **facts: object) -> Picture:
    seen = stream(width=frame.width, height=frame.height, **facts)
    return ViewMaker(view, seen).make(frame, source_of(traits(frame), seen))


def yuv(rgb: tuple[int, int, int], matrix: str, code_range: int, bits: int) -> tuple[int, int, int]:
    """R'G'B' to Y'CbCr code values by Rec. ITU-T H.273."""
    r, g, b = (c / 255 for c in rgb)
    kr, kb = LUMA[matrix]
    y = kr * r + (1 - kr - kb) * g + kb * b
    u, v = (b - y) / (2 * (1 - kb)), (r - y) / (2 * (1 - kr))
    scale = 1 << (bits - 8)
    if code_range == LIMITED:
        return round((219 * y + 16) * scale), round((224 * u + 128) * scale), round((224 * v + 128) * scale)
    top = (1 << bits) - 1
    return round(top * y), round(top * u + 128 * scale), round(top * v + 128 * scale)


def solid(
    rgb: tuple[int, int, int], matrix: str, code_range: int, bits: int, width: int = 32, height: int = 20
) -> av.VideoFrame:
    frame = av.VideoFrame(width, height, "yuv420p" if bits == 8 else "yuv420p10le")
    dtype = np.uint8 if bits == 8 else np.uint16
    for i, value in enumerate(yuv(rgb, matrix, code_range, bits)):
        plane = frame.planes[i]
        fill(frame, i, np.full((plane.height, plane.width), value, dtype))
    frame.colorspace = MATRIX_CODE[matrix]
    frame.color_range = code_range
    return frame


def corners(width: int = 40, height: int = 20) -> av.VideoFrame:
    """Red, green / blue, white quadrants."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[: height // 2, : width // 2, 0] = 255
    rgb[: height // 2, width // 2 :, 1] = 255
    rgb[height // 2 :, : width // 2, 2] = 255
    rgb[height // 2 :, width // 2 :] = 255
    return av.VideoFrame.from_ndarray(rgb, format="rgb24")


def names(picture: Picture) -> str:
    """The colours in the corners: top left, top right, bottom left, bottom right."""
    known = {(255, 0, 0): "R", (0, 255, 0): "G", (0, 0, 255): "B", (255, 255, 255): "W"}
    return "".join(known.get(tuple(int(c) for c in picture[y, x]), "?") for y in (0, -1) for x in (0, -1))


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("code_range", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", sorted(LUMA))
@pytest.mark.parametrize("filter", ["fast_bilinear", "area"])
def test_matrix_and_range_are_respected(matrix: str, code_range: int, bits: int, filter: str) -> None:
    for rgb in [(255, 255, 255), (0, 0, 0), (200, 40, 90), (20, 180, 60), (30, 60, 220)]:
        for size in [(32, 20), (9, 7)]:
            picture = make(View.rgb(*size, filter=filter), solid(rgb, matrix, code_range, bits))  # type: ignore[arg-type]
            allowed = 4 if filter == "fast_bilinear" and size == (32, 20) else 2
            assert np.abs(picture.reshape(-1, 3).astype(int) - rgb).max() <= allowed, (rgb, size)


@pytest.mark.parametrize(("height", "expected"), [(576, "smpte170m"), (720, "bt709")])
def test_matrix_follows_the_line_count_where_nothing_is_stated(height: int, expected: str) -> None:
    frame = av.VideoFrame(16, height, "yuv420p")
    colour = source(frame, height=height).colour
    assert (colour.matrix, colour.range, colour.transfer) == (expected, "limited", "bt709")
    assert source(frame, height=height, matrix="fcc").colour.matrix == "fcc"
    assert source(frame, height=height, transfer="smpte2084").colour.matrix == "bt2020nc"


def test_grey_range() -> None:
    frame = av.VideoFrame(8, 8, "gray")
    fill(frame, 0, np.full((8, 8), 16, np.uint8))
    assert make(View.rgb(8, 8), frame, codec="h264").max() == 0  # limited unless stated
    assert make(View.rgb(8, 8), frame, codec="png").max() == 16
    frame.color_range = FULL
    assert make(View.rgb(8, 8), frame, codec="h264").max() == 16


def test_alpha_is_dropped_not_blended() -> None:
    rgba = np.zeros((8, 8, 4), np.uint8)
    rgba[..., 1] = 200
    for pixel_format in ("rgba", "gbrap", "yuva444p"):
        frame = av.VideoFrame.from_ndarray(rgba, format="rgba").reformat(format=pixel_format)
        picture = make(View.rgb(8, 8), frame, matrix="smpte170m")
        assert np.abs(picture.astype(int) - (0, 200, 0)).max() <= 3, pixel_format


def test_unsupported_matrix_is_told() -> None:
    frame = av.VideoFrame(16, 16, "yuv420p")
    frame.colorspace = 8
    assert not source(frame).exact
    assert source(frame).colour.matrix == "ycgco"


@pytest.mark.parametrize(
    ("rotation", "mirrored", "expected", "size"),
    [
        (0, False, "RGBW", (40, 20)), (90, False, "BRWG", (20, 40)), (180, False, "WBGR", (40, 20)),
        (270, False, "GWRB", (20, 40)), (0, True, "GRWB", (40, 20)), (90, True, "WGBR", (20, 40)),
    ],
)  # fmt: skip
def test_rotation_and_mirror(rotation: int, mirrored: bool, expected: str, size: tuple[int, int]) -> None:
    picture = make(View.rgb(), corners(), rotation_degrees=rotation, mirrored=mirrored)
    assert (picture.shape[1], picture.shape[0]) == size
    assert names(picture) == expected


@pytest.mark.parametrize(
    ("view", "aspect", "rotation", "size", "scaled", "crop"),
    [
        (View.rgb(224, 224, "cover"), 1, 0, (224, 224), (398, 224), (87, 0, 224, 224)),
        (View.rgb(256, 256, "contain"), 1, 0, (256, 144), (256, 144), None),
        (View.rgb(48, 27), 1, 0, (48, 27), (48, 27), None),
        (View.rgb(), Fraction(4, 3), 0, (2560, 1080), (2560, 1080), None),
        (View.rgb(), 1, 90, (1080, 1920), (1920, 1080), None),
        (View.rgb(256, 256, "contain"), 1, 90, (144, 256), (256, 144), None),
        (View.rgb(100, 200, "cover"), Fraction(1, 2), 0, (100, 200), (178, 200), (39, 0, 100, 200)),
        (View.rgb(224, 224, "cover"), 1, 270, (224, 224), (398, 224), (87, 0, 224, 224)),
    ],
)  # fmt: skip
def test_geometry_of_1080p(
    view: View, aspect: Fraction, rotation: int, size: tuple, scaled: tuple, crop: tuple | None
) -> None:
    made = geometry(view, 1920, 1080, Fraction(aspect), rotation)
    assert (made.size, made.scaled, made.crop) == (size, scaled, crop)


def test_cover_keeps_the_centre() -> None:
    rgb = np.zeros((20, 60, 3), np.uint8)
    rgb[:, 20:40] = 255
    picture = make(View.rgb(20, 20, "cover"), av.VideoFrame.from_ndarray(rgb, format="rgb24"))
    assert picture.shape == (20, 20, 3)
    assert picture.min() == 255


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3000, 1), (1, 2000), (5, 3)])
@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
def test_extreme_shapes(width: int, height: int, fit: str) -> None:
    frame = solid((200, 40, 90), "bt709", LIMITED, 8, width, height)
    picture = make(View.rgb(32, 24, fit), frame)  # type: ignore[arg-type]
    assert fit == "contain" or picture.shape == (24, 32, 3)
    assert np.abs(picture.reshape(-1, 3).astype(int) - (200, 40, 90)).max() <= 2


def test_interlaced_frames_shrink_as_whole_pictures() -> None:
    frame = av.VideoFrame(64, 64, "gray")
    fill(frame, 0, np.tile(np.array([[0], [255]], np.uint8), (32, 64)))  # one field black, the other white
    graph = Graph()
    buffer = graph.add_buffer(width=64, height=64, format=frame.format, time_base=Fraction(1, 25))
    graph.link_nodes(buffer, graph.add("setfield", "mode=tff"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    flagged = graph.vpull()
    assert flagged.interlaced_frame
    picture = make(View.rgb(16, 16, filter="area"), flagged, codec="png")
    assert np.abs(picture.astype(int) - 128).max() <= 2


def test_a_view_of_one_frame_is_made_once() -> None:
    frame = corners()
    pictures = Pictures(stream(width=40, height=20))
    shown = Shown(frame, 0.0, 0.04, 0, pictures.source(frame))
    first, _ = shown.picture(View.rgb(8, 8), pictures)
    assert shown.picture(View.rgb(8, 8), pictures)[0] is first
    assert shown.picture(View.rgb(8, 6), pictures)[0] is not first


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p"])
def test_against_the_ffmpeg_program(tmp_path: Path, pixel_format: str) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    codes = {"colorspace": 1, "color_range": 2}
    clip = make_clip(tmp_path / "clip.mkv", 2, codec="ffv1", pix_fmt=pixel_format, colour=codes)
    media = probe(clip)
    for w, h, ours, theirs in [
        (64, 48, "bicubic", "bicubic+accurate_rnd+full_chroma_int"),
        (21, 17, "area", "area+accurate_rnd+full_chroma_int"),
    ]:
        view = View.rgb(w, h, filter=ours)  # type: ignore[arg-type]
        scale = f"scale={w}:{h}:in_color_matrix=bt709:in_range=pc:out_range=pc:flags={theirs},format=rgb24"
        raw = subprocess.run(
            [ffmpeg, "-v", "error", "-i", str(clip), "-vf", scale, "-f", "rawvideo", "-"],
            capture_output=True,
            check=True,
        ).stdout
        expected = np.frombuffer(raw, np.uint8).reshape(-1, h, w, 3)
        with MediaStream(clip, media, make_plan(media, [Need(view)])) as decoded:
            got = np.concatenate([d.batch.view(view).permute(0, 2, 3, 1).numpy() for d in decoded])  # type: ignore[union-attr]
        assert np.abs(got.astype(int) - expected).max() <= 2

"""Views made by torch from native planes, against the CPU's of the same frames."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.decode.colour import source_of, traits
from mediaml.decode.device_views import DeviceViews, _weights, on_device
from mediaml.decode.lanes import Pictures
from mediaml.decode.planes import PlaneReader
from mediaml.decode.views import ViewMaker
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch, Planes
from mediaml.media import VideoStream
from mediaml.spec import Filter, View
from tests.unit.test_planes import fill, stream

W, H = 160, 120


def smooth(width: int = W, height: int = H) -> NDArray[np.uint8]:
    """(H, W, 3): slow waves in every channel."""
    y, x = np.mgrid[0:height, 0:width]
    waves = [np.sin(x / 17) + np.cos(y / 23), np.cos(x / 29) - np.sin(y / 13), np.sin((x + y) / 31) * 2]
    return np.stack([128 + 45 * w for w in waves], axis=-1).astype(np.uint8)


def frame_of(pixel_format: str, code_range: int = 1, matrix: int = 1) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(smooth(), format="rgb24")
    frame = rgb.reformat(format=pixel_format, dst_colorspace=matrix, dst_color_range=code_range)
    frame.colorspace, frame.color_range = matrix, code_range
    return frame


def both(frame: av.VideoFrame, view: View, seen: VideoStream) -> tuple[NDArray, NDArray]:
    """(the CPU's, torch's) picture as (H, W, 3)."""
    source = source_of(traits(frame), seen)
    arrays, depth = PlaneReader().read(frame, source)
    y, *chroma = (torch.from_numpy(np.array(a))[None, None] for a in arrays)
    planes = Planes(y, chroma[0] if chroma else None, chroma[1] if chroma else None, depth)
    one = torch.zeros(1, dtype=torch.float64)
    batch = FrameBatch(one, one, torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool), source.colour, planes,
                       make_view=DeviceViews(seen))  # fmt: skip
    return ViewMaker(view, seen).make(frame, source), batch.view(view)[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "area", "fast_bilinear"])
@pytest.mark.parametrize("size", [(48, 27), (80, 60), (33, 41), (200, 150)])
def test_filters_agree_with_the_cpu(filter: Filter, size: tuple[int, int]) -> None:
    a, b = both(frame_of("yuv444p"), View.rgb(*size, filter=filter), stream(width=W, height=H))
    difference = np.abs(a.astype(int) - b)
    most, mean = (3, 0.6) if filter == "fast_bilinear" else (1, 0.05)
    assert difference.max() <= most
    assert difference.mean() <= mean


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv420p10le", "nv12", "p010le"])
@pytest.mark.parametrize(("code_range", "matrix"), [(1, 1), (2, 1), (1, 5), (1, 9)])
@pytest.mark.parametrize("filter", ["bilinear", "fast_bilinear"])
def test_formats_matrices_and_ranges_agree(pixel_format: str, code_range: int, matrix: int, filter: Filter) -> None:
    a, b = both(frame_of(pixel_format, code_range, matrix), View.rgb(56, 42, filter=filter), stream(width=W, height=H))
    difference = np.abs(a.astype(int) - b)
    assert difference.max() <= 4
    assert difference.mean() <= 1.0


@pytest.mark.parametrize(
    "facts",
    [
        {"rotation_degrees": 90}, {"rotation_degrees": 180}, {"rotation_degrees": 270, "mirrored": True},
        {"sample_aspect_ratio": Fraction(4, 3)},
    ],
)  # fmt: skip
@pytest.mark.parametrize("fit", ["stretch", "cover", "contain"])
def test_geometry_agrees(facts: dict, fit: str) -> None:
    seen = stream(width=W, height=H, **facts)
    a, b = both(frame_of("yuv444p"), View.rgb(60, 44, fit, "bilinear"), seen)  # type: ignore[arg-type]
    assert a.shape == b.shape
    assert np.abs(a.astype(int) - b).max() <= 3


@pytest.mark.parametrize("filter", ["bilinear", "fast_bilinear"])
@pytest.mark.parametrize("transfer", ["smpte2084", "arib-std-b67"])
def test_hdr_agrees(transfer: str, filter: Filter) -> None:
    seen = stream(width=W, height=H, transfer=transfer, matrix="bt2020nc", primaries="bt2020")
    a, b = both(frame_of("yuv444p10le", 1, 9), View.rgb(64, 48, filter=filter), seen)
    difference = np.abs(a.astype(int) - b)
    assert difference[np.minimum(a, b) > 32].max() <= 4  # gamma magnifies rounding near black
    assert difference.max() <= 16
    assert difference.mean() <= 0.75


@pytest.mark.parametrize("filter", ["area", "fast_bilinear"])
def test_grey(filter: Filter) -> None:
    frame = av.VideoFrame(W, H, "gray")
    fill(frame, 0, smooth()[..., 0])
    a, b = both(frame, View.rgb(40, 30, filter=filter), stream(width=W, height=H))
    assert np.abs(a.astype(int) - b).max() <= 2


@pytest.mark.parametrize("filter", ["bilinear", "bicubic", "area", "fast_bilinear"])
@pytest.mark.parametrize(("source", "target"), [(1080, 27), (100, 33), (50, 50), (20, 64), (1, 5), (5, 1)])
def test_weights_sum_to_one_and_keep_ramps(filter: Filter, source: int, target: int) -> None:
    rows = _weights(source, target, filter, 0.0, "cpu")
    assert rows.shape == (target, source)
    torch.testing.assert_close(rows.sum(dim=1), torch.ones(target), atol=1e-5, rtol=0)
    if source > 40:  # away from the edges a ramp stays a ramp: the picture is not shifted
        got = (rows @ torch.arange(source, dtype=torch.float32))[target // 3 : -target // 3]
        expected = ((torch.arange(target) + 0.5) * source / target - 0.5)[target // 3 : -target // 3]
        assert (got - expected).abs().max() <= 0.5


def test_batches_with_planes_make_any_view() -> None:
    seen = stream(width=W, height=H)
    a, b = both(frame_of("yuv420p"), View.rgb(), seen)
    assert a.shape == b.shape == (H, W, 3)
    assert Pictures(seen).source(frame_of("yuv420p")).colour.matrix == "bt709"


def test_a_view_without_planes_is_refused_and_moving_keeps_times() -> None:
    one = torch.zeros(1, dtype=torch.float64)
    view = View.rgb(4, 4)
    colour = source_of(traits(frame_of("yuv420p")), stream()).colour
    batch = FrameBatch(one, one, torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool), colour,
                       views={view: torch.zeros(1, 3, 4, 4, dtype=torch.uint8)})  # fmt: skip
    with pytest.raises(InvalidValue, match="not asked of the decoder"):
        batch.view(View.rgb(5, 5))
    moved = on_device(batch, torch.device("meta"))
    assert isinstance(moved, FrameBatch)
    assert moved.view(view).device.type == "meta"
    assert moved.pts_seconds.device.type == "cpu"

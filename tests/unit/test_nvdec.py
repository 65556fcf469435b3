"""Hardware frames as planes: tested with the same pixel formats in main memory; decoding itself needs a GPU."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mediaml.decode.nvdec import batch_of, device_batches, semi_planar, why_not
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.spec import Need, View
from tests.clips import make_clip

VIEW = View.rgb(32, 24, filter="area")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what is said without a GPU")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA device absent")


@pytest.fixture(scope="module", params=["yuv420p", "yuv420p10le"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("nv") / "a.mp4", 5, pix_fmt=request.param)


def software(path: Path) -> FrameBatch:
    media = probe(path)
    with MediaStream(path, media, make_plan(media, [Need(View.planes())])) as stream:
        (delivery,) = list(stream)
    assert isinstance(delivery.batch, FrameBatch)
    return delivery.batch


def test_semi_planar_frames_give_the_planes_and_views_of_the_software_path(clip: Path) -> None:
    media, ours = probe(clip), software(clip)
    assert media.main_video is not None and ours.planes is not None
    deep = ours.planes.bit_depth > 8
    held = []
    with av.open(str(clip)) as container:
        for i, frame in enumerate(container.decode(video=0)):
            packed = frame.reformat(format="p010le" if deep else "nv12")
            held.append((semi_planar(packed), float(ours.pts_seconds[i]), 0.04, bool(frame.key_frame)))
    made = batch_of(held, frame, media.main_video, 0, torch.device("cpu"))
    assert made.planes is not None and made.planes.bit_depth == ours.planes.bit_depth
    for name in ("y", "u", "v"):
        assert torch.equal(getattr(made.planes, name), getattr(ours.planes, name)), name
    assert (made.colour, made.frame_index.tolist()) == (ours.colour, [0, 1, 2, 3, 4])
    other = FrameBatch(ours.pts_seconds, ours.duration_seconds, ours.frame_index, ours.key_frame, ours.colour,
                       planes=ours.planes, make_view=made.make_view)  # fmt: skip
    assert torch.equal(made.view(VIEW), other.view(VIEW))


def test_another_pixel_format_is_refused() -> None:
    frame = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
    with pytest.raises(InvalidValue, match="rgb24"):
        semi_planar(frame)


@needs_no_gpu
def test_without_a_gpu_it_says_why_and_what_to_do(clip: Path) -> None:
    with pytest.raises(InvalidValue, match="software path"):
        next(device_batches(clip, probe(clip), torch.device("cuda")))


def test_streams_that_nvdec_cannot_decode_are_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr("mediaml.decode.nvdec.hwdevices_available", lambda: ["cuda"])
    video = probe(clip).main_video
    assert video is not None
    assert (why_not(video) is None) is (video.bit_depth == 8)
    assert "prores" in (why_not(replace(video, codec="prores")) or "")
    assert "4:2:0" in (why_not(replace(video, chroma="444", bit_depth=8)) or "")


@pytest.mark.gpu
@needs_gpu
def test_hardware_and_software_give_equal_planes(clip: Path) -> None:
    media, ours = probe(clip), software(clip)
    if media.main_video is not None and why_not(media.main_video) is not None:
        pytest.skip("CUDA device cannot decode this stream in hardware")
    (made,) = device_batches(clip, media, torch.device("cuda"))
    assert made.planes is not None and ours.planes is not None
    assert torch.equal(made.planes.y.cpu(), ours.planes.y)
    assert torch.equal(made.pts_seconds, ours.pts_seconds)

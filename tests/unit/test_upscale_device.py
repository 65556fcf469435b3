"""`mediaml upscale` on a GPU: batches, recorded kernels, NVDEC's frames, NVENC's format; with fakes where there is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.video.codeccontext import VideoCodecContext
from torch import Tensor

import mediaml.engine.upscale.enlarging as enlarging
import mediaml.engine.upscale.frames as source_frames
from mediaml.engine.upscale.encoder import SegmentWriter, encoder_options, encoder_threads, video_frame
from mediaml.engine.upscale.frames import SourcePicture, SourcePictures, why_software
from mediaml.engine.upscale.plan import UpscaleSettings, plan_upscale
from mediaml.engine.upscale.video import upscale
from mediaml.errors import OutputUnwritable
from mediaml.frames import Colour, Planes
from mediaml.nets.mediaml_sr import MediamlSr, StrengthEstimator
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.replay import MOST_RECORDINGS, Replayed
from mediaml.restore.tiling import TileSide
from tests.clips import make_clip
from tests.unit.test_mediaml_sr import saved

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA device absent")
CPU = torch.device("cpu")


def network(seed: int = 0) -> MediamlSr:
    torch.manual_seed(seed)
    net = MediamlSr(channels=8, depth=1)
    torch.nn.init.normal_(net.convolutions()[-1].weight, std=0.02)
    return net


def test_kernels_are_recorded_at_the_second_sight_and_the_oldest_forgotten() -> None:
    recorded: list[tuple[int, ...]] = []

    def record(apply: Callable[..., Tensor], inputs: tuple[Tensor, ...]) -> Callable[..., Tensor]:
        recorded.append(tuple(inputs[0].shape))
        return lambda *given: apply(*given)

    replayed = Replayed(lambda x, y: x + y, record)
    for size in [1, 1, 1, 2, 1]:
        assert torch.equal(replayed(torch.ones(size), torch.ones(size)), torch.full((size,), 2.0))
    assert recorded == [(1,)]
    for size in range(2, 2 + MOST_RECORDINGS):  # 2 is seen again; the last one pushes 1 out
        replayed(torch.ones(size), torch.ones(size))
    replayed(torch.ones(1), torch.ones(1))
    replayed(torch.ones(1), torch.ones(1))
    assert recorded == [(1,), (2,), (1,)]


@needs_gpu
def test_a_recording_equals_the_network() -> None:
    net = network().cuda().requires_grad_(requires_grad=False)
    replayed = Replayed(net)
    for seed in range(4):
        x = torch.rand(2, 1, 24, 32, generator=torch.Generator().manual_seed(seed)).cuda()
        strength = torch.tensor([0.1 * seed, 0.5]).cuda()
        with torch.no_grad():
            assert torch.allclose(replayed(x, strength), net(x, strength), atol=1e-5)


def test_tiles_on_a_gpu_are_decided_once(monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([1 << 30, 1 << 20])
    monkeypatch.setattr("mediaml.restore.tiling.free_bytes", lambda _: next(free))
    side = TileSide(100.0, torch.device("cuda"), 1, None)
    assert side.of(1) == side.of(1) == 2064
    assert TileSide(100.0, CPU, 1, 48).of(1) == 48


def picture(index: int, planes: Planes, strength: float = 0.3) -> SourcePicture:
    return SourcePicture(index, index, 1, planes, Colour(), strength)


def planes(seed: int, height: int = 20) -> Planes:
    rng = torch.Generator().manual_seed(seed)
    sizes = (height, 26), (height // 2, 13), (height // 2, 13)
    y, u, v = (torch.randint(30, 220, (1, 1, *s), dtype=torch.uint8, generator=rng) for s in sizes)
    return Planes(y, u, v, 8)


def test_a_batch_gives_what_each_picture_gives() -> None:
    enlarger = LumaEnlarger("x", network(), StrengthEstimator())
    enlarger.net.compute_dtype = torch.float32
    batch = [picture(i, planes(i), 0.1 * i) for i in range(3)]
    together = enlarging.enlarge(batch, enlarger, "left")
    alone = [enlarging.enlarge([p], enlarger, "left")[0] for p in batch]
    assert [p.index for p, _ in together] == [0, 1, 2]
    for (_, a), (_, b) in zip(together, alone, strict=True):
        assert a.size == (40, 52)
        for name in ("y", "u", "v"):
            assert int((getattr(a, name).int() - getattr(b, name).int()).abs().max()) <= 1


def test_batches_hold_pictures_of_one_kind() -> None:
    heights = [20, 20, 20, 24, 24, 20]
    found = list(enlarging._batches((picture(i, planes(i, h)) for i, h in enumerate(heights)), 2))
    assert [[p.index for p in batch] for batch in found] == [[0, 1], [2], [3, 4], [5]]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> UpscaleSettings:
    return UpscaleSettings(model=str(saved(tmp_path_factory.mktemp("net") / "net.safetensors")), codec="ffv1")


def decoded(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_hardware_frames_give_the_pictures_of_software(
    tmp_path: Path, settings: UpscaleSettings, monkeypatch: pytest.MonkeyPatch, pixel_format: str
) -> None:
    monkeypatch.setattr("mediaml.restore.luma.bfloat16_is_fast", lambda _: False)
    source = make_clip(tmp_path / "a.mp4", 11, codec="libx265", pix_fmt=pixel_format)
    result = upscale(source, tmp_path / "software.mkv", settings)
    assert result.decoder == "the CPU: the device is cpu"
    real = SourcePictures._decoded

    def as_hardware(self: SourcePictures, *given: object) -> Iterator[av.VideoFrame]:
        for frame in real(self, *given):  # type: ignore[arg-type]
            made = frame.reformat(format="p010le" if "10" in frame.format.name else "nv12")
            made.pts, made.time_base, made.duration = frame.pts, frame.time_base, frame.duration
            yield made

    monkeypatch.setattr(SourcePictures, "_decoded", as_hardware)
    monkeypatch.setattr(source_frames, "why_software", lambda *_: None)
    monkeypatch.setattr(source_frames, "accelerator", lambda _: None)
    monkeypatch.setattr(enlarging, "batch_frames", lambda *_: 4)
    result = upscale(source, tmp_path / "hardware.mkv", settings)
    assert (result.decoder, result.frames) == ("NVDEC", 11)
    expected, got = decoded(tmp_path / "software.mkv"), decoded(tmp_path / "hardware.mkv")
    assert len(expected) == len(got) == 11
    for a, b in zip(expected, got, strict=True):
        assert int(np.abs(a.astype(int) - b.astype(int)).max()) <= 1


class OnCuda(LumaEnlarger):
    """A network that says it is on a GPU."""

    def __init__(self) -> None:
        super().__init__("mediaml_sr_x2", network(), StrengthEstimator())
        self.device = torch.device("cuda")


def test_nvdec_is_not_taken_where_it_hides_the_quantizers(
    tmp_path: Path, settings: UpscaleSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_frames, "why_refused", lambda *_: None)
    told, hidden = (
        plan_upscale(make_clip(tmp_path / f"{codec}.mp4", 2, codec=codec), tmp_path / "out.mkv", settings)
        for codec in ("libx264", "libx265")
    )
    assert "quantizers of h264" in (why_software(told, OnCuda()) or "")
    assert why_software(hidden, OnCuda()) is None
    monkeypatch.setattr(OnCuda, "uses_strength", False)
    assert why_software(told, OnCuda()) is None


def test_the_cores_are_the_encoders_where_a_gpu_has_the_network(tmp_path: Path) -> None:
    source = make_clip(tmp_path / "a.mp4", 2)
    on_gpu = plan_upscale(source, tmp_path / "b.mp4", UpscaleSettings(device="cuda"))
    assert encoder_threads(on_gpu) == on_gpu.settings.cores
    assert enlarging.batch_frames(OnCuda(), on_gpu) == enlarging.BATCH
    on_cpu = plan_upscale(source, tmp_path / "b.mp4", UpscaleSettings(workers=2))
    assert encoder_threads(on_cpu) == 1


def test_nvenc_is_asked_for_constant_quality(tmp_path: Path) -> None:
    if "hevc_nvenc" not in av.codecs_available:
        pytest.skip("this build of FFmpeg has no NVENC")
    source = make_clip(tmp_path / "a.mp4", 2, codec="libx265", pix_fmt="yuv420p10le")
    plan = plan_upscale(source, tmp_path / "b.mp4", UpscaleSettings(codec="hevc_nvenc", crf=24, device="cuda"))
    assert (plan.pixel_format, plan.encoder_format) == ("yuv420p10le", "p010le")
    options = encoder_options(plan)
    assert (options["rc"], options["cq"], options["b"]) == ("vbr", "24", "0")
    if not torch.cuda.is_available():
        with pytest.raises(OutputUnwritable, match="NVIDIA GPU that has an encoder"):
            SegmentWriter(plan, Colour(), Fraction(1, 25), tmp_path / "segment")


def test_ten_bits_reach_nvencs_layout_whole() -> None:
    rng = torch.Generator().manual_seed(1)
    y, u, v = (
        torch.randint(0, 1024, (1, 1, *s), generator=rng, dtype=torch.int32).to(torch.uint16)
        for s in ((4, 8), (2, 4), (2, 4))
    )
    frame = video_frame(Planes(y, u, v, 10), "yuv420p10le")
    frame.pts = 0
    context = av.CodecContext.create("rawvideo", "w")
    assert isinstance(context, VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 8, 4, "p010le", Fraction(1, 25)
    codes = np.frombuffer(bytes(context.encode(frame)[0]), np.uint16) >> 6
    assert np.array_equal(codes[:32], y.numpy().ravel())
    assert np.array_equal(codes[32::2], u.numpy().ravel())
    assert np.array_equal(codes[33::2], v.numpy().ravel())

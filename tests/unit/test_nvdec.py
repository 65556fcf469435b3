"""Hardware decoding: everything but the decoder itself is tested with frames of the same pixel formats in main memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from mediaml.analyzers.quality_nr.siti import SiTi
from mediaml.decode import nvdec
from mediaml.decode import stream as stream_module
from mediaml.decode.nvdec import plane_tensors, why_not, why_software
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.decode.video import Decoder
from mediaml.engine.run import run_media
from mediaml.engine.work import decoder_note
from mediaml.errors import InvalidValue
from mediaml.frames import FrameBatch
from mediaml.spec import Need, Table, View
from tests.clips import make_clip, sine

VIEW = View.rgb(32, 24, filter="area")
CPU, CUDA = torch.device("cpu"), torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA device absent")


@pytest.fixture(scope="module", params=["yuv420p", "yuv420p10le"])
def clip(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("nv") / "a.mp4", 40, pix_fmt=request.param, audio=sine(0.2))


@pytest.fixture
def fake_nvdec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The decode thread takes the hardware path; the "hardware" is the software decoder with frames repacked as NVDEC's."""
    real = Decoder.decode

    def as_hardware(frames: list[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        for frame in frames:
            made = frame.reformat(format="p010le" if "10" in frame.format.name else "nv12")
            made.pts = frame.pts
            yield made

    monkeypatch.setattr(Decoder, "decode", lambda self, packet: list(as_hardware(list(real(self, packet)))))
    flush = Decoder.flush
    monkeypatch.setattr(Decoder, "flush", lambda self: list(as_hardware(flush(self))))
    monkeypatch.setattr(stream_module, "why_software", lambda *_: None)
    monkeypatch.setattr(stream_module, "accelerator", lambda _: None)


def batches(path: Path, *needs: Need) -> tuple[dict[Need, list[FrameBatch]], MediaStream]:
    media = probe(path)
    found: dict[Need, list[FrameBatch]] = {}
    with MediaStream(path, media, make_plan(media, list(needs))) as opened:
        for delivery in opened:
            assert isinstance(delivery.batch, FrameBatch)
            found.setdefault(delivery.need, []).append(delivery.batch)
    return found, opened


def test_planes_are_read_where_they_lie(clip: Path) -> None:
    with av.open(str(clip)) as container:
        frame = next(container.decode(video=0))
    deep = frame.format.name != "yuv420p"
    packed = frame.reformat(format="p010le" if deep else "nv12")
    (y, u, v), depth, shift = plane_tensors(packed)
    assert (depth, shift) == ((10, 6) if deep else (8, 0))
    assert y.shape == (48, 64)
    assert u.shape == v.shape == (24, 32)
    assert u.data_ptr() + u.element_size() == v.data_ptr()  # interleaved: nothing was copied


def test_another_pixel_format_is_refused() -> None:
    frame = av.VideoFrame.from_ndarray(np.zeros((8, 8, 3), np.uint8), format="rgb24")
    with pytest.raises(InvalidValue, match="rgb24"):
        plane_tensors(frame)


NEEDS = (Need(View.planes()), Need(View.luma()), Need(VIEW), Need(VIEW, fps=5.0))


def test_the_hardware_path_gives_the_frames_of_the_software_path(clip: Path, request: pytest.FixtureRequest) -> None:
    ours, _ = batches(clip, *NEEDS)
    request.getfixturevalue("fake_nvdec")
    made, opened = batches(clip, *NEEDS)
    assert opened.report.decoder == "nvdec"
    assert opened.report.frames_decoded == 40
    assert [len(b) for b in made[NEEDS[0]]] == [32, 8]
    for need in NEEDS:
        for name in ("pts_seconds", "duration_seconds", "frame_index", "key_frame"):
            expected, got = (torch.cat([getattr(b, name) for b in side[need]]) for side in (ours, made))
            assert torch.equal(got, expected), (need, name)
        assert {b.colour for b in made[need]} == {b.colour for b in ours[need]}
    for name in ("y", "u", "v"):
        expected, got = (torch.cat([getattr(b.planes, name) for b in side[NEEDS[0]]]) for side in (ours, made))
        assert torch.equal(got, expected), name
    assert made[NEEDS[0]][0].planes.bit_depth == ours[NEEDS[0]][0].planes.bit_depth  # type: ignore[union-attr]
    luma = [torch.cat([b.planes.y for b in side[NEEDS[1]]]) for side in (ours, made)]  # type: ignore[union-attr]
    assert torch.equal(*luma)
    assert made[NEEDS[1]][0].planes.u is None  # type: ignore[union-attr]


def test_views_are_made_from_a_whole_batch(clip: Path, request: pytest.FixtureRequest) -> None:
    needs = NEEDS[0], NEEDS[2]
    ours, _ = batches(clip, *needs)
    request.getfixturevalue("fake_nvdec")
    made, _ = batches(clip, *needs)
    assert all(b.planes is None for b in made[needs[1]])  # the planes do not travel with the view
    expected, got = (torch.cat([b.view(VIEW) for b in side[needs[1]]]).int() for side in (ours, made))
    assert (got - expected).abs().max() <= 4  # device_views.py states this tolerance
    from_planes = torch.cat([b.view(VIEW) for b in made[needs[0]]])
    assert torch.equal(from_planes, torch.cat([b.view(VIEW) for b in made[needs[1]]]))


def test_pictures_before_are_code_values_too(clip: Path, request: pytest.FixtureRequest) -> None:
    need = Need(View.planes(), previous=True)
    ours, _ = batches(clip, need)
    request.getfixturevalue("fake_nvdec")
    made, _ = batches(clip, need)
    expected, got = (torch.cat([b.previous for b in side[need]]).int() for side in (ours, made))  # type: ignore[misc]
    assert torch.equal(got, expected)


def test_the_engine_runs_on_the_hardware_path(clip: Path, request: pytest.FixtureRequest) -> None:
    expected = run_media(clip, probe(clip), [SiTi()], device=CPU)
    request.getfixturevalue("fake_nvdec")
    outcome = run_media(clip, probe(clip), [SiTi()], device=CPU)
    assert [r.error for r in outcome.runners] == [None]
    got, due = (o.runners[0].rows[Table.FRAMES] for o in (outcome, expected))
    assert got["frame_index"].tolist() == list(range(40))
    assert all(got[name].equals(due[name]) for name in ("si", "ti"))


def test_what_nvdec_cannot_decode_is_named(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(nvdec, "hwdevices_available", lambda: ["cuda"])
    video = probe(clip).main_video
    assert video is not None
    assert (why_not(video) is None) is (video.bit_depth == 8)
    assert "prores" in (why_not(replace(video, codec="prores")) or "")
    assert "4:2:0" in (why_not(replace(video, chroma="444", bit_depth=8)) or "")
    assert "63x48" in (why_not(replace(video, width=63, bit_depth=8)) or "")


@pytest.mark.parametrize(
    ("needs", "device", "reason"),
    [
        ((Need(VIEW),), CPU, "the device is cpu"),
        ((Need(VIEW, bitstream=True),), CUDA, "coding facts"),
        ((Need(VIEW, fps=0.5, tolerance_seconds=9.0),), CUDA, "decodes few pictures"),
    ],
)
def test_why_the_cpu_decodes(tmp_path: Path, needs: tuple[Need, ...], device: torch.device, reason: str) -> None:
    path = make_clip(tmp_path / "a.mp4", 250, options={"g": "10"})
    media = probe(path)
    assert reason in (why_software(path, media, make_plan(media, needs), device) or "")


def test_a_refusal_of_the_driver_is_asked_for_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    media = probe(clip)
    plan = make_plan(media, [Need(VIEW)])
    opened = []

    def refuse(path: object, _accelerator: object) -> None:
        opened.append(path)
        raise RuntimeError("no stream is compatible")

    monkeypatch.setattr(nvdec, "why_not", lambda _: None)
    monkeypatch.setattr(nvdec, "open_container", refuse)
    monkeypatch.setattr(nvdec, "_verdicts", lambda _device, kept={}: kept)
    for _ in range(3):
        assert "no stream is compatible" in (why_software(clip, media, plan, CUDA) or "")
    assert len(opened) == 1


def test_the_run_says_why_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = run_media(clip, probe(clip), [SiTi()], device=CPU)
    assert decoder_note(outcome) == ""
    assert outcome.report is not None
    outcome.report.why_software = "NVDEC decodes 4:2:0 only, not 444"
    assert decoder_note(outcome) == "decoded on the CPU, not by NVDEC: NVDEC decodes 4:2:0 only, not 444"


@pytest.mark.gpu
@needs_gpu
def test_hardware_and_software_give_equal_planes(clip: Path) -> None:
    media = probe(clip)
    plan = make_plan(media, [NEEDS[0]])
    reason = why_software(clip, media, plan, CUDA)
    if reason is not None:
        pytest.skip(f"CUDA device cannot decode this stream in hardware: {reason}")
    ours, _ = batches(clip, NEEDS[0])
    with MediaStream(clip, media, plan, device=CUDA) as opened:
        made = [d.batch for d in opened if isinstance(d.batch, FrameBatch)]
    assert opened.report.decoder == "nvdec"
    assert {b.device.type for b in made} == {"cuda"}
    for name in ("y", "u", "v"):
        expected, got = (torch.cat([getattr(b.planes, name).cpu() for b in side]) for side in (ours[NEEDS[0]], made))
        assert torch.equal(got, expected), name
    assert torch.equal(torch.cat([b.pts_seconds for b in made]), torch.cat([b.pts_seconds for b in ours[NEEDS[0]]]))  # type: ignore[union-attr]

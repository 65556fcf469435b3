"""mediaml_nr: facts of the bitstream reach analyzers, the network takes what it finds, intervals lie right, the command."""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner

from mediaml.analyzers.quality_nr.mediaml_nr import MediamlNrQuality
from mediaml.cli.score import register
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.engine.score.single import parse_limits, score_single
from mediaml.errors import InvalidValue, NoStreams
from mediaml.frames import Bitstream, FrameBatch, Planes
from mediaml.nets.kernel_ridge import KernelRidge
from mediaml.nets.mediaml_nr import FACTS, MediamlNr, Seen, codec_number, interval
from mediaml.nets.nr_facts import facts_vector
from mediaml.nets.nr_kernel import UNKNOWN, Kernel, coarse, codes_of
from mediaml.nets.nr_motion import changes
from mediaml.nets.nr_probes import OCTAVES, PLAIN, QUANTISED, probes
from mediaml.nets.nr_statistics import STATISTICS, fragments, grid_corners, statistics
from mediaml.ops.quantiser import log2_step
from mediaml.spec import AudioView, Need, View
from pipelines.nr_fit import Data, fit
from tests.clips import make_clip, sine


@cache
def _wide() -> np.ndarray:
    """(288, 520, 3): smooth noise of three sizes."""
    rng = np.random.default_rng(0)
    layers = [
        k * 22 * cv2.GaussianBlur(rng.normal(0, 1, (288, 520, 3)).astype(np.float32), (0, 0), k / 3) for k in (3, 9, 31)
    ]
    return np.clip(sum(layers) + 128, 0, 255).astype(np.uint8)


def texture(index: int) -> np.ndarray:
    """(288, 384, 3): the same picture at every frame, moved sideways."""
    return np.ascontiguousarray(_wide()[:, 2 * index : 2 * index + 384])


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same two seconds at two qualities."""
    folder = tmp_path_factory.mktemp("nr")
    return {
        name: make_clip(folder / f"{name}.mp4", texture, 40, options={"crf": crf, "preset": "ultrafast"}, fps=20)
        for name, crf in (("good", "16"), ("bad", "46"))
    }


@pytest.fixture(scope="module")
def app() -> typer.Typer:
    made = typer.Typer()
    made.callback()(lambda: None)
    register(made)
    return made


def facts_of(path: Path, need: Need) -> Bitstream:
    media = probe(path)
    with MediaStream(path, media, make_plan(media, [need])) as stream:
        batches = [d.batch for d in stream]
    assert isinstance(batches[0], FrameBatch) and batches[0].bitstream is not None
    return batches[0].bitstream


def test_bitstream_facts_come_where_asked(clips: dict[str, Path]) -> None:
    good, bad = (facts_of(clips[n], Need(View.luma(), bitstream=True)) for n in ("good", "bad"))
    assert good.picture_type[0] == 1 and set(good.picture_type[1:].tolist()) <= {1, 2, 3}
    assert good.packet_bytes.isfinite().all() and (good.packet_bytes > 0).all()
    assert good.packet_bytes.sum() > 3 * bad.packet_bytes.sum()
    assert 5 < good.qp.mean() < 25 < 35 < bad.qp.mean() <= 51
    total = float(good.packet_bytes.sum())
    assert total == pytest.approx(clips["good"].stat().st_size, rel=0.1, abs=6000)


def test_facts_are_absent_where_not_asked_and_refused_for_sound(clips: dict[str, Path]) -> None:
    media = probe(clips["good"])
    with MediaStream(clips["good"], media, make_plan(media, [Need(View.luma())])) as stream:
        batch = next(iter(stream)).batch
    assert isinstance(batch, FrameBatch) and batch.bitstream is None
    with pytest.raises(InvalidValue, match="pictures"):
        Need(AudioView(), bitstream=True)


def test_steps_of_codecs_share_a_scale() -> None:
    assert log2_step("h264", torch.tensor([4.0, 28.0])).tolist() == pytest.approx([0.0, 4.0])
    vp9 = log2_step("vp9", torch.tensor([0.0, 1.0, 95.0, 255.0]))
    assert vp9.tolist() == pytest.approx([-1.0, 0.0, math.log2(102 / 8), math.log2(1828 / 8)], abs=1e-3)
    assert log2_step("mpeg2video", torch.tensor([8.0])).item() == 3.0
    assert log2_step("hevc", torch.tensor([28.0])).tolist() == [4.0]
    assert log2_step("av1", torch.tensor([95.0])).tolist() == log2_step("vp9", torch.tensor([95.0])).tolist()
    assert log2_step("vvc", torch.tensor([28.0])).tolist() == [4.0]
    assert log2_step("flv1", torch.tensor([8.0])).item() == log2_step("h263", torch.tensor([8.0])).item() == 3.0
    assert log2_step("vp8", torch.tensor([0.0, 54.0, 55.0, 117.0, 127.0])).exp2().tolist() == pytest.approx(
        [2, 29, 30, 117, 142]
    )  # halves of ac_qlookup
    assert log2_step("theora", torch.tensor([32.0])).item() == log2_step("mjpeg", torch.tensor([32.0])).item() == 5.0
    assert log2_step("vc1", torch.tensor([30.0])).isnan().all()


def test_unknown_facts_are_nan_and_the_rest_is_there() -> None:
    unknown = facts_vector("thing", 1000, math.nan, None, 2)
    assert unknown.shape == (2, FACTS) and unknown.isnan().all()
    coded = Bitstream(
        torch.tensor([125.0]), torch.tensor([2], dtype=torch.uint8), torch.tensor([28.0]), torch.tensor([0.0])
    )
    known = facts_vector("h264", 1000, 0.5, coded, 1)
    assert known[0, :7].tolist() == pytest.approx([0.0, 0.0, 4 / 3, 0, 1, 0, 1.0]) and known[0, 7] == 0
    assert known[0, 10:].isnan().all()
    moved = facts_vector("h264", 1000, 0.5, coded, 1, torch.tensor([[3.9, 15.9]]))
    assert moved[0, 10:].tolist() == pytest.approx([1.0, 2.0])


def test_pictures_before_come_where_asked(clips: dict[str, Path]) -> None:
    media = probe(clips["good"])
    every, sparse = Need(View.luma()), Need(View.planes(), fps=2.0, previous=True)
    with MediaStream(clips["good"], media, make_plan(media, [sparse])) as stream:
        batch = next(iter(stream)).batch
    with MediaStream(clips["good"], media, make_plan(media, [every])) as stream:
        luma = torch.cat([d.batch.view(View.luma()) for d in stream if isinstance(d.batch, FrameBatch)])
    assert isinstance(batch, FrameBatch) and batch.previous is not None and batch.planes is not None
    assert batch.frame_index.tolist() == [0, 10, 20, 30]
    assert torch.equal(batch.planes.y, luma[::10])
    assert torch.equal(batch.previous, luma[[0, 9, 19, 29]])  # the first stands in for itself


def test_changes_tell_motion_from_noise() -> None:
    rng = torch.Generator().manual_seed(0)
    still = torch.full((1, 1, 64, 64), 100, dtype=torch.uint8)
    noisy = (still + torch.randint(-9, 10, still.shape, generator=rng)).to(torch.uint8)
    brighter = still + 20
    for depth, scale in ((8, 1), (10, 4)):
        before, moved, grain = (t.to(torch.int32) * scale for t in (still, brighter, noisy))
        assert changes(before, moved, depth)[0].tolist() == pytest.approx([20.0, 20.0], rel=1e-3)
        blurred, plain = changes(before, grain, depth)[0].tolist()
        assert plain > 2 * blurred


@pytest.mark.parametrize(("height", "width"), [(1080, 1920), (97, 131), (1, 1)])
def test_fragments_of_any_size(height: int, width: int) -> None:
    y = torch.full((1, 1, height, width), 126, dtype=torch.uint8)
    half = torch.full((1, 1, (height + 1) // 2, (width + 1) // 2), 138, dtype=torch.uint8)
    luma, chroma = fragments(Planes(y, half, half, 8), "limited")
    assert luma.shape == (1, 12, 1, 96, 96) and chroma.shape == (1, 12, 2, 48, 48)
    assert luma.eq(110).all() and chroma.eq(10).all()
    assert all(y % 8 == 0 and x % 8 == 0 for y, x in grid_corners(height, width))


def test_statistics_see_blur_and_block_borders() -> None:
    noise = torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 200
    blurred = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    blocky = torch.nn.functional.avg_pool2d(noise, 8).repeat_interleave(8, 2).repeat_interleave(8, 3)
    grey = torch.zeros(1, 2, 48, 48)
    sharp, soft, blocks = (statistics(p, grey)[0] for p in (noise, blurred, blocky))
    assert sharp.shape == (STATISTICS,) and sharp.isfinite().all()
    assert soft[62] < sharp[62] - 2  # the highest band of luma, log2
    assert blocks[2 * 191 + 7] > 2 and sharp[2 * 191 + 7].abs() < 0.3  # gradient across block borders


def test_probes_tell_what_another_loss_costs() -> None:
    noise = torch.rand(1, 12, 1, 96, 96, generator=torch.Generator().manual_seed(0)) * 200
    soft = torch.nn.functional.avg_pool2d(noise[0], 5, 1, 2)[None]
    steps = torch.tensor([3.0, math.nan])
    (quantised, plain), (_, of_soft) = (probes(x.expand(2, -1, -1, -1, -1), steps) for x in (noise, soft))
    by_octave = quantised[0].view(len(OCTAVES), 4)
    assert quantised.shape == (2, QUANTISED) and plain.shape == (2, PLAIN)
    assert (by_octave[1:] > by_octave[:-1]).all()  # a coarser step loses more, at each scale
    assert quantised[1].isnan().all() and torch.equal(plain[0], plain[1])  # the rest needs no step
    assert of_soft[0, 0] < plain[0, 0] - 0.3  # a blur costs little where nothing is sharp
    flat, _ = probes(torch.full((1, 12, 1, 96, 96), 17.0), torch.tensor([2.0]))
    assert flat.max() < -5  # nothing to lose


def test_network_works_without_facts_and_keeps_to_its_range() -> None:
    net = MediamlNr(points=5).eval()
    net.kernel.coefficients.normal_(0, 100, generator=torch.Generator().manual_seed(0))
    seen = Seen(torch.randn(3, 12, STATISTICS), torch.full((3, QUANTISED), math.nan), torch.randn(3, PLAIN))
    quality, spread = net(seen, torch.full((3, FACTS), math.nan), torch.ones(3), "av1")
    assert quality.shape == (3,) and (quality >= 0).all() and (quality <= 100).all() and (spread > 0).all()
    low, high = interval(quality, spread, 2.0)
    assert (low <= quality).all() and (quality <= high).all() and (low >= 0).all() and (high <= 100).all()


def test_a_codec_is_known_where_an_encode_of_it_was_learned_from() -> None:
    net = MediamlNr(points=3)
    net.kernel.codecs[:] = torch.tensor([codec_number(c) for c in ("h264", "h264", "flv1")])
    assert net.knows("h264") and net.knows("h263")  # the same as flv1
    assert not any(net.knows(c) for c in ("av1", "hevc", "prores", ""))


def learned(seed: int = 0) -> Data:
    """Ten sources of four encodes each, by two codecs whose qualities differ by a constant."""
    rng = torch.Generator().manual_seed(seed)
    pictures = (60 * torch.randn(40, 1, 3, generator=rng) + torch.zeros(1, 2, 1)).round().clamp(-127, 127)
    pictures[20:22] = 127.0  # of either codec: whatever is left out, the kernel's steps are 1
    groups, codecs = torch.arange(40) // 4, torch.arange(40) % 2
    x = pictures[:, 0]
    return Data(pictures, 50 + 10 * (x[:, 0] / 60).sin() + x[:, 1] / 20 + 12 * codecs, groups, codecs)


@pytest.mark.parametrize("codec", [1, UNKNOWN])
def test_what_is_left_out_is_predicted_as_by_a_kernel_without_it(codec: int) -> None:
    data, views = learned(), torch.ones(1, 3)
    mine = (data.groups == 0) & (data.codecs == 1)
    rest = (data.groups != 0) & (data.codecs != 1) if codec == UNKNOWN else data.groups != 0
    quality = data.quality.clone()
    quality[~rest] += quality[rest].mean() - quality[~rest].mean()  # the middle of all is the middle of the rest
    data = data._replace(quality=quality)
    at, known, other = fit(Kernel(0, views), data, torch.ones(1, 40, dtype=torch.bool))
    assert at.tolist() == list(range(40)) and known.quality.shape == (40, 2)
    again = Kernel(0, views)
    fit(again, data.at(rest.nonzero()[:, 0]), torch.ones(1, int(rest.sum()), dtype=torch.bool))
    expected, _ = again(data.pictures[mine, 0], torch.zeros(2, dtype=torch.int64), codec)
    found = other if codec == UNKNOWN else known
    assert torch.allclose(found.quality[mine, 0], expected, atol=0.02)
    assert (known.error > 0).all() and other.error.mean() > known.error.mean()


def test_kernel_tells_codecs_apart_and_knows_what_they_share() -> None:
    data, kernel = learned(), Kernel(0, torch.ones(1, 3))
    fit(kernel, data, torch.ones(1, 40, dtype=torch.bool))
    x, first = data.pictures[:, 0], torch.zeros(40, dtype=torch.int64)
    (one, spread), (two, _), (neither, wider) = (kernel(x, first, codec) for codec in (0, 1, -1))
    assert 6 < (two - one).mean() < 12 and one.mean() < neither.mean() < two.mean()
    of_own = torch.where(data.codecs == 0, one, two)
    assert (of_own - data.quality).abs().mean() < 1.5
    assert (spread > 0).all() and wider.mean() > spread.mean()


def test_kernel_leaves_out_what_a_view_does_not_know() -> None:
    data = learned()
    kernel = Kernel(0, torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]]))
    learns = torch.ones(2, 40, dtype=torch.bool)
    learns[0, 30:] = False  # encodes that the first view cannot learn from
    fit(kernel, data, learns, every=1)
    assert not kernel.coefficients[0, :, 30:].any() and kernel.coefficients[1, 0, 30:].all()
    moved = data.pictures[:, 0].clone()
    moved[:, 1] += 100
    whole, partly = (
        [kernel(t, torch.full((40,), view), 0)[0] for t in (data.pictures[:, 0], moved)] for view in (0, 1)
    )
    assert torch.allclose(*partly) and not torch.allclose(*whole)


def test_points_go_into_a_byte_a_number() -> None:
    points = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 10.0, 100.0, 0.0])
    kept = coarse(points)
    codes, step = codes_of(kept)
    assert codes.dtype == torch.int8 and torch.equal(codes * step, coarse(kept))
    assert ((kept - points).abs() <= 0.5001 * step).all() and codes[:, :3].abs().amax(dim=0).tolist() == [127] * 3
    assert torch.allclose(codes * step, kept, rtol=1e-6)


def test_kernel_ridge_learns_a_curve_and_survives_a_file(tmp_path: Path) -> None:
    x = torch.linspace(0, 6, 80)[:, None]
    net = KernelRidge.fit(x, x[:, 0].sin(), gamma=4.0, penalty=1e-3)
    assert (net(x) - x[:, 0].sin()).abs().max() < 0.02
    net.save(tmp_path / "net.safetensors")
    assert torch.allclose(KernelRidge.load(tmp_path / "net.safetensors", 1)(x), net(x), atol=1e-3)


def test_a_better_encode_is_predicted_better(clips: dict[str, Path]) -> None:
    good, bad = (score_single(clips[n], device="cpu", artifacts=False) for n in ("good", "bad"))
    assert good.mean[1] > bad.mean[1] + 15
    for result in (good, bad):
        assert result.mean[0] <= result.mean[1] <= result.mean[2]
        assert (result.frames["nr_quality_low"] <= result.frames["nr_quality"]).all()
        assert (result.frames["nr_quality"] <= result.frames["nr_quality_high"]).all()
        assert np.isnan(result.frames["nr_quality_1080"]).all()  # 288 lines are too few for that


def test_score_without_reference_by_command(app: typer.Typer, clips: dict[str, Path], tmp_path: Path) -> None:
    names = {n: tmp_path / f"out.{n}" for n in ("json", "csv", "html")}
    options = [part for name, path in names.items() for part in (f"--{name}", str(path))]
    done = CliRunner().invoke(app, ["score", str(clips["bad"]), *options, "--fail-under", "nr=99"])
    assert done.exit_code == 3, done.output
    found = json.loads(names["json"].read_text())
    assert found["quality"]["low"] <= found["quality"]["mean"] <= found["quality"]["high"]
    assert len(found["frames"]) == 2 and found["missed"][0]["limit"] == "mean:nr_quality=99"
    assert names["csv"].read_text().count("\n") == 3
    assert "predicted VMAF" in names["html"].read_text()


def test_many_files_and_a_bad_one(app: typer.Typer, clips: dict[str, Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no media at all")
    done = CliRunner().invoke(app, ["score", str(clips["good"]), str(broken), "--json", str(tmp_path / "o.json")])
    assert done.exit_code == 1
    good, bad = sorted(json.loads((tmp_path / "o.json").read_text()), key=lambda f: "error" in f)
    assert good["quality"]["mean"] > 0 and bad["kind"] == "not_media"


def test_refusals(tmp_path: Path) -> None:
    sound = make_clip(tmp_path / "sound.m4a", [], audio=sine(0.5))
    with pytest.raises(NoStreams, match="no picture to judge"):
        score_single(sound)
    with pytest.raises(InvalidValue, match="only nr, nr_1080"):
        parse_limits("vmaf=90")
    assert [str(m) for m in parse_limits("nr=80,p5:nr_1080=50")] == ["mean:nr_quality=80", "p5:nr_quality_1080=50"]


def test_one_picture(tmp_path: Path) -> None:
    result = score_single(make_clip(tmp_path / "one.mp4", texture, 1), artifacts=False)
    assert len(result.worst) == 1 and result.pooled["nr_quality"].frames == 1
    assert MediamlNrQuality.spec.need is not None and MediamlNrQuality.spec.need.bitstream

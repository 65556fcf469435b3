"""Our network's parts: the base, the modulation, chroma positions, tiles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml.errors import InvalidValue
from mediaml.frames import Colour, Planes
from mediaml.nets.mediaml_sr import MediamlSr, StrengthEstimator, lanczos_x2
from mediaml.restore.chroma import enlarged_chroma
from mediaml.restore.ensemble import over_orientations
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.strength import Steady, exported_strength, jpeg_strength
from mediaml.restore.tiling import tile_side, tiled


def trained_like(seed: int = 0) -> MediamlSr:
    """A small net that does something."""
    torch.manual_seed(seed)
    net = MediamlSr(channels=8, depth=2)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return net.eval().requires_grad_(False)


def lanczos_by_hand(line: np.ndarray, place: float) -> float:
    """Lanczos with three lobes at `place` of a line whose ends repeat."""
    at = np.arange(int(np.floor(place)) - 2, int(np.floor(place)) + 4)
    weight = np.sinc(place - at) * np.sinc((place - at) / 3)
    return float((weight * line[at.clip(0, len(line) - 1)]).sum() / weight.sum())


def test_the_base_is_lanczos_interpolation() -> None:
    line = np.random.default_rng(0).random(20)
    picture = torch.from_numpy(line).float().view(1, 1, 1, -1).expand(-1, -1, 9, -1).contiguous()
    shown = lanczos_x2(picture)
    assert shown.shape == (1, 1, 18, 40)
    expected = [lanczos_by_hand(line, (j + 0.5) / 2 - 0.5) for j in range(40)]
    np.testing.assert_allclose(shown[0, 0, 8].numpy(), expected, atol=2e-6)


def test_a_new_network_gives_the_base() -> None:
    x = torch.rand(2, 1, 12, 14)
    net = MediamlSr(channels=8, depth=2)
    torch.testing.assert_close(net(x, torch.tensor([0.0, 0.6])), lanczos_x2(x), atol=1e-6, rtol=0)


def test_frames_alone_give_what_they_give_together() -> None:
    net = trained_like()
    x, strength = torch.rand(3, 1, 10, 12), torch.tensor([0.0, 0.33, 1.0])
    alone = torch.cat([net(x[i : i + 1], strength[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(net(x, strength), alone, atol=1e-5, rtol=0)
    assert not torch.allclose(net(x[:1], strength[:1]), net(x[:1], strength[1:2]), atol=1e-4)  # the strength matters


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 2), (33, 18)])
def test_any_size_is_doubled(size: tuple[int, int]) -> None:
    shown = trained_like()(torch.rand(1, 1, *size), torch.tensor([0.5]))
    assert shown.shape == (1, 1, 2 * size[0], 2 * size[1])
    assert bool(shown.isfinite().all())


def test_nothing_beyond_reach_changes_a_pixel() -> None:
    net = trained_like()
    x = torch.rand(1, 1, 80, 80)
    other = x.clone()
    other[..., 40 + net.reach + 1 :] += 0.5
    a, b = (net(t, torch.tensor([0.4])) for t in (x, other))
    assert torch.equal(a[..., :80], b[..., :80])


def test_wrong_shapes_are_refused() -> None:
    net = trained_like()
    with pytest.raises(InvalidValue, match="luma must be"):
        net(torch.rand(1, 3, 8, 8), torch.zeros(1))
    with pytest.raises(InvalidValue, match="strength"):
        net(torch.rand(2, 1, 8, 8), torch.zeros(1))


def test_the_published_size_keeps_its_promise() -> None:
    count = sum(p.numel() for m in (MediamlSr(), StrengthEstimator()) for p in m.parameters())
    assert 50_000 <= count <= 150_000


@pytest.mark.parametrize("size", [(5, 40), (32, 32), (61, 47)])
def test_the_estimator_takes_any_size(size: tuple[int, int]) -> None:
    found = StrengthEstimator()(torch.rand(2, 1, *size))
    assert found.shape == (2,)
    assert bool(((found >= 0) & (found <= 1)).all())


@pytest.mark.parametrize(("siting", "offset"), [("left", 0.0), ("center", 0.5)])
def test_chroma_stays_where_the_colour_is(siting: str, offset: float) -> None:
    """A ramp over the large picture, sampled where chroma lies, is that ramp after enlarging."""
    at = torch.arange(16, dtype=torch.float64)
    small = (2 * at + offset).float().view(1, 1, 1, -1).expand(-1, -1, 8, -1).contiguous()  # luma column of each sample
    shown = enlarged_chroma(small, (2, 2), siting)[0, 0, 4]
    large = torch.arange(32, dtype=torch.float64)
    expected = (2 * large + offset - 0.5) / 2  # the small picture's luma column under each large chroma sample
    torch.testing.assert_close(shown[8:-8].double(), expected[8:-8], atol=0.06, rtol=0)


def test_tiles_leave_no_seam() -> None:
    net = trained_like()
    x, strength = torch.rand(1, 1, 150, 170), torch.tensor([0.5])
    whole = net(x, strength)
    for tile in (48, 64, 100):
        parts = tiled(lambda t: net(t, strength), x, 2, tile, net.reach)
        assert float((parts - whole).abs().max()) < 1 / 255 / 10


def test_a_tile_smaller_than_a_pixel_is_refused() -> None:
    with pytest.raises(InvalidValue, match="tile 0"):
        tiled(lambda t: t, torch.rand(1, 1, 4, 4), 1, 0, 0)


def test_tiles_shrink_with_the_memory_that_a_pixel_costs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mediaml.restore.tiling.free_bytes", lambda _device: 1_000_000_000)
    cpu = torch.device("cpu")
    assert tile_side(1000, 1, cpu) == 624  # 400 MB at 1 kB a pixel, in steps of 16
    assert tile_side(1000, 1, cpu, workers=4) == 304
    assert tile_side(1e12, 1, cpu) == 64


def enlarger() -> LumaEnlarger:
    return LumaEnlarger("test", trained_like(), StrengthEstimator())


@pytest.mark.parametrize("bit_depth", [8, 10])
@pytest.mark.parametrize("span", ["limited", "full"])
def test_planes_keep_depth_range_and_subsampling(bit_depth: int, span: str) -> None:
    dtype = torch.uint8 if bit_depth == 8 else torch.uint16
    top = (1 << bit_depth) - 1
    grey = Planes(*(torch.full((1, 1, *s), top // 2).to(dtype) for s in ((9, 11), (5, 6), (5, 6))), bit_depth)
    flat = LumaEnlarger("flat", MediamlSr(channels=4, depth=1), StrengthEstimator())
    shown = flat.planes(grey, Colour(range=span), "left", torch.tensor([0.3]))  # type: ignore[arg-type]
    assert (shown.size, shown.bit_depth, shown.y.dtype) == ((18, 22), bit_depth, dtype)
    assert shown.u is not None
    assert tuple(shown.u.shape[2:]) == (9, 11)
    for plane in (shown.y, shown.u, shown.v):
        assert plane is not None
        assert set(plane.flatten().tolist()) == {top // 2}


def test_grey_pictures_stay_grey() -> None:
    planes = Planes(torch.randint(0, 256, (1, 1, 8, 8), dtype=torch.uint8), None, None, 8)
    shown = enlarger().planes(planes, Colour(), "left", torch.zeros(1))
    assert shown.u is None
    assert shown.size == (16, 16)


def test_twice_is_four_times() -> None:
    four = LumaEnlarger("four", trained_like(), StrengthEstimator(), passes=2)
    shown = four.rgb(torch.rand(1, 3, 8, 9), torch.tensor([0.2]))
    assert (four.scale, tuple(shown.shape)) == (4, (1, 3, 32, 36))


def test_the_public_upscaler_takes_a_file_and_checks_its_input(tmp_path: Path) -> None:
    import mediaml

    upscaler = mediaml.Upscaler(saved(tmp_path / "net.safetensors"))
    picture = torch.rand(2, 3, 10, 12)
    shown = upscaler(picture)
    assert (tuple(shown.shape), upscaler.scale) == ((2, 3, 20, 24), 2)
    assert 0 <= float(shown.min()) <= float(shown.max()) <= 1
    assert not torch.equal(upscaler(picture, strength=0.0), upscaler(picture, strength=0.9))
    for bad in (torch.rand(1, 1, 8, 8), torch.rand(3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)):
        with pytest.raises(InvalidValue, match="frames must be"):
            upscaler(bad)
    for bad in (torch.full((1, 3, 8, 8), 2.0), torch.full((1, 3, 8, 8), float("nan"))):
        with pytest.raises(InvalidValue, match="lie in"):
            upscaler(bad)
    with pytest.raises(InvalidValue, match="strength 3"):
        upscaler(torch.rand(1, 3, 8, 8), strength=3)


def saved(path: Path) -> Path:
    """A file as training writes it."""
    from safetensors.torch import save_file

    net, estimator = trained_like(), StrengthEstimator()
    tensors = {f"sr.{k}": v.contiguous() for k, v in net.state_dict().items()}
    tensors |= {f"strength.{k}": v.contiguous() for k, v in estimator.state_dict().items()}
    save_file(tensors, path, metadata={"architecture": "mediaml_sr", "channels": "8", "depth": "2", "scale": "2"})
    return path


def test_the_mean_over_orientations_turns_everything_back() -> None:
    x = torch.rand(1, 1, 6, 9)
    torch.testing.assert_close(
        over_orientations(lambda y: y.repeat_interleave(2, 2).repeat_interleave(2, 3), x),
        x.repeat_interleave(2, 2).repeat_interleave(2, 3),
        atol=1e-6,
        rtol=0,
    )
    ramp = torch.arange(9.0).expand(1, 1, 6, 9)
    shown = over_orientations(lambda y: y + torch.arange(float(y.shape[3])), ramp)  # favours one direction
    assert float((shown - ramp).std()) < 1.0 < float(torch.arange(9.0).std())


def test_bfloat16_differs_by_a_code_at_most() -> None:
    net = trained_like()
    x, strength = (torch.randint(16, 236, (1, 1, 40, 44)) / 255).float(), torch.tensor([0.5])
    exact = net(x, strength)
    net.compute_dtype = torch.bfloat16
    residual = (exact - lanczos_x2(x)).abs().max()
    assert float((net(x, strength) - exact).abs().max()) < float(residual) / 50 + 1 / 255


def test_the_steady_strength_is_a_mean_of_all_and_then_of_the_last() -> None:
    steady = Steady()
    assert [round(steady.next(v), 6) for v in (0.2, 0.4, 0.6)] == [0.2, 0.3, 0.4]
    assert [steady.next(1.0) for _ in range(60)][-1] == pytest.approx(1.0, abs=1e-3)


def test_the_strength_of_a_jpeg_is_in_its_table() -> None:
    flat = [5] * 64  # a quantizer step of 5 is H.264's at QP 18, three octaves above its finest
    assert jpeg_strength(flat) == pytest.approx(0.58)
    assert jpeg_strength([1] * 64) == pytest.approx(0.25 * math.log2(1.6) - 0.05)
    assert jpeg_strength([1] * 64) < jpeg_strength(flat) < jpeg_strength([255] * 64) <= 1
    assert jpeg_strength([99, *flat[1:]]) == jpeg_strength(flat)


def test_what_loses_nothing_was_not_compressed() -> None:
    assert exported_strength("ffv1", float("nan")) == 0.0
    assert exported_strength("hevc", float("nan")) is None
    assert exported_strength("h264", 25.5) == 0.5

"""LPIPS and DISTS with random weights, against plain torchvision modules, and against pyiqa where it is installed."""

from __future__ import annotations

import sys
import types
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from mediaml.errors import InvalidValue, WeightsCorrupt
from mediaml.metrics.perceptual import dists, lpips, read_dists, read_lpips
from mediaml.nets.imagenet_stages import BackboneName

ENDS = {"vgg": (3, 8, 15, 22, 29), "alex": (1, 4, 7, 9, 11)}
CHANNELS = {"vgg": (64, 128, 256, 512, 512), "alex": (64, 192, 384, 256, 256)}


@cache
def model(name: BackboneName) -> nn.Module:
    """Without the classifier, which nothing looks at."""
    torch.manual_seed(3)
    made = nn.Module()
    vgg = torchvision.models.vgg
    made.features = vgg.make_layers(vgg.cfgs["D"]) if name == "vgg" else torchvision.models.AlexNet(2).features
    return made.eval()


def saved_backbone(name: BackboneName, folder: Path) -> Path:
    state = {k: v for k, v in model(name).state_dict().items() if k.startswith("features.")}
    torch.save(state, folder / f"{name}.pth")
    return folder / f"{name}.pth"


def head_state(name: BackboneName) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(4)
    return {f"lin{i}.model.1.weight": torch.rand(1, c, 1, 1, generator=rng) for i, c in enumerate(CHANNELS[name])}


def dists_state() -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(5)
    return {k: torch.rand(1, 1475, 1, 1, generator=rng) for k in ("alpha", "beta")}


def saved(state: dict[str, Tensor], path: Path) -> Path:
    torch.save(state, path)
    return path


def pictures(size: int = 71) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(6)
    x = torch.rand(2, 3, size, size + 9, generator=rng)
    return x, (x + 0.2 * torch.rand(x.shape, generator=rng)).clamp(0, 1)


def maps_of(features: nn.Sequential, x: Tensor, ends: tuple[int, ...]) -> list[Tensor]:
    found = []
    for i, layer in enumerate(features):
        x = layer(x)
        if i in ends:
            found.append(x.clone())
    return found


@pytest.mark.parametrize("name", ["vgg", "alex"])
def test_lpips_is_that_of_plain_modules(name: BackboneName, tmp_path: Path) -> None:
    heads = head_state(name)
    net = read_lpips(saved_backbone(name, tmp_path), saved(heads, tmp_path / "heads.pth"), name)
    x, y = pictures()
    shift, scale = (torch.tensor(v).view(1, 3, 1, 1) for v in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450]))
    features = model(name).features
    assert isinstance(features, nn.Sequential)
    expected = torch.zeros(2)
    with torch.no_grad():
        maps = [maps_of(features, (2 * t - 1 - shift) / scale, ENDS[name]) for t in (x, y)]
        for i, (a, b) in enumerate(zip(*maps, strict=True)):
            a, b = (t / (t.norm(dim=1, keepdim=True) + 1e-10) for t in (a, b))
            expected += ((a - b) ** 2 * heads[f"lin{i}.model.1.weight"]).sum(1).mean((1, 2))
        found = lpips(x, y, net)
        assert found.tolist() == pytest.approx(expected.tolist(), abs=1e-5) and found.min() > 0.01
        assert lpips(x, x, net).tolist() == [0.0, 0.0]


def test_dists_of_equal_and_of_worse_pictures(tmp_path: Path) -> None:
    net = read_dists(saved_backbone("vgg", tmp_path), saved(dists_state(), tmp_path / "w.pth"))
    x, y = pictures()
    with torch.no_grad():
        assert dists(x, x, net).tolist() == pytest.approx([0, 0], abs=1e-6)
        near, far = dists(x, 0.5 * (x + y), net), dists(x, y, net)
    assert bool((near > 1e-4).all()) and bool((far > near).all())


def test_both_are_pyiqas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = find_spec("pyiqa")
    if spec is None or spec.submodule_search_locations is None:
        pytest.skip("pyiqa is not installed")
    for suffix in ("", ".archs", ".utils"):
        bare = types.ModuleType("pyiqa" + suffix)
        bare.__path__ = [p + suffix.replace(".", "/") for p in spec.submodule_search_locations]
        monkeypatch.setitem(sys.modules, "pyiqa" + suffix, bare)
    for name in ("vgg16", "alexnet"):
        of = model("vgg" if name == "vgg16" else "alex")
        monkeypatch.setattr(torchvision.models, name, lambda of=of, **_: of)
    peers = {n: import_module(f"pyiqa.archs.{n}_arch") for n in ("lpips", "dists")}
    x, y = pictures()
    with torch.no_grad():
        for name in ("alex", "vgg"):
            theirs = peers["lpips"].LPIPS(pretrained=False, net=name).eval()
            theirs.load_state_dict(head_state(name), strict=False)
            net = read_lpips(saved_backbone(name, tmp_path), saved(head_state(name), tmp_path / "h.pth"), name)
            assert lpips(x, y, net).tolist() == pytest.approx(theirs(y, x).flatten().tolist(), abs=1e-5)
        theirs = peers["dists"].DISTS(pretrained=False).eval()
        theirs.load_state_dict(dists_state(), strict=False)
        net = read_dists(saved_backbone("vgg", tmp_path), saved(dists_state(), tmp_path / "w.pth"))
        assert dists(x, y, net).tolist() == pytest.approx(theirs(y, x).flatten().tolist(), abs=1e-5)


def test_other_files_and_bad_pictures_are_refused(tmp_path: Path) -> None:
    alex, heads = saved_backbone("alex", tmp_path), saved(head_state("alex"), tmp_path / "heads.pth")
    with pytest.raises(WeightsCorrupt, match="vgg16 state dict is wanted"):
        read_dists(alex, heads)
    with pytest.raises(WeightsCorrupt, match=r"lin0.model.1.weight must hold 64"):
        read_lpips(alex, alex, "alex")
    net = read_lpips(alex, heads, "alex")
    x, y = pictures()
    with pytest.raises(InvalidValue, match="64 pixels a side"):
        lpips(x[..., :40, :40], y[..., :40, :40], net)
    with pytest.raises(InvalidValue, match="without NaN"):
        lpips(x * torch.nan, y, net)

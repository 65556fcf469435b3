"""Foreign models: ncnn's files, checkpoints that users bring, and what is refused."""

from __future__ import annotations

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml import weights
from mediaml.errors import InvalidValue, UnknownName, WeightsAbsent, WeightsCorrupt
from mediaml.nets.srvgg import SrvggCompact
from mediaml.restore.models import MODELS, Where, load_model
from mediaml.restore.rgb import RgbEnlarger
from mediaml.weights.ncnn import read_ncnn

CPU = Where(torch.device("cpu"))


def loaded(name: str) -> RgbEnlarger:
    try:
        found = load_model(name, 4, CPU)
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    assert isinstance(found, RgbEnlarger)
    return found


@pytest.mark.weights
@pytest.mark.parametrize(
    ("name", "param", "content"),
    [
        ("realesr-animevideov3", "realesrgan_animevideov3_x4_param", "realesrgan_animevideov3_bin"),
        ("realesrgan-x4plus-anime", "realesrgan_x4plus_anime_param", "realesrgan_x4plus_anime_bin"),
        ("realesrgan-x4plus", "realesrgan_x4plus_param", "realesrgan_x4plus_bin"),
    ],
)
def test_our_torch_nets_equal_ncnn(name: str, param: str, content: str) -> None:
    ncnn = pytest.importorskip("ncnn")
    ours = loaded(name)
    net = ncnn.Net()
    net.opt.num_threads = 1
    for option in (
        "use_fp16_packed",
        "use_fp16_storage",
        "use_fp16_arithmetic",
        "use_bf16_storage",
        "use_vulkan_compute",
    ):
        setattr(net.opt, option, False)
    net.load_param(str(weights.resolve(param)))
    net.load_model(str(weights.resolve(content)))
    x = np.random.default_rng(1).random((3, 16, 20)).astype(np.float32)
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(x).clone())
    theirs = np.array(extractor.extract("output")[1])
    with torch.inference_mode():
        found = ours._net(torch.from_numpy(x)[None])[0].numpy()
    assert np.abs(found - theirs).max() < 1e-4


@pytest.mark.weights
def test_tiles_of_the_compact_net_equal_the_whole() -> None:
    whole = loaded("realesr-animevideov3")
    parts = load_model("realesr-animevideov3", 4, Where(torch.device("cpu"), tile=32))
    x = torch.rand(1, 3, 48, 56, generator=torch.Generator().manual_seed(0))
    a, b = (e.rgb(x, torch.zeros(1)) for e in (whole, parts))
    assert float((a - b).abs().max()) < 1 / 255


@pytest.mark.weights
def test_a_smaller_scale_is_the_larger_one_shrunk() -> None:
    loaded("realesr-animevideov3")
    half = load_model("realesr-animevideov3", 2, CPU)
    assert tuple(half.rgb(torch.rand(1, 3, 9, 8), torch.zeros(1)).shape) == (1, 3, 18, 16)


def test_unknown_names_and_scales_are_refused() -> None:
    with pytest.raises(UnknownName, match="realesrgan-x4plus"):
        load_model("realesrgan-x4pluss", 4, CPU)
    with pytest.raises(InvalidValue, match="--scale 3"):
        load_model("mediaml_sr_x2", 3, CPU)
    assert "mediaml_sr_x2" in MODELS


class Evil:
    """What runs a command when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self._target}",)


@pytest.mark.parametrize("container", ["pickle", "torch"])
def test_a_checkpoint_with_code_is_refused_and_never_run(tmp_path: Path, container: str) -> None:
    path, witness = tmp_path / "model.pth", tmp_path / "ran"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"weight": Evil(witness)}))
    else:
        torch.save({"weight": Evil(witness)}, path)
    with pytest.raises(InvalidValue, match=r"refused, because loading it would run code|not a torch checkpoint"):
        load_model(path, 4, CPU)
    assert not witness.exists()


def test_what_is_no_checkpoint_is_said_to_be_none(tmp_path: Path) -> None:
    text = tmp_path / "notes.pth"
    text.write_text("not a checkpoint")
    with pytest.raises(InvalidValue, match=r"notes\.pth"):
        load_model(text, 2, CPU)
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"\x00" * 40)
    with pytest.raises(InvalidValue, match="safetensors"):
        load_model(wrong, 2, CPU)
    empty = tmp_path / "list.pth"
    torch.save([1, 2], empty)
    with pytest.raises(InvalidValue, match="not a dictionary"):
        load_model(empty, 2, CPU)


def test_an_unknown_architecture_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    path = tmp_path / "unknown.pth"
    torch.save({"nonsense.weight": torch.zeros(3)}, path)
    with pytest.raises(InvalidValue, match="spandrel knows no architecture"):
        load_model(path, 2, CPU)


def test_a_checkpoint_that_spandrel_knows_runs(tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    torch.manual_seed(0)
    net = SrvggCompact(features=16, convolutions=2)
    state = dict(net.state_dict())
    path = tmp_path / "compact.pth"
    torch.save({"params": state}, path)
    found = load_model(path, 4, CPU)
    x = torch.rand(1, 3, 8, 10)
    with torch.inference_mode():
        torch.testing.assert_close(found.rgb(x, torch.zeros(1)), net(x).clamp(0, 1), atol=1e-5, rtol=0)


def ncnn_files(folder: Path, tag: int = 0x01306B47, extra: bytes = b"") -> tuple[Path, Path]:
    """One 1x1 convolution from 3 to 1 channels, and a PReLU."""
    param, content = folder / "net.param", folder / "net.bin"
    param.write_text(
        "7767517\n3 3\nInput in 0 1 data\nConvolution c 1 1 data x 0=1 1=1 5=1 6=3\nPReLU p 1 1 x output 0=1\n"
    )
    kernel = np.array([1, 2, 0.5], "<f2").tobytes() + b"\0\0"
    content.write_bytes(struct.pack("<I", tag) + kernel + struct.pack("<ff", 0.25, 0.125) + extra)
    return param, content


def test_the_ncnn_reader_reads_half_precision_padding_and_biases(tmp_path: Path) -> None:
    layers = read_ncnn(*ncnn_files(tmp_path))
    assert [kind for kind, _ in layers] == ["Convolution", "PReLU"]
    assert [t.tolist() for _, tensors in layers for t in tensors] == [[1, 2, 0.5], [0.25], [0.125]]


def test_the_ncnn_reader_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(WeightsCorrupt, match="of kind 0xd4b38"):
        read_ncnn(*ncnn_files(tmp_path, tag=0x000D4B38))
    with pytest.raises(WeightsCorrupt, match="bytes more"):
        read_ncnn(*ncnn_files(tmp_path, extra=b"\0"))
    param, content = ncnn_files(tmp_path)
    content.write_bytes(content.read_bytes()[:-4])
    with pytest.raises(WeightsCorrupt, match="ends at byte"):
        read_ncnn(param, content)
    param.write_text("hello")
    with pytest.raises(WeightsCorrupt, match="not an ncnn graph"):
        read_ncnn(param, content)

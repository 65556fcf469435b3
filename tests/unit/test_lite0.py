"""EfficientNet-Lite0: folding, naming of the published tensors, the analyzer, and what it recognises."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from mediaml import weights
from mediaml.analyzers.embed.efficientnet_lite0 import VIEW, Lite0Embedding
from mediaml.errors import WeightsAbsent, WeightsCorrupt
from mediaml.frames import Colour, FrameBatch
from mediaml.nets.lite0 import DIMENSIONS, Lite0, classifier_head


def random_net() -> torch.nn.Module:
    torch.manual_seed(7)
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            module.bias.data.normal_(0, 0.1)
    return net


@pytest.fixture(scope="module")
def published() -> dict[str, torch.Tensor]:
    try:
        return torch.load(weights.resolve("efficientnet_lite0"), map_location="cpu", weights_only=True)
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")


def batch(frames: torch.Tensor) -> FrameBatch:
    n = len(frames)
    return FrameBatch(
        torch.arange(n).double(),
        torch.ones(n).double(),
        torch.arange(n),
        torch.ones(n, dtype=torch.bool),
        Colour(),
        views={VIEW: frames},
    )


def test_folding_batch_norm_keeps_the_values():
    net = random_net()
    state = {f"foreign_{i}": v for i, v in enumerate(net.state_dict().values())}
    frames = torch.randint(0, 256, (2, 3, 224, 224), dtype=torch.uint8)
    folded = Lite0(state)
    assert not any(isinstance(m, torch.nn.BatchNorm2d) for m in folded.modules())
    with torch.inference_mode():
        features = folded(frames)
        logits = net((frames.float() - 127) / 128)
        assert features.shape == (2, DIMENSIONS)
        assert logits.std() > 1e-3
        assert torch.allclose(folded.classifier(features), logits, atol=1e-4)
    weight, bias = classifier_head(state)
    assert torch.allclose(features @ weight.T + bias, logits, atol=1e-4)


def test_other_weights_are_refused():
    state = dict(random_net().state_dict())
    with pytest.raises(WeightsCorrupt, match="has 296 tensors, the weights 295"):
        Lite0(dict(list(state.items())[1:]))
    state["conv_stem.weight"] = torch.zeros(8, 3, 3, 3)
    with pytest.raises(WeightsCorrupt, match=r"conv_stem.weight: shape \(8, 3, 3, 3\) where"):
        Lite0(state)
    with pytest.raises(WeightsCorrupt, match="the last tensors are"):
        classifier_head({"a": torch.zeros(2, 2), "b": torch.zeros(2)})


def test_values_do_not_depend_on_the_batch_and_the_input_is_kept():
    analyzer = Lite0Embedding()
    analyzer.use(random_net().state_dict(), torch.device("cpu"))
    frames = torch.randint(0, 256, (3, 3, 224, 224), dtype=torch.uint8)
    before = frames.clone()
    together = analyzer.update(batch(frames))["vector"]
    assert torch.equal(frames, before)
    assert together.shape == (3, DIMENSIONS)
    assert torch.equal(together[1:2], analyzer.update(batch(frames[1:2]))["vector"])
    (column,) = analyzer.spec.outputs
    assert together.min() >= column.minimum
    assert together.max() <= column.maximum


@pytest.mark.weights
@pytest.mark.data
@pytest.mark.slow
def test_it_recognises_real_pictures(published: dict[str, torch.Tensor], shared_data: Path):
    """Every eighth of 200 ImageNet pictures, one a class; on all of them top-1 is 87 %."""
    from torchvision.models import EfficientNet_B0_Weights

    names = [n.lower() for n in EfficientNet_B0_Weights.IMAGENET1K_V1.meta["categories"]]
    net = Lite0(published)
    files = sorted((shared_data / "img-tag").rglob("*.JPEG"))[::8]
    right = 0
    for file in files:
        picture = Image.open(file).convert("RGB")
        scale = 224 / min(picture.size)
        width, height = (max(224, round(side * scale)) for side in picture.size)
        pixels = np.asarray(picture.resize((width, height), Image.Resampling.BILINEAR))
        top, left = (height - 224) // 2, (width - 224) // 2
        frame = torch.from_numpy(pixels[top : top + 224, left : left + 224].copy()).permute(2, 0, 1)[None]
        with torch.inference_mode():
            best = int(net.classifier(net(frame)).argmax())
        right += names[best] == re.sub(r"^n\d+_", "", file.stem).replace("_", " ").lower()
    assert len(files) == 25
    assert right >= 20

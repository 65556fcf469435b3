"""EfficientNet-Lite0 (Tan & Le 2019, arXiv 1905.11946; the Lite variant of 2020) as an image embedder and classifier.

The architecture is timm's `tf_efficientnet_lite0`; the published weights name the same 296 tensors differently, in the
same order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt

SIZE = 224
DIMENSIONS = 1280
CLASSES = 1000
MEAN, SCALE = 127.0, 128.0  # code values, as the network was trained: (x - 127) / 128


class Lite0(nn.Module):
    """(N, 3, 224, 224) uint8 RGB -> (N, 1280) pooled features; `classifier` maps those to (N, 1000) ImageNet logits."""

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        """Takes a state dict of 296 tensors in the network's order. Raises WeightsCorrupt where a shape differs."""
        import timm

        super().__init__()
        net: Any = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
        net.load_state_dict(_renamed(net.state_dict(), state))
        fold_batch_norm(net)
        self.classifier: nn.Linear = net.classifier
        net.reset_classifier(0)
        self.backbone: nn.Module = net.to(memory_format=torch.channels_last)
        self.eval()

    def forward(self, frames: Tensor) -> Tensor:
        x = frames.to(memory_format=torch.channels_last).float().sub_(MEAN).div_(SCALE)
        return self.backbone(x)


def classifier_head(state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The (1000, 1280) weight and (1000,) bias of the classifier, straight from the published state dict."""
    weight, bias = list(state.values())[-2:]
    if weight.shape != (CLASSES, DIMENSIONS) or bias.shape != (CLASSES,):
        raise WeightsCorrupt(f"EfficientNet-Lite0: the last tensors are {tuple(weight.shape)}, {tuple(bias.shape)}")
    return weight, bias


def fold_batch_norm(net: nn.Module) -> None:
    """Folds each batch normalisation into the convolution right before it, in place; activations stay."""
    for module in net.modules():
        previous: nn.Module | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d) and isinstance(previous, nn.Conv2d):
                fused = torch.nn.utils.fuse_conv_bn_eval(_plain(previous), child)
                previous.weight, previous.bias = fused.weight, fused.bias
                setattr(module, name, getattr(child, "act", nn.Identity()))
            previous = child


def _plain(conv: nn.Conv2d) -> nn.Conv2d:
    """Weights of `conv` in a module that may be copied; only weight and bias matter to the caller."""
    plain = nn.Conv2d(conv.in_channels, conv.out_channels, conv.kernel_size, groups=conv.groups, bias=False)  # type: ignore[arg-type]
    plain.weight, plain.bias = conv.weight, conv.bias
    return plain.eval()


def _renamed(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if len(own) != len(given):
        raise WeightsCorrupt(f"EfficientNet-Lite0 has {len(own)} tensors, the weights {len(given)}")
    for (name, mine), (theirs, tensor) in zip(own.items(), given.items(), strict=True):
        if mine.shape != tensor.shape:
            raise WeightsCorrupt(f"{theirs}: shape {tuple(tensor.shape)} where {name} has {tuple(mine.shape)}")
    return dict(zip(own, given.values(), strict=True))

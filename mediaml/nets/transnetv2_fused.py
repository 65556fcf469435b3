"""TransNetV2 rearranged for speed: the same function as `mediaml.nets.transnetv2`, up to float rounding.

The (2+1)D convolutions become 2-D ones on two channels-last views of the same memory (a 3x3 over H x W with frames as
the batch, then a dilated 3x1 over T x (H W)), batch normalisation is folded into the second, the classifier sees only the
frames that are kept, and the layouts that 3-D convolutions would copy between never arise.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mediaml.nets.transnetv2 import TransNetV2, _Cell

DILATIONS = (1, 2, 4, 8)


class FusedCell(nn.Module):
    """One cell on (B, T, H, W, C) tensors: four dilations, normalisation folded in."""

    def __init__(self, cell: _Cell) -> None:
        super().__init__()
        scale = cell.bn.weight / torch.sqrt(cell.bn.running_var + cell.bn.eps)  # type: ignore[operator]
        bias = cell.bn.bias - cell.bn.running_mean * scale  # type: ignore[operator]
        branches = [getattr(cell, f"Conv3D_{d}").layers for d in DILATIONS]
        for i, (layers, s, b) in enumerate(zip(branches, scale.chunk(4), bias.chunk(4), strict=True)):
            spatial = layers[0].weight[:, :, 0]  # (2f, C, 3, 3)
            temporal = (layers[1].weight * s.view(-1, 1, 1, 1, 1))[..., 0]  # (f, 2f, 3, 1)
            self.register_buffer(f"spatial_{i}", spatial.detach().contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"temporal_{i}", temporal.detach().contiguous(memory_format=torch.channels_last))
            self.register_buffer(f"bias_{i}", b.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        b, t, h, w, _ = x.shape
        frames = x.flatten(0, 1).permute(0, 3, 1, 2)  # (B T, C, H, W), channels last in memory
        outputs = []
        for i, dilation in enumerate(DILATIONS):
            y = F.conv2d(frames, self.get_buffer(f"spatial_{i}"), padding=1)
            y = y.permute(0, 2, 3, 1).reshape(b, t, h * w, -1).permute(0, 3, 1, 2)  # (B, 2f, T, H W)
            y = F.conv2d(
                y,
                self.get_buffer(f"temporal_{i}"),
                self.get_buffer(f"bias_{i}"),
                padding=(dilation, 0),
                dilation=(dilation, 1),
            )
            outputs.append(y.permute(0, 2, 3, 1))  # (B, T, H W, f)
        return torch.cat(outputs, -1).reshape(b, t, h, w, -1)


class FusedTransNetV2(nn.Module):
    """Inference only; made from a loaded `TransNetV2`, whose small layers it shares."""

    def __init__(self, net: TransNetV2) -> None:
        super().__init__()
        self.cells = nn.ModuleList(FusedCell(cell) for stack in net.SDDCNN for cell in stack.DDCNN)  # type: ignore[union-attr]
        self.frame_sim_layer = net.frame_sim_layer
        self.color_hist_layer = net.color_hist_layer
        self.fc1 = net.fc1
        self.cls_layer1 = net.cls_layer1
        self.cls_layer2 = net.cls_layer2

    def forward(self, frames: Tensor, keep: slice = slice(None)) -> tuple[Tensor, Tensor]:
        """(B, T, 3, 27, 48) uint8 RGB -> two (B, kept) logits; `keep` selects the frames along T that are classified."""
        x = frames.permute(0, 1, 3, 4, 2).float().div_(255).contiguous()  # (B, T, H, W, 3)
        pooled = []
        for first_cell, second_cell in zip(self.cells[::2], self.cells[1::2], strict=True):
            first = first_cell(x).relu_()
            x = _halve(second_cell(first).relu_().add_(first))
            pooled.append(x.mean((2, 3)))
        similarity = self.frame_sim_layer.similar(torch.cat(pooled, 2))
        colour = self.color_hist_layer(frames)
        joined = torch.cat([colour[:, keep], similarity[:, keep], x[:, keep].flatten(2)], 2)
        hidden = F.relu(self.fc1(joined))
        return self.cls_layer1(hidden)[..., 0], self.cls_layer2(hidden)[..., 0]


def _halve(x: Tensor) -> Tensor:
    """2x2 average pooling of (B, T, H, W, C), odd edges dropped."""
    b, t = x.shape[:2]
    y = F.avg_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
    return y.reshape(b, t, *y.shape[1:])

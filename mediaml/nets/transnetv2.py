"""TransNetV2: shot boundary probabilities from tiny frames (Soucek & Lokoc 2020, arXiv 2008.04838).

Six cells of four dilated (2+1)D convolutions see 97 frames; two similarity branches (learned features, colour
histograms) compare each frame with the 50 before and after it. Parameter names follow the published PyTorch port, so
that its state dict loads as it is.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WINDOW = 100
"""Frames in one window, as in the reference implementation."""

STEP = 50
"""Frames a window advances; only its middle `STEP` predictions are kept."""

MARGIN = (WINDOW - STEP) // 2
"""Frames before and after the kept ones."""

HEIGHT, WIDTH = 27, 48
LOOKUP = 101  # frames a similarity row spans
FILTERS = (16, 32, 64)  # a dilation, in the three stacks
BATCH_NORM_EPS = 1e-3
BINS = 512  # 8 x 8 x 8 RGB


class _Separable(nn.Module):
    """A 1x3x3 convolution, then a dilated 3x1x1 one; nothing between them."""

    def __init__(self, channels: int, filters: int, dilation: int) -> None:
        super().__init__()
        spatial = nn.Conv3d(channels, 2 * filters, (1, 3, 3), padding=(0, 1, 1), bias=False)
        temporal = nn.Conv3d(
            2 * filters, filters, (3, 1, 1), dilation=(dilation, 1, 1), padding=(dilation, 0, 0), bias=False
        )
        self.layers = nn.ModuleList([spatial, temporal])

    def forward(self, x: Tensor) -> Tensor:
        return self.layers[1](self.layers[0](x))


class _Cell(nn.Module):
    """Four dilations side by side, then batch normalisation: (B, C, T, H, W) -> (B, 4 * filters, T, H, W)."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.Conv3D_1 = _Separable(channels, filters, 1)
        self.Conv3D_2 = _Separable(channels, filters, 2)
        self.Conv3D_4 = _Separable(channels, filters, 4)
        self.Conv3D_8 = _Separable(channels, filters, 8)
        self.bn = nn.BatchNorm3d(4 * filters, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(torch.cat([self.Conv3D_1(x), self.Conv3D_2(x), self.Conv3D_4(x), self.Conv3D_8(x)], 1))


class _Stack(nn.Module):
    """Two cells with a shortcut around the second, then 2x2 average pooling."""

    def __init__(self, channels: int, filters: int) -> None:
        super().__init__()
        self.DDCNN = nn.ModuleList([_Cell(channels, filters), _Cell(4 * filters, filters)])

    def forward(self, x: Tensor) -> Tensor:
        first = F.relu(self.DDCNN[0](x))
        return F.avg_pool3d(F.relu(self.DDCNN[1](first)) + first, (1, 2, 2))


class FrameSimilarity(nn.Module):
    """Cosine similarity of learned frame vectors within the lookup span: list of (B, C, T, H, W) -> (B, T, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.projection = nn.Linear(4 * sum(FILTERS), 128)
        self.fc = nn.Linear(LOOKUP, 128)

    def forward(self, features: list[Tensor]) -> Tensor:
        pooled = torch.cat([f.mean((3, 4)) for f in features], 1).transpose(1, 2)  # (B, T, 448)
        return self.similar(pooled)

    def similar(self, pooled: Tensor) -> Tensor:
        """(B, T, 448) -> (B, T, 128)."""
        return F.relu(self.fc(lookup(F.normalize(self.projection(pooled), dim=2))))


class ColorHistograms(nn.Module):
    """Cosine similarity of 512-bin RGB histograms within the lookup span: (B, T, 3, H, W) uint8 -> (B, T, 128)."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(LOOKUP, 128)

    def forward(self, frames: Tensor) -> Tensor:
        b, t = frames.shape[:2]
        histogram = histograms(frames.reshape(b * t, *frames.shape[2:])).reshape(b, t, BINS)
        return F.relu(self.fc(lookup(histogram)))


class TransNetV2(nn.Module):
    """The network in the paper's form; `mediaml.nets.transnetv2_fused` computes the same values faster."""

    def __init__(self) -> None:
        super().__init__()
        self.SDDCNN = nn.ModuleList(
            _Stack(c, f) for c, f in zip((3, 4 * FILTERS[0], 4 * FILTERS[1]), FILTERS, strict=True)
        )
        self.frame_sim_layer = FrameSimilarity()
        self.color_hist_layer = ColorHistograms()
        self.fc1 = nn.Linear(4 * FILTERS[-1] * 3 * 6 + 256, 1024)
        self.cls_layer1 = nn.Linear(1024, 1)
        self.cls_layer2 = nn.Linear(1024, 1)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, 3, 27, 48) uint8 RGB -> two (B, T) logits.

        The first says that a transition's one centre frame is here, the second that the frame lies anywhere inside one.
        A cut peaks on the last frame of the shot that ends.
        """
        x = frames.float().div_(255).transpose(1, 2)  # (B, 3, T, H, W)
        features = []
        for stack in self.SDDCNN:
            x = stack(x)
            features.append(x)
        deep = x.permute(0, 2, 3, 4, 1).flatten(2)  # (B, T, 4608), channels last as the weights expect
        joined = torch.cat([self.color_hist_layer(frames), self.frame_sim_layer(features), deep], 2)
        hidden = F.relu(self.fc1(joined))
        return self.cls_layer1(hidden)[..., 0], self.cls_layer2(hidden)[..., 0]


def histograms(frames: Tensor) -> Tensor:
    """L2-normalised counts of 8x8x8 RGB bins: (N, 3, H, W) uint8 -> (N, 512) float32."""
    r, g, b = (frames >> 5).long().unbind(1)
    bins = ((r << 6) + (g << 3) + b).flatten(1)  # (N, H * W)
    counts = torch.zeros(frames.shape[0], BINS, device=frames.device)
    counts.scatter_add_(1, bins, torch.ones_like(bins, dtype=torch.float32))
    return F.normalize(counts, dim=1)


def lookup(vectors: Tensor) -> Tensor:
    """Similarity of each frame to its neighbours: (B, T, D) -> (B, T, LOOKUP); zero beyond the window's ends.

    Column j of row t is the dot product of frames t and t + j - 50.
    """
    half = LOOKUP // 2
    b, t = vectors.shape[:2]
    padded = F.pad(vectors @ vectors.transpose(1, 2), (half, half)).contiguous()  # (B, T, T + 100)
    # row t starts t columns further right: a view with a row stride of one more than the width
    return padded.as_strided((b, t, LOOKUP), (t * (t + 2 * half), t + 2 * half + 1, 1))

"""Batches and blocks made by hand, as any analyzer's spec asks for them. No decoder is involved."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
import torch.nn.functional as F
from torch import Tensor

from mediaml.frames import AudioBlock, Colour, FrameBatch, Planes
from mediaml.media import AudioStream, MediaInfo, VideoStream
from mediaml.ops.colour import code_range, yuv_to_rgb
from mediaml.spec import AudioView, Need, View

AUDIO_RATE = 48000


@dataclass(frozen=True, slots=True)
class Clip:
    """A picture source: N frames of 4:2:0 planes and their colour. `reference` is the clip that this one is a bad copy of."""

    planes: Planes
    colour: Colour
    reference: Clip | None = None

    def __len__(self) -> int:
        return self.planes.y.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        return self.planes.size


def clip(
    frames: int = 6,
    width: int = 200,
    height: int = 112,
    bit_depth: int = 8,
    *,
    black: bool = False,
    colour: Colour | None = None,
    seed: int = 0,
) -> Clip:
    """Noisy moving texture with a hard cut in the middle (or black throughout); its reference is the clean original."""
    colour = colour or Colour()
    codes = code_range(bit_depth, colour.range)
    shapes = [(height, width), ((height + 1) // 2, (width + 1) // 2)]
    dtype = torch.uint8 if bit_depth == 8 else torch.uint16
    rng = torch.Generator().manual_seed(seed)
    noise = torch.randn((height, width), generator=rng)

    def plane(index: int, which: int) -> Tensor:
        h, w = shapes[min(which, 1)]
        if black:
            return torch.full((h, w), codes.black if which == 0 else codes.chroma_zero)
        y, x = torch.meshgrid(torch.linspace(0, 4, h), torch.linspace(0, 6, w), indexing="ij")
        turn = 2.0 if index >= (frames + 1) // 2 else 0.7
        wave = torch.sin(turn * x * (1 + which) + 0.4 * index) * torch.cos(turn * y - 0.2 * index) / 2 + 0.5
        wave = wave + 0.05 * noise[:h, :w]
        span = codes.white - codes.black if which == 0 else codes.chroma_half_span
        low = codes.black if which == 0 else codes.chroma_zero - codes.chroma_half_span / 2
        return low + wave.clamp(0, 1) * span

    def stack(which: int) -> Tensor:
        return torch.stack([plane(i, which) for i in range(frames)])[:, None].round()

    y, u, v = (stack(i) for i in range(3))
    top = 2**bit_depth - 1
    spoiled = y if black else y + codes.white * 0.03 * torch.randn(y.shape, generator=rng)
    pristine = Clip(_planes(y, u, v, bit_depth, dtype), colour)
    return Clip(_planes(spoiled.round().clamp(0, top), u, v, bit_depth, dtype), colour, pristine)


def _planes(y: Tensor, u: Tensor, v: Tensor, bit_depth: int, dtype: torch.dtype) -> Planes:
    return Planes(*(p.to(torch.int32).to(dtype) for p in (y, u, v)), bit_depth)


def frame_batch(source: Clip, need: Need, frames: Sequence[int], *, reference: bool = False) -> FrameBatch:
    """The frames with these numbers, as the decoder would deliver them for `need`; frame k is shown at k / rate."""
    assert isinstance(need.view, View)
    at = torch.tensor(frames)
    rate = need.fps or 25.0
    chosen = Planes(
        *(None if p is None else p[at] for p in (source.planes.y, source.planes.u, source.planes.v)),  # type: ignore[arg-type]
        source.planes.bit_depth,
    )
    views, planes = {}, None
    if need.view.space == "rgb":
        views[need.view] = _rgb_view(chosen, source.colour, need.view)
    else:
        planes = chosen if need.view.space == "planes" else replace(chosen, u=None, v=None)
    return FrameBatch(
        pts_seconds=at.to(torch.float64) / rate,
        duration_seconds=torch.full((len(at),), 1 / rate, dtype=torch.float64),
        frame_index=at.to(torch.int64),
        key_frame=at == 0,
        colour=source.colour,
        planes=planes,
        views=views,
        reference=frame_batch(source.reference, need, frames) if reference and source.reference else None,
        previous=source.planes.y[(at - 1).clamp(min=0)] if need.previous else None,
    )


def _rgb_view(planes: Planes, colour: Colour, view: View) -> Tensor:
    rgb = yuv_to_rgb(planes, colour)
    h, w = planes.size
    if view.width is not None and view.height is not None:
        if view.fit == "stretch":
            size = (view.height, view.width)
        else:
            pick = max if view.fit == "cover" else min
            factor = pick(view.height / h, view.width / w)
            size = (max(1, round(h * factor)), max(1, round(w * factor)))
        rgb = F.interpolate(rgb, size=size, mode="bilinear", align_corners=False)
        if view.fit == "cover":
            top, left = (size[0] - view.height) // 2, (size[1] - view.width) // 2
            rgb = rgb[..., top : top + view.height, left : left + view.width]
    channels_last = (rgb * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    return channels_last.permute(0, 3, 1, 2)  # (N, 3, H, W), in the memory layout of the decoder


def sound(seconds: float = 3.0, rate: int = AUDIO_RATE, channels: int = 2, *, silent: bool = False) -> Tensor:
    """(C, T) float32: tones that change level, with noise and half a second of silence; or silence throughout."""
    t = torch.arange(round(seconds * rate), dtype=torch.float64) / rate
    noise = torch.randn((channels, len(t)), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    tone = torch.sin(2 * math.pi * 440 * t) * (0.1 + 0.3 * (t % 1.0))
    signal = (tone + 0.02 * noise) * ((t < seconds / 2) | (t > seconds / 2 + 0.5))
    return torch.zeros_like(signal, dtype=torch.float32) if silent else signal.to(torch.float32)


def audio_blocks(samples: Tensor, view: AudioView, sizes: Sequence[int]) -> list[AudioBlock]:
    """`samples` (at the view's rate) cut into blocks of `sizes`, repeated until the end."""
    if view.layout == "mono":
        samples = samples.mean(dim=0, keepdim=True)
    rate = view.sample_rate or AUDIO_RATE
    blocks, start, turn = [], 0, 0
    while start < samples.shape[1]:
        stop = min(start + sizes[turn % len(sizes)], samples.shape[1])
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[samples.shape[0]]
        blocks.append(AudioBlock(samples[:, start:stop].contiguous(), rate, start, start / rate, layout))
        start, turn = stop, turn + 1
    return blocks


def media_info(source: Clip | None = None, need: Need | None = None, channels: int | None = None) -> MediaInfo:
    """What `probe` would say of a file with this picture or sound."""
    seconds = 3.0 if source is None or need is None else len(source) / (need.fps or 25.0)
    return MediaInfo(
        path="made/by/hand.mp4",
        size_bytes=1,
        kind="video" if source else "audio",
        container="mov",
        container_long="QuickTime / MOV",
        bitrate_bps=None,
        start_seconds=0.0,
        duration_seconds_header=seconds,
        duration_seconds_content=seconds,
        video=(_video_stream(source, seconds),) if source else (),
        audio=(_audio_stream(channels, seconds),) if channels else (),
    )


def _video_stream(source: Clip, seconds: float) -> VideoStream:
    height, width = source.size
    return VideoStream(
        index=0,
        codec="h264",
        profile=None,
        level=None,
        width=width,
        height=height,
        display_width=width,
        display_height=height,
        sample_aspect_ratio=Fraction(1),
        rotation_degrees=0,
        mirrored=False,
        field_order="progressive",
        frame_rate=25.0,
        frame_rate_nominal=25.0,
        variable_frame_rate=False,
        pixel_format="yuv420p",
        bit_depth=source.planes.bit_depth,
        chroma="420",
        has_alpha=False,
        matrix=source.colour.matrix,
        range=source.colour.range,
        transfer=source.colour.transfer,
        primaries=source.colour.primaries,
        chroma_location=None,
        hdr=None,
        bitrate_bps=None,
        start_seconds=0.0,
        duration_seconds_header=seconds,
        frames_header=len(source),
        key_frame_interval_seconds=None,
    )


def _audio_stream(channels: int, seconds: float) -> AudioStream:
    return AudioStream(
        index=1,
        codec="aac",
        profile=None,
        sample_rate=AUDIO_RATE,
        channels=channels,
        layout={1: "mono", 2: "stereo", 6: "5.1"}[channels],
        sample_format="fltp",
        bits_per_sample=None,
        bitrate_bps=None,
        start_seconds=0.0,
        duration_seconds_header=seconds,
    )

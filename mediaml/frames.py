"""FrameBatch and AudioBlock: what decoders hand to analyzers. Checked when made, then never modified."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor

from mediaml.errors import InvalidValue
from mediaml.spec import View


@dataclass(frozen=True, slots=True)
class Colour:
    """How code values map to light. Names are FFmpeg's; nothing here is ever "unspecified": decode resolves it first.

    Where a file does not say, matrix and primaries follow the common practice (BT.709 from 720 lines up, else BT.601).
    """

    matrix: str = "bt709"
    range: Literal["limited", "full"] = "limited"
    transfer: str = "bt709"
    primaries: str = "bt709"

    @property
    def is_hdr(self) -> bool:
        return self.transfer in ("smpte2084", "arib-std-b67")


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Native planes: y (N, 1, H, W); u, v (N, 1, h, w) or None for grey; uint8, or uint16 with values < 2**bit_depth."""

    y: Tensor
    u: Tensor | None
    v: Tensor | None
    bit_depth: int

    def __post_init__(self) -> None:
        if not 8 <= self.bit_depth <= 16:
            raise InvalidValue(f"bit_depth {self.bit_depth} must lie in 8..16")
        dtype = torch.uint8 if self.bit_depth == 8 else torch.uint16
        for name, p in (("y", self.y), ("u", self.u), ("v", self.v)):
            if p is not None and (p.ndim != 4 or p.shape[1] != 1 or p.dtype != dtype):
                raise InvalidValue(f"plane {name} must be (N, 1, H, W) {dtype}, not {tuple(p.shape)} {p.dtype}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of luma."""
        return self.y.shape[2], self.y.shape[3]

    def to(self, device: torch.device | str) -> Planes:
        move = lambda p: None if p is None else p.to(device, non_blocking=True)  # noqa: E731
        return Planes(self.y.to(device, non_blocking=True), move(self.u), move(self.v), self.bit_depth)


@dataclass(frozen=True, slots=True, eq=False)
class Bitstream:
    """What the coded pictures of a batch say of themselves, on the host. NaN (or type 0): the decoder does not export it.

    packet_bytes  (N,) float32, size of the picture's packet
    picture_type  (N,) uint8, FFmpeg's AVPictureType: 0 unknown, 1 I, 2 P, 3 B
    qp            (N,) float32, quantisation parameter in the codec's unit (H.264, HEVC 0..51, VP9, AV1 0..255, VP8 0..127;
                  Theora, JPEG: the step of luma's low frequencies): the mean over the blocks, or (all but H.264, VP9 and
                  MPEG's) what the picture's header says
    qp_deviation  (N,) float32, its standard deviation over the blocks; NaN where the header alone says it
    """

    packet_bytes: Tensor
    picture_type: Tensor
    qp: Tensor
    qp_deviation: Tensor

    def __post_init__(self) -> None:
        shape = self.packet_bytes.shape
        for name in ("packet_bytes", "picture_type", "qp", "qp_deviation"):
            if len(shape) != 1 or getattr(self, name).shape != shape:
                raise InvalidValue(f"{name} must be (N,) like packet_bytes, not {tuple(getattr(self, name).shape)}")

    def __len__(self) -> int:
        return self.packet_bytes.shape[0]


T = TypeVar("T")
ViewMaker = Callable[["FrameBatch", View], Tensor]


@dataclass(slots=True, eq=False)
class FrameBatch:
    """N frames of one stream, in display order, as one need asked for them.

    pts_seconds       (N,) float64, presentation time from the file's own zero, ascending
    duration_seconds  (N,) float64, time until the next frame of the stream
    frame_index       (N,) int64, position in display order from 0; -1 where the plan skipped frames and it is not known
    key_frame         (N,) bool
    colour            of the native planes
    planes            native planes, or None where no analyzer of this need asked for them
    reference         the aligned reference batch for full-reference analyzers, else None
    make_view         makes a view that was not delivered (the GPU path: from planes); None: only delivered views exist
    bitstream         what the coded pictures say of themselves, where the need asked for it, else None
    previous          native luma (N, 1, H, W) of the picture before each, where the need asked for it, else None; a picture
                      with none of its size before it stands in for itself
    """

    pts_seconds: Tensor
    duration_seconds: Tensor
    frame_index: Tensor
    key_frame: Tensor
    colour: Colour
    planes: Planes | None = None
    views: dict[View, Tensor] = field(default_factory=dict)
    reference: FrameBatch | None = None
    make_view: ViewMaker | None = None
    bitstream: Bitstream | None = None
    previous: Tensor | None = None
    _shared: dict[Hashable, Any] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        n = len(self)
        if n == 0 or self.pts_seconds.dtype != torch.float64:
            raise InvalidValue("a FrameBatch holds at least one frame, with float64 pts_seconds")
        for name in ("duration_seconds", "frame_index", "key_frame"):
            if getattr(self, name).shape != (n,):
                raise InvalidValue(f"{name} must be ({n},), not {tuple(getattr(self, name).shape)}")
        if self.planes is not None and self.planes.y.shape[0] != n:
            raise InvalidValue(f"planes hold {self.planes.y.shape[0]} frames, pts_seconds {n}")
        if self.planes is None and not self.views:
            raise InvalidValue("a FrameBatch needs planes or at least one view")
        for view, t in self.views.items():
            _check_view(view, t, n)
        if self.reference is not None and len(self.reference) != n:
            raise InvalidValue(f"reference holds {len(self.reference)} frames, the batch {n}")
        if self.bitstream is not None and len(self.bitstream) != n:
            raise InvalidValue(f"bitstream holds {len(self.bitstream)} frames, the batch {n}")
        if self.previous is not None and self.previous.shape[0] != n:
            raise InvalidValue(f"previous holds {self.previous.shape[0]} frames, the batch {n}")

    def __len__(self) -> int:
        return self.pts_seconds.shape[0]

    @property
    def device(self) -> torch.device:
        return self.planes.y.device if self.planes is not None else next(iter(self.views.values())).device

    @property
    def nbytes(self) -> int:
        """Bytes held by planes and views."""
        return sum(t.nbytes for t in self.tensors()) + (self.reference.nbytes if self.reference else 0)

    def tensors(self) -> list[Tensor]:
        """The planes and the views made so far."""
        planes = () if self.planes is None else (self.planes.y, self.planes.u, self.planes.v)
        return [*self.views.values(), *(p for p in planes if p is not None)]

    def view(self, view: View) -> Tensor:
        """The batch as `view` asks: (N, 3, H, W) uint8 for rgb, (N, 1, H, W) for luma. Memoised; do not write into it."""
        if view.space == "planes":
            raise InvalidValue('use batch.planes for View("planes")')
        if view.space == "luma" and self.planes is not None:
            return self.planes.y
        if view not in self.views:
            if self.make_view is None:
                raise InvalidValue(
                    f"view {view} was not asked of the decoder; delivered: {[str(v) for v in self.views]}"
                )
            made = self.make_view(self, view)
            _check_view(view, made, len(self))
            self.views[view] = made
        return self.views[view]

    def shared(self, key: Hashable, make: Callable[[], T]) -> T:
        """An intermediate result that several analyzers of the same need use: made by the first that asks, then kept.

        `key` names everything that the value depends on beside the batch itself: ("vif_scales", gain_limit).
        """
        if key not in self._shared:
            self._shared[key] = make()
        return self._shared[key]


def _check_view(view: View, t: Tensor, n: int) -> None:
    channels = 3 if view.space == "rgb" else 1
    if t.ndim != 4 or t.shape[0] != n or t.shape[1] != channels or t.dtype not in (torch.uint8, torch.uint16):
        raise InvalidValue(
            f"view {view} must be ({n}, {channels}, H, W) uint8 or uint16, not {tuple(t.shape)} {t.dtype}"
        )
    if view.width and view.fit != "contain" and t.shape[2:] != (view.height, view.width):
        raise InvalidValue(f"view {view} has size {t.shape[3]}x{t.shape[2]}")


@dataclass(slots=True, eq=False)
class AudioBlock:
    """A run of samples without gaps.

    samples        (C, T) float32, nominal full scale [-1, 1]; finite (decode replaces NaN and infinity by 0 and counts them)
    sample_rate    Hz
    start_sample   position of samples[:, 0] on the stream's own timeline at this rate, from the first sample decoded
    start_seconds  presentation time of samples[:, 0] on the file's timeline (shared with video pts)
    layout         FFmpeg's channel layout name ("mono", "stereo", "5.1", ...)
    gap            True where the file's timestamps jump: this block does not continue the one before
    """

    samples: Tensor
    sample_rate: int
    start_sample: int
    start_seconds: float
    layout: str
    gap: bool = False
    reference: AudioBlock | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 2 or self.samples.dtype != torch.float32 or 0 in self.samples.shape:
            raise InvalidValue(f"samples must be (C, T) float32, not {tuple(self.samples.shape)} {self.samples.dtype}")
        if self.sample_rate < 1:
            raise InvalidValue(f"sample_rate {self.sample_rate} must be positive")

    def __len__(self) -> int:
        return self.samples.shape[1]

    @property
    def device(self) -> torch.device:
        return self.samples.device

    @property
    def nbytes(self) -> int:
        return self.samples.nbytes

    def tensors(self) -> list[Tensor]:
        """The samples."""
        return [self.samples]

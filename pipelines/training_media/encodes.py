"""Clip -> what a viewer gets: inter-coded by a real encoder at a CRF, then decoded, with the QP where a decoder exports it.

In memory, with PyAV's own x264, x265, SVT-AV1 and libvpx. FFmpeg's H.264 and VP9 decoders export the QP of every block
(`export_side_data=venc_params`); its HEVC and AV1 decoders do not, and `qp` is None there.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, cast

import av
import numpy as np
from av.sidedata.encparams import VideoEncParams
from av.video.frame import PictureType
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mediaml.engine.upscale.encoder import keeping_priority
from mediaml.errors import InvalidValue

Codec = Literal["x264", "x265", "svt-av1", "vp9"]
Plane = NDArray[np.uint8]  # (H, W)
Planes = tuple[Plane, Plane, Plane]  # Y, U, V, 4:2:0
CODECS: tuple[Codec, ...] = ("x264", "x265", "svt-av1", "vp9")
_ENCODERS: dict[Codec, str] = {"x264": "libx264", "x265": "libx265", "svt-av1": "libsvtav1", "vp9": "libvpx-vp9"}
_PRESETS: dict[Codec, str] = {"x264": "medium", "x265": "medium", "svt-av1": "8", "vp9": "4"}


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded frame.

    planes        Y, U, V as (H, W), (H/2, W/2), (H/2, W/2) uint8, limited range
    qp            mean quantizer of the frame on the codec's own scale (H.264 0..51, VP9 qindex 0..255), or None
    picture_type  "I", "P", "B", ... as the decoder tells
    """

    planes: Planes
    qp: float | None
    picture_type: str


def rgb_to_planes(frame: NDArray[np.uint8]) -> Planes:
    """(H, W, 3) RGB of even size -> BT.709 limited-range 4:2:0 planes, by swscale."""
    shown = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
    shown = shown.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", interpolation="BICUBIC")
    return _planes(shown)


def encode(
    frames: Iterable[Planes],
    codec: Codec,
    crf: float,
    *,
    preset: str | None = None,
    fps: Fraction | int = 25,
    key_frame_interval: int = 250,
) -> bytes:
    """Frames of one even size -> a Matroska file in memory. `crf` is on the codec's own scale (SVT-AV1 and VP9: 0..63).

    Default presets: medium (x264, x265), 8 (SVT-AV1), cpu-used 4 (VP9); one thread each. Raises InvalidValue for no frame, an
    odd size and an encoder that this build of FFmpeg lacks.
    """
    if codec not in _ENCODERS or _ENCODERS[codec] not in av.codecs_available:
        raise InvalidValue(f"codec {codec!r} cannot be encoded here; this build has {[*_available()]}")
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as out:
        stream = None
        for index, planes in enumerate(frames):
            if stream is None:
                options = _options(codec, crf, preset or _PRESETS[codec], key_frame_interval)
                stream = cast(VideoStream, out.add_stream(_ENCODERS[codec], rate=Fraction(fps), options=options))
                stream.height, stream.width = _even(planes)
                stream.pix_fmt = "yuv420p"
                stream.codec_context.time_base = 1 / Fraction(fps)
                stream.codec_context.thread_count = 1
            frame = _frame(planes)
            frame.pts, frame.time_base = index, 1 / Fraction(fps)
            out.mux(stream.encode(frame))
        if stream is None:
            raise InvalidValue("encode takes at least one frame")
        out.mux(stream.encode(None))
    return file.getvalue()


def decode(content: bytes) -> list[Decoded]:
    """Every frame of an encode, in display order."""
    with av.open(io.BytesIO(content), "r") as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"export_side_data": "venc_params"}
        return [
            Decoded(_planes(frame), mean_qp(frame), PictureType(frame.pict_type).name)
            for frame in container.decode(stream)
        ]


def as_viewed(frames: Sequence[Planes], codec: Codec, crf: float, *, preset: str | None = None) -> list[Decoded]:
    """`frames` encoded and decoded again, one for one. Raises InvalidValue as `encode` does."""
    with keeping_priority():
        shown = decode(encode(frames, codec, crf, preset=preset))
    if len(shown) != len(frames):
        raise InvalidValue(f"{codec} gave {len(shown)} frames back for {len(frames)}")
    return shown


def mean_qp(frame: av.VideoFrame) -> float | None:
    """The mean quantizer of a frame decoded with `export_side_data=venc_params`; None where the decoder exports none."""
    for data in frame.side_data:
        if isinstance(data, VideoEncParams):
            if data.nb_blocks == 0:
                return float(data.qp)
            return float(data.qp + np.mean([data.block_params(i).delta_qp for i in range(data.nb_blocks)]))
    return None


def _options(codec: Codec, crf: float, preset: str, interval: int) -> dict[str, str]:
    common = {"crf": f"{crf:g}", "g": str(interval), "threads": "1"}
    if codec == "x265":
        return {
            "preset": preset,
            "x265-params": f"crf={crf:g}:keyint={interval}:log-level=none:pools=none:frame-threads=1",
        }
    if codec == "svt-av1":
        return common | {"preset": preset, "svtav1-params": "lp=1"}
    if codec == "vp9":
        return common | {"b": "0", "cpu-used": preset, "row-mt": "0"}
    return common | {"preset": preset}


def _available() -> list[Codec]:
    return [c for c, name in _ENCODERS.items() if name in av.codecs_available]


def _even(planes: Planes) -> tuple[int, int]:
    height, width = planes[0].shape
    if height % 2 or width % 2 or planes[1].shape != (height // 2, width // 2):
        raise InvalidValue(f"luma of {width}x{height} with chroma {planes[1].shape[::-1]}: 4:2:0 needs even sizes")
    return height, width


def _frame(planes: Planes) -> av.VideoFrame:
    height, width = _even(planes)
    frame = av.VideoFrame(width, height, "yuv420p")
    for plane, target in zip(planes, frame.planes, strict=True):
        line = np.zeros((target.height, target.line_size), np.uint8)
        line[:, : target.width] = plane
        target.update(line.tobytes())
    frame.colorspace, frame.color_range = 1, 1  # type: ignore[assignment]
    return frame


def _planes(frame: av.VideoFrame) -> Planes:
    y, u, v = (
        np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width].copy()  # type: ignore[call-overload]
        for p in frame.planes
    )
    return y, u, v

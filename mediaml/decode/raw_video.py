"""Raw YUV: pictures one after the other without a header. What they are has to be said; nothing is guessed.

Y4M has a header and is opened like any other container.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.error import FFmpegError
from av.video import format as formats

from mediaml.decode.opening import PathName, open_regular
from mediaml.decode.probe_video import chroma
from mediaml.errors import InvalidValue, MediaTruncated, NotMedia, UnknownName
from mediaml.media import MediaInfo, VideoStream

RAW_EXTENSIONS = frozenset({".yuv", ".rgb", ".raw"})
_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")


@dataclass(frozen=True, slots=True)
class RawFormat:
    """How to read raw video: picture size in pixels, FFmpeg's pixel format name ("yuv420p10le"), frames a second."""

    width: int
    height: int
    pixel_format: str = "yuv420p"
    frame_rate: Fraction = Fraction(25)

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InvalidValue(f"raw picture size {self.width}x{self.height} must be at least 1x1")
        if not 0 < self.frame_rate <= 1000:
            raise InvalidValue(f"raw frame rate {float(self.frame_rate):g} must lie in (0, 1000]")
        known: frozenset[str] = frozenset(getattr(formats, "names", ()))
        if self.pixel_format not in known:
            raise UnknownName("pixel format", self.pixel_format, known)

    @classmethod
    def parse(cls, size: str, pixel_format: str = "yuv420p", frame_rate: str = "25") -> RawFormat:
        """From text: "1920x1080", "yuv420p10le", "30000/1001" or "29.97". Raises InvalidValue, UnknownName."""
        found = _SIZE.fullmatch(size.strip())
        if not found:
            raise InvalidValue(f"size {size!r} must be WIDTHxHEIGHT in pixels, e.g. 1920x1080")
        try:
            rate = Fraction(frame_rate)
        except (ValueError, ZeroDivisionError):
            raise InvalidValue(
                f"frame rate {frame_rate!r} must be a number or a fraction, e.g. 25 or 30000/1001"
            ) from None
        return cls(int(found[1]), int(found[2]), pixel_format, rate)

    @property
    def frame_bytes(self) -> int:
        form = av.VideoFormat(self.pixel_format, self.width, self.height)
        planes: dict[int, int] = {}
        for part in form.components:
            step = (part.bits + 7) // 8
            planes[part.plane] = planes.get(part.plane, 0) + step * part.width * part.height
        return sum(planes.values())


def open_raw(path: PathName, raw: RawFormat) -> InputContainer:
    """The file opened with FFmpeg's `rawvideo` demuxer. Raises what `open_regular` raises, and NotMedia."""
    with open_regular(path) as file:
        try:
            return av.open(
                "fd:",
                format="rawvideo",
                container_options={"fd": str(file.fileno()), "protocol_whitelist": "fd"},
                options={
                    "video_size": f"{raw.width}x{raw.height}",
                    "pixel_format": raw.pixel_format,
                    "framerate": f"{raw.frame_rate.numerator}/{raw.frame_rate.denominator}",
                },
            )
        except FFmpegError as e:
            raise NotMedia(path, f"cannot be read as raw {raw.pixel_format}: {e.strerror or e}") from e


def raw_media(path: PathName, raw: RawFormat) -> MediaInfo:
    """MediaInfo as `raw` and the file's size give it. Raises MediaTruncated where it ends inside a picture."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
    frames, rest = divmod(size, raw.frame_bytes)
    if rest or not frames:
        raise MediaTruncated(
            path,
            f"{size} bytes are not whole pictures of {raw.frame_bytes} bytes ({raw.width}x{raw.height} "
            f"{raw.pixel_format}): {frames} pictures and {rest} bytes; check size and pixel format",
        )
    form = av.VideoFormat(raw.pixel_format, raw.width, raw.height)
    rate, seconds = float(raw.frame_rate), float(frames / raw.frame_rate)
    video = VideoStream(
        index=0, codec="rawvideo", profile=None, level=None, width=raw.width, height=raw.height,
        display_width=raw.width, display_height=raw.height, sample_aspect_ratio=Fraction(1), rotation_degrees=0,
        mirrored=False, field_order="unknown", frame_rate=rate, frame_rate_nominal=rate, variable_frame_rate=False,
        pixel_format=raw.pixel_format, bit_depth=max(c.bits for c in form.components), chroma=chroma(form),
        has_alpha=any(c.is_alpha for c in form.components), matrix=None, range=None, transfer=None, primaries=None,
        chroma_location=None, hdr=None, bitrate_bps=round(8 * raw.frame_bytes * rate), start_seconds=0.0,
        duration_seconds_header=seconds, frames_header=frames, key_frame_interval_seconds=1 / rate,
    )  # fmt: skip
    return MediaInfo(
        path=os.fspath(path),
        size_bytes=size,
        kind="video",
        container="rawvideo",
        container_long="raw video",
        bitrate_bps=video.bitrate_bps,
        start_seconds=0.0,
        duration_seconds_header=seconds,
        duration_seconds_content=seconds,
        video=(video,),
    )

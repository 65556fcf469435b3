"""MediaInfo: what `mediaml.probe` learns about a file without analysing it.

Field names carry their unit and, where a fact can come from two places, their provenance (`duration_seconds_header`,
`frames_header`). None means "the file does not say". Enumerations use FFmpeg's names (`bt709`, `tv`, `smpte2084`).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from fractions import Fraction
from typing import Any, Literal

MediaKind = Literal["video", "image", "audio"]


@dataclass(frozen=True, slots=True)
class HdrInfo:
    """Static HDR metadata (SMPTE ST 2086, CTA-861.3); luminances in cd/m2, chromaticities CIE 1931 xy."""

    max_cll: float | None = None
    max_fall: float | None = None
    mastering_max_luminance: float | None = None
    mastering_min_luminance: float | None = None
    mastering_primaries: tuple[tuple[float, float], ...] | None = None  # red, green, blue, white
    dolby_vision_profile: int | None = None
    hdr10_plus: bool = False


@dataclass(frozen=True, slots=True)
class VideoStream:
    """One video stream (or still image, or attached picture)."""

    index: int
    codec: str
    profile: str | None
    level: int | None
    width: int  # coded picture as decoded, before rotation, px
    height: int
    display_width: int  # after sample aspect ratio and rotation, px
    display_height: int
    sample_aspect_ratio: Fraction  # 1 where the file does not say
    rotation_degrees: int  # clockwise turn to be applied for display: 0, 90, 180, 270
    mirrored: bool  # to be mirrored left to right for display, before the turn
    field_order: str  # progressive, tt, bb, tb, bt, unknown
    frame_rate: float | None  # average, frames a second
    frame_rate_nominal: float | None  # the base rate (r_frame_rate)
    variable_frame_rate: bool | None
    pixel_format: str | None
    bit_depth: int | None
    chroma: str | None  # 420, 422, 444, 400, ...
    has_alpha: bool
    matrix: str | None
    range: Literal["limited", "full"] | None
    transfer: str | None
    primaries: str | None
    chroma_location: str | None
    hdr: HdrInfo | None
    bitrate_bps: int | None
    start_seconds: float | None
    duration_seconds_header: float | None
    frames_header: int | None
    key_frame_interval_seconds: float | None  # median distance of key frames in the container's index
    is_attached_picture: bool = False
    language: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True)
class AudioStream:
    """One audio stream."""

    index: int
    codec: str
    profile: str | None
    sample_rate: int
    channels: int
    layout: str
    sample_format: str | None
    bits_per_sample: int | None
    bitrate_bps: int | None
    start_seconds: float | None
    duration_seconds_header: float | None
    language: str | None = None
    title: str | None = None
    default: bool = False


@dataclass(frozen=True, slots=True)
class OtherStream:
    """A subtitle, data or attachment stream."""

    index: int
    type: str
    codec: str | None
    language: str | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Chapter:
    start_seconds: float
    end_seconds: float
    title: str | None = None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A file and its streams.

    `kind` is what the analyzers can do with it: "image" has exactly one picture and no timeline, "audio" has no video
    stream other than attached pictures. `duration_seconds_content` comes from the packets' own timestamps.
    """

    path: str
    size_bytes: int
    kind: MediaKind
    container: str  # demuxer name
    container_long: str
    bitrate_bps: int | None
    start_seconds: float | None
    duration_seconds_header: float | None
    duration_seconds_content: float | None
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    other: tuple[OtherStream, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()  # what is odd about the file though it opens

    @property
    def main_video(self) -> VideoStream | None:
        """The stream that analyzers see: the default one, else the largest; attached pictures only if nothing else."""
        streams = [s for s in self.video if not s.is_attached_picture] or list(self.video)
        return max(streams, key=lambda s: (s.default, s.width * s.height, -s.index), default=None)

    @property
    def main_audio(self) -> AudioStream | None:
        """The stream that analyzers hear: the default one, else the one with most channels."""
        return max(self.audio, key=lambda s: (s.default, s.channels, -s.index), default=None)

    @property
    def duration_seconds(self) -> float | None:
        """From the content where it was measured, else from the header."""
        return self.duration_seconds_content or self.duration_seconds_header

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types; fractions as "num/den" strings."""
        return _plain(asdict(self))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Fraction):
        return f"{value.numerator}/{value.denominator}"
    return value

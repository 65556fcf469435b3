"""What decoding and viewing cost, roughly: CPU seconds on one core of a 2020s server, for choosing between plans.

Only ratios matter for the choice. Figures come from benchmarks/decode.py; they are scaled by the picture's area.
"""

from __future__ import annotations

from dataclasses import dataclass

from mediaml.decode.views import scaled_area
from mediaml.media import VideoStream
from mediaml.spec import View

DECODE_MS_PER_MEGAPIXEL = {
    "h264": 2.8, "hevc": 3.9, "vvc": 12.0, "av1": 2.1, "vp9": 2.0, "vp8": 2.0, "mpeg2video": 1.2, "mpeg1video": 1.2,
    "mpeg4": 1.6, "h263": 1.6, "prores": 5.0, "dnxhd": 4.0, "mjpeg": 3.0, "ffv1": 12.0,
}  # fmt: skip
DEFAULT_MS_PER_MEGAPIXEL = 3.0
KEY_FRAME_FACTOR = 4.0  # an intra picture costs more than the average one
DEMUX_MS_PER_PACKET = 0.008
SEEK_MS = 2.0

REFERENCE_SHARE = {"h264": 0.60, "hevc": 0.60, "mpeg2video": 0.45, "mpeg4": 0.60}
"""Codecs whose FFmpeg decoder drops non-reference pictures a packet at a time, and the share of the cost that is left."""

KEY_FRAMES_ALONE = frozenset({"h264", "hevc", "vvc", "av1", "vp9", "vp8", "mpeg2video", "mpeg4", "h263"})
"""Codecs whose key frames, as containers flag them, decode without any other packet."""


def decode_ms(stream: VideoStream) -> float:
    """Of one average frame."""
    per_megapixel = DECODE_MS_PER_MEGAPIXEL.get(stream.codec, DEFAULT_MS_PER_MEGAPIXEL)
    deeper = 1.3 if (stream.bit_depth or 8) > 8 else 1.0
    return 0.05 + per_megapixel * deeper * stream.width * stream.height / 1e6


def view_ms(view: View, stream: VideoStream) -> float:
    """Of making `view` of one frame."""
    source = stream.width * stream.height / 1e6
    if view.space != "rgb":
        return 0.01 + source * (0.25 if view.space == "planes" else 0.17)
    scaled = scaled_area(view, stream) / 1e6
    per_megapixel, per_source = (4.5, 0.0) if view.filter == "fast_bilinear" else (9.0, 0.3)
    return 0.02 + scaled * per_megapixel + source * per_source


@dataclass(frozen=True, slots=True)
class Work:
    """What the modes have to get through: seconds and frames of the stream, and the wanted instants."""

    stream: VideoStream
    seconds: float
    frames: int
    instants: int  # over all lanes; those of equal time once
    tolerance_seconds: float  # the strictest
    key_interval_seconds: float | None
    sound: bool  # heard in the same pass, or in one of its own beside seeking

    @property
    def sequential(self) -> float:
        return self.frames * (decode_ms(self.stream) + DEMUX_MS_PER_PACKET) / 1e3

    @property
    def reference_only(self) -> float | None:
        share = REFERENCE_SHARE.get(self.stream.codec)
        if share is None:
            return None
        wanted = min(1.0, self.instants / max(1, self.frames))
        decoded = share + (1 - share) * wanted
        return self.frames * (decode_ms(self.stream) * decoded + DEMUX_MS_PER_PACKET) / 1e3

    @property
    def key_only(self) -> float | None:
        if self.key_interval_seconds is None:
            return None
        keys = max(1.0, self.seconds / self.key_interval_seconds)
        return (keys * decode_ms(self.stream) * KEY_FRAME_FACTOR + self.frames * DEMUX_MS_PER_PACKET) / 1e3

    @property
    def seek(self) -> float | None:
        """Each instant costs a seek, a key frame and the way from it to the tolerated window."""
        if self.key_interval_seconds is None:
            return None
        gop, window = self.key_interval_seconds, 2 * self.tolerance_seconds
        way = (gop - window) ** 2 / (2 * gop) if window < gop else 0.0
        rate = self.frames / self.seconds if self.seconds else 25.0
        share = REFERENCE_SHARE.get(self.stream.codec, 1.0)
        rolled = min(self.instants * way * rate, float(self.frames))  # a dense plan rolls on instead of seeking back
        keys = min(self.instants, self.seconds / gop + 1)
        cost = keys * KEY_FRAME_FACTOR + rolled * share
        demux = self.frames * DEMUX_MS_PER_PACKET if self.sound else 0.0
        return (cost * decode_ms(self.stream) + self.instants * SEEK_MS + demux) / 1e3

"""What an upscale will do, decided and checked before the first frame: sizes, formats, encoder, what is copied."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from mediaml.decode.probe import probe
from mediaml.errors import InvalidValue, NoStreams, OutputUnwritable
from mediaml.media import MediaInfo, VideoStream

_DEFAULT_CRF = {
    "libx264": 18, "libx265": 20, "libsvtav1": 26, "libvpx-vp9": 26,
    "h264_nvenc": 19, "hevc_nvenc": 21, "av1_nvenc": 27,
}  # fmt: skip
_CRF_RANGE = {
    "libx264": (0, 51), "libx265": (0, 51), "libsvtav1": (0, 63), "libvpx-vp9": (0, 63),
    "h264_nvenc": (1, 51), "hevc_nvenc": (1, 51), "av1_nvenc": (1, 63),
}  # fmt: skip
_INTERLACED = ("tt", "bb", "tb", "bt")
_SUBSAMPLING = {"420": "yuv420p", "422": "yuv422p", "444": "yuv444p", "440": "yuv440p", "411": "yuv411p", "400": "gray"}
_TURNED = {"420": "420", "444": "444", "400": "400", "422": "440", "440": "422"}


@dataclass(frozen=True, slots=True)
class UpscaleSettings:
    """What the user chose. `crf` None: the encoder's default here (libx264 18, libx265 20, libsvtav1 26); NVENC's `cq`.

    `ensemble` is the mean over eight orientations; None: for still pictures by our own network, and for nothing else.
    """

    scale: int = 2
    model: str = "mediaml_sr_x2"
    codec: str = "libx264"
    crf: float | None = None
    preset: str | None = None
    deinterlace: bool = False
    device: str = "cpu"
    tile: int | None = None
    workers: int | None = None
    ensemble: bool | None = None

    @property
    def threads(self) -> int:
        """Threads that run the network, each on its own frame."""
        if self.device.startswith("cuda"):
            return 1
        return self.workers or self.cores

    @property
    def cores(self) -> int:
        """Of the CPU, as many as this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def what_matters(self) -> dict[str, Any]:
        """The settings that change the output: a run is resumed only under equal ones."""
        return {k: v for k, v in asdict(self).items() if k not in ("device", "tile", "workers")}


@dataclass(frozen=True, slots=True)
class UpscalePlan:
    """A checked upscale.

    size           (width, height) of the output picture in pixels, upright
    pixel_format   FFmpeg's name, of the input's depth and subsampling
    sample_aspect_ratio   as it is after turning
    siting         where chroma samples lie
    notes          what the output will not have, and why
    """

    source: Path
    out: Path
    settings: UpscaleSettings
    media: MediaInfo
    video: VideoStream
    size: tuple[int, int]
    pixel_format: str
    sample_aspect_ratio: Fraction
    siting: str
    notes: tuple[str, ...]

    @property
    def frames(self) -> int | None:
        """Frames to be done, from the header or from duration and rate; None where neither is known."""
        if self.video.frames_header:
            return self.video.frames_header
        seconds, rate = self.media.duration_seconds, self.video.frame_rate
        return round(seconds * rate) if seconds and rate else None

    @property
    def encoder_format(self) -> str:
        """The pixel format that the encoder takes: `pixel_format`, or one that holds the same samples (PyAV converts)."""
        return _held_as(self.settings.codec, self.pixel_format)

    @property
    def crf(self) -> float | None:
        chosen = self.settings.crf
        return _DEFAULT_CRF.get(self.settings.codec) if chosen is None else chosen


def plan_upscale(source: Path, out: Path, settings: UpscaleSettings) -> UpscalePlan:
    """Raises MediaError for a source that cannot be read, InvalidValue for one that is interlaced (without `deinterlace`) or
    is the output itself and for a `crf` that the encoder does not have, OutputUnwritable for an output that cannot be: no
    such encoder, a container or a pixel format that does not go with it, a folder that is not there.
    """
    media = probe(source)
    video = media.main_video
    if video is None or video.is_attached_picture:
        raise NoStreams(source, "no video stream to upscale")
    if out.exists() and out.samefile(source):
        raise InvalidValue(f"{out} is the source itself; name another output")
    if not out.parent.is_dir():
        raise OutputUnwritable(f"{out}: the folder {out.parent} does not exist; make it first")
    if video.field_order in _INTERLACED and not settings.deinterlace:
        raise interlaced(source, video.field_order)
    _check_encoder(settings.codec, out)
    least, most = _CRF_RANGE.get(settings.codec, (-math.inf, math.inf))
    if settings.crf is not None and not least <= settings.crf <= most:
        raise InvalidValue(f"--crf {settings.crf:g} must lie in {least} to {most} for {settings.codec}")
    turned = video.rotation_degrees in (90, 270)
    aspect = 1 / video.sample_aspect_ratio if turned else video.sample_aspect_ratio
    width, height = (video.height, video.width) if turned else (video.width, video.height)
    return UpscalePlan(
        source, out, settings, media, video,
        size=(width * settings.scale, height * settings.scale),
        pixel_format=_pixel_format(settings.codec, video, turned),
        sample_aspect_ratio=aspect,
        siting=_siting(video, turned),
        notes=(*_notes(media, video), *(_nvenc_notes(video, settings.codec) if is_nvenc(settings.codec) else ())),
    )  # fmt: skip


def interlaced(source: Path, order: str) -> InvalidValue:
    """Why interlaced video is refused."""
    return InvalidValue(
        f"{source} is interlaced (field order {order}): enlarging it would freeze its combs into the picture; "
        "add --deinterlace to make whole pictures of it first"
    )


def is_nvenc(codec: str) -> bool:
    """Whether it is NVIDIA's hardware encoder."""
    return codec.endswith("_nvenc")


def container_format(out: Path) -> av.ContainerFormat:
    """The muxer for the output's suffix. Raises OutputUnwritable."""
    names = {
        ".mkv": "matroska",
        ".webm": "webm",
        ".mp4": "mp4",
        ".m4v": "mp4",
        ".mov": "mov",
        ".ts": "mpegts",
        ".nut": "nut",
    }
    name = names.get(out.suffix.lower())
    if name is None:
        raise OutputUnwritable(f"{out}: no container for the suffix {out.suffix!r}; use one of {', '.join(names)}")
    return av.ContainerFormat(name, "w")


def _check_encoder(codec: str, out: Path) -> None:
    try:
        found = av.Codec(codec, "w")
    except ValueError:
        known = [c for c in ("libx264", "libx265", "libsvtav1", "libvpx-vp9", "ffv1") if c in av.codecs_available]
        raise OutputUnwritable(f"no encoder {codec!r} in this build of FFmpeg; it has {', '.join(known)}") from None
    if found.type != "video":
        raise OutputUnwritable(f"{codec} encodes {found.type}, not video")
    container = container_format(out).name
    if not _fits(container, found.canonical_name):
        raise OutputUnwritable(
            f"{out.name}: {container} cannot hold {found.canonical_name}; write an .mkv, or take another --codec"
        )


def _fits(container: str, codec: str) -> bool:
    webm = {"vp8", "vp9", "av1"}
    mp4 = {"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mjpeg"}
    return {"webm": codec in webm, "mp4": codec in mp4, "mpegts": codec in {"h264", "hevc", "mpeg2video"}}.get(
        container, True
    )


def _pixel_format(codec: str, video: VideoStream, turned: bool) -> str:
    chroma = video.chroma or "420"
    if turned:
        chroma = _TURNED.get(chroma, chroma)
    name = _SUBSAMPLING.get(chroma)
    if name is None:
        raise OutputUnwritable(f"chroma {chroma} cannot be written; convert the source to 4:2:0 first")
    depth = video.bit_depth or 8
    wanted = name if depth == 8 else f"{name}{depth}le"
    formats = [f.name for f in av.Codec(codec, "w").video_formats or ()]
    if formats and _held_as(codec, wanted) not in formats:
        raise OutputUnwritable(
            f"{codec} does not encode {wanted} (the source's depth and chroma), only {', '.join(formats[:8])}; "
            "take another --codec (libx265 and ffv1 take most)"
        )
    return wanted


def _held_as(codec: str, pixel_format: str) -> str:
    return "p010le" if is_nvenc(codec) and pixel_format == "yuv420p10le" else pixel_format


def _siting(video: VideoStream, turned: bool) -> str:
    found = video.chroma_location or "left"
    found = found if found in ("left", "center", "topleft", "top") else "left"
    return {"left": "top", "top": "left"}.get(found, found) if turned else found


def _nvenc_notes(video: VideoStream, codec: str) -> Iterator[str]:
    if video.hdr is not None and (video.hdr.mastering_primaries is not None or video.hdr.max_cll is not None):
        yield f"mastering display and light levels are left out: {codec} is not given them"
    if video.chroma_location not in (None, "left"):
        yield f"that chroma lies {video.chroma_location} is not signalled: {codec} is not told"


def _notes(media: MediaInfo, video: VideoStream) -> list[str]:
    notes = []
    if video.rotation_degrees or video.mirrored:
        notes.append("the picture is written upright: its rotation is applied, not signalled")
    if video.hdr is not None and video.hdr.hdr10_plus:
        notes.append("HDR10+ metadata, which belong to the small pictures, are left out")
    if video.hdr is not None and video.hdr.dolby_vision_profile is not None:
        notes.append("Dolby Vision metadata are left out; the base layer is upscaled")
    if video.has_alpha:
        notes.append("alpha is left out")
    others = [v for v in media.video if v.index != video.index and not v.is_attached_picture]
    if others:
        notes.append(f"{len(others)} other video stream(s) are copied as they are")
    return notes

"""The plan of one file: which streams, which frames, for whom, and at what cost. Pure: it opens nothing.

Modes
    sequential      decode every frame. The only one if a need wants every frame, or where the others do not apply.
    reference_only  demux everything, decode reference frames and those non-reference frames that are shown at an instant.
                    Gives exactly the frames of `sequential`.
    key_only        demux everything, decode key frames only: where each instant has one within its need's tolerance.
    seek            jump to each instant's tolerated window. Exact where the tolerance is 0.
The cheapest by the estimates of costs.py that keeps every need's tolerance is chosen. Whether key frames really lie close
enough is checked against the container's index when the file is opened; `key_only` then becomes `seek` where they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, Literal

from mediaml.decode.costs import KEY_FRAMES_ALONE, Work, view_ms
from mediaml.decode.formats import MATROSKA, MOV
from mediaml.decode.views import view_size
from mediaml.errors import LimitExceeded
from mediaml.media import MediaInfo, VideoStream
from mediaml.spec import AudioView, Need, View

Mode = Literal["sequential", "reference_only", "key_only", "seek"]

ADVANTAGE = 0.9  # another mode must cost less than this share of `sequential` to be worth its loose ends
SEEKABLE = frozenset({MOV, MATROSKA})


@dataclass(frozen=True, slots=True)
class LanePlan:
    """One need as it will be served. Video: frames, bytes and CPU of its views; audio: seconds and bytes of samples."""

    need: Need
    stream_index: int
    size: tuple[int, int] | None  # (w, h) of the delivered picture; None for audio
    expected_frames: int | None
    expected_seconds: float | None
    expected_bytes: int | None
    view_cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Alternative:
    """A mode and its estimate; `cpu_seconds` is None where the mode does not apply, `note` says why."""

    mode: Mode
    cpu_seconds: float | None
    note: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `MediaStream` carries out. `undelivered`: needs of streams that the file lacks, with the reason."""

    path: str
    mode: Mode
    reason: str
    alternatives: tuple[Alternative, ...]
    lanes: tuple[LanePlan, ...]
    undelivered: tuple[tuple[Need, str], ...]
    video_stream: int | None
    audio_stream: int | None
    seconds: float | None
    max_pixels: int | None

    @property
    def video_needs(self) -> tuple[Need, ...]:
        return tuple(lane.need for lane in self.lanes if not lane.need.is_audio)

    @property
    def audio_needs(self) -> tuple[Need, ...]:
        return tuple(lane.need for lane in self.lanes if lane.need.is_audio)

    @property
    def cpu_seconds(self) -> float | None:
        """Estimate of decoding and views together."""
        decode = next((a.cpu_seconds for a in self.alternatives if a.mode == self.mode), None)
        views = [lane.view_cpu_seconds for lane in self.lanes if lane.view_cpu_seconds is not None]
        return None if decode is None else decode + sum(views)

    def explain(self) -> str:
        """For people: mode, why, alternatives, lanes."""
        lines = [f"{self.path}", f"  {self.mode}: {self.reason}"]
        if self.cpu_seconds is not None:
            lines.append(f"  about {self.cpu_seconds:.2f} CPU seconds in all")
        for other in self.alternatives:
            cost = "   -  " if other.cpu_seconds is None else f"{other.cpu_seconds:6.2f}"
            lines.append(
                f"    {'*' if other.mode == self.mode else ' '} {other.mode:<15}{cost} CPU s  {other.note}".rstrip()
            )
        lines += [f"    lane {_lane_line(lane)}" for lane in self.lanes]
        lines += [f"    not delivered: {need} ({reason})" for need, reason in self.undelivered]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "path": self.path,
            "mode": self.mode,
            "reason": self.reason,
            "cpu_seconds": self.cpu_seconds,
            "alternatives": [{"mode": a.mode, "cpu_seconds": a.cpu_seconds, "note": a.note} for a in self.alternatives],
            "lanes": [
                {
                    "need": str(lane.need),
                    "stream_index": lane.stream_index,
                    "size": list(lane.size) if lane.size else None,
                    "expected_frames": lane.expected_frames,
                    "expected_seconds": lane.expected_seconds,
                    "expected_bytes": lane.expected_bytes,
                    "view_cpu_seconds": lane.view_cpu_seconds,
                }
                for lane in self.lanes
            ],
            "undelivered": [{"need": str(need), "reason": reason} for need, reason in self.undelivered],
            "video_stream": self.video_stream,
            "audio_stream": self.audio_stream,
            "seconds": self.seconds,
        }


def make_plan(media: MediaInfo, needs: Sequence[Need], *, max_pixels: int | None = None) -> Plan:
    """Unites `needs` (equal ones once) into one plan for `media`.

    Raises LimitExceeded where the pictures wanted have more than `max_pixels` pixels.
    """
    wanted = tuple(dict.fromkeys(needs))
    video, audio = media.main_video, media.main_audio
    seconds = media.duration_seconds
    served: list[LanePlan] = []
    undelivered: list[tuple[Need, str]] = []
    for need in wanted:
        if isinstance(need.view, AudioView):
            if audio is None:
                undelivered.append((need, "no audio stream"))
            else:
                rate, channels = need.view.sample_rate or audio.sample_rate, audio.channels
                channels = 1 if need.view.layout == "mono" else channels
                size = None if seconds is None else round(seconds * rate) * channels * 4
                served.append(LanePlan(need, audio.index, None, None, seconds, size, None))
        elif video is None:
            undelivered.append((need, "no video stream"))
        else:
            served.append(_video_lane(need, need.view, video, media))
    video_needs = [lane.need for lane in served if not lane.need.is_audio]
    if video is not None and video_needs:
        _check_limit(media, video, max_pixels)
        mode, reason, alternatives = _choose(media, video, video_needs, sound=len(video_needs) < len(served))
    else:
        mode, reason, alternatives = "sequential", "no pictures wanted" if video else "no video stream", ()
    return Plan(
        path=media.path,
        mode=mode,
        reason=reason,
        alternatives=alternatives,
        lanes=tuple(served),
        undelivered=tuple(undelivered),
        video_stream=video.index if video is not None and video_needs else None,
        audio_stream=audio.index if audio is not None and any(lane.need.is_audio for lane in served) else None,
        seconds=seconds,
        max_pixels=max_pixels,
    )


def _check_limit(media: MediaInfo, video: VideoStream, max_pixels: int | None) -> None:
    pixels = video.width * video.height
    if max_pixels is not None and pixels > max_pixels:
        raise LimitExceeded(
            media.path,
            f"pictures of {video.width}x{video.height} ({pixels} pixels) exceed the limit of {max_pixels} pixels; "
            "raise the limit to analyse it",
        )


def _video_lane(need: Need, view: View, video: VideoStream, media: MediaInfo) -> LanePlan:
    frames = _stream_frames(video, media)
    if frames is not None and need.fps is not None and media.duration_seconds:
        frames = max(1, min(frames, ceil(media.duration_seconds * need.fps)))
    size, frame_bytes = _size_of(view, video)
    total = None if frames is None else frames * frame_bytes
    cpu = None if frames is None else frames * view_ms(view, video) / 1e3
    return LanePlan(need, video.index, size, frames, None, total, cpu)


def _size_of(view: View, video: VideoStream) -> tuple[tuple[int, int], int]:
    """((w, h), bytes) of one delivered picture."""
    if view.space == "rgb":
        w, h = view_size(view, video)
        return (w, h), 3 * w * h
    depth = 2 if (video.bit_depth or 8) > 8 else 1
    chroma = {"420": 0.5, "422": 1.0, "444": 2.0, "440": 1.0, "411": 0.5, "410": 0.125, "400": 0.0}
    share = 0.0 if view.space == "luma" else chroma.get(video.chroma or "420", 2.0)
    return (video.width, video.height), round(video.width * video.height * (1 + share) * depth)


def _stream_frames(video: VideoStream, media: MediaInfo) -> int | None:
    if media.kind == "image" or video.is_attached_picture:
        return 1
    if video.frames_header:
        return video.frames_header
    rate = video.frame_rate or video.frame_rate_nominal
    return max(1, round(media.duration_seconds * rate)) if media.duration_seconds and rate else None


def _choose(
    media: MediaInfo, video: VideoStream, needs: Sequence[Need], *, sound: bool
) -> tuple[Mode, str, tuple[Alternative, ...]]:
    frames = _stream_frames(video, media)
    seconds = media.duration_seconds
    if frames == 1:
        return "sequential", "one picture", ()
    if frames is None or not seconds:
        return "sequential", "the length of the stream is not known", ()
    rates = sorted({need.fps for need in needs if need.fps is not None})
    work = Work(
        stream=video,
        seconds=seconds,
        frames=frames,
        instants=min(frames, sum(ceil(seconds * rate) for rate in rates)),
        tolerance_seconds=min(need.tolerance_seconds for need in needs),
        key_interval_seconds=video.key_frame_interval_seconds,
        sound=sound,
    )
    dense = next((need for need in needs if need.fps is None or need.previous), None)
    alternatives = _alternatives(media, work, dense)
    if dense is not None:
        return "sequential", f"{dense.view} wants every frame{' decoded' if dense.previous else ''}", alternatives
    best = min((a for a in alternatives if a.cpu_seconds is not None), key=lambda a: a.cpu_seconds or 0.0)
    if best.mode == "sequential" or (best.cpu_seconds or 0.0) > ADVANTAGE * work.sequential:
        return "sequential", "no other mode is clearly cheaper", alternatives
    share = (best.cpu_seconds or 0.0) / work.sequential
    return best.mode, f"{100 * share:.0f} % of the cost of decoding every frame", alternatives


def _alternatives(media: MediaInfo, work: Work, dense: Need | None) -> tuple[Alternative, ...]:
    """Every mode with its cost, or with the reason that bars it."""
    every = "" if dense is None else "a need wants every frame"
    codec = work.stream.codec
    gop = work.key_interval_seconds
    indexed = "" if gop and media.container in SEEKABLE else "the container has no index of key frames"
    alone = "" if codec in KEY_FRAMES_ALONE else f"key frames of {codec} are not known to stand alone"
    no_reference = "" if work.reference_only is not None else f"the decoder of {codec} drops no non-reference frames"
    if media.container == "avi":
        no_reference = "AVI holds no presentation times"
    apart = ""
    if gop and gop > 2 * work.tolerance_seconds:
        apart = f"key frames every {gop:.2f} s are further apart than +-{work.tolerance_seconds:g} s allows"
    barred = {
        "sequential": "",
        "reference_only": every or no_reference,
        "key_only": every or alone or indexed or apart,
        "seek": every or alone or indexed,
    }
    costs = {
        "sequential": work.sequential,
        "reference_only": work.reference_only,
        "key_only": work.key_only,
        "seek": work.seek,
    }
    return tuple(
        Alternative(mode, None, barred[mode]) if barred[mode] else Alternative(mode, costs[mode], "")
        for mode in ("sequential", "reference_only", "key_only", "seek")
    )


def _lane_line(lane: LanePlan) -> str:
    size = "" if lane.size is None else f" -> {lane.size[0]}x{lane.size[1]}"
    frames = "" if lane.expected_frames is None else f", about {lane.expected_frames} frames"
    seconds = "" if lane.expected_seconds is None else f", {lane.expected_seconds:.1f} s"
    amount = "" if lane.expected_bytes is None else f", {lane.expected_bytes / 1e6:.1f} MB"
    cpu = "" if lane.view_cpu_seconds is None else f", {lane.view_cpu_seconds:.2f} CPU s"
    return f"{lane.need}{size}{frames}{seconds}{amount}{cpu}"

"""Frame timing from timestamps: is the frame rate variable, how far apart are key frames."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice, pairwise
from statistics import median

from av.stream import Stream
from av.video.stream import VideoStream as AvVideoStream

from mediaml.decode.formats import MOV
from mediaml.decode.packet_scan import Scan

_INDEX_BLOCK = 3000  # entries looked at from either end of a container's index
_REORDER = 16  # packets at the end of a partial scan whose neighbours in display order may be missing
_TOLERANCE = 0.01
_MIN_MEASURED = 10
_FAR = 1.5


_HIDDEN = (
    0.1  # intervals below this share of the median belong to pictures that are never shown (VP9 alternate references)
)
_FIRST_GAP_OF = 8


def varies(times: list[int], time_base: Fraction | None) -> bool | None:
    """Whether the intervals between `times` (display order, in ticks) differ by more than rounding; None if under 3.

    Rounding is 1.5 ticks of the time base (Matroska writes whole milliseconds), or 1 % of the median interval. From eight
    intervals on the first does not count: a stream cut at an open group of pictures starts with a gap.
    """
    intervals = [b - a for a, b in pairwise(times) if b > a]
    if len(intervals) < 2 or time_base is None:
        return None
    middle = median(intervals)
    shown = [i for i in intervals[len(intervals) >= _FIRST_GAP_OF :] if i > _HIDDEN * middle]
    allowed = max(1.5, _TOLERANCE * middle)
    return any(abs(i - middle) > allowed for i in shown)


def variable_frame_rate(stream: Stream, container: str, scan: Scan) -> bool | None:
    """From the packets seen, and from both ends of a complete index (ISO media) where not all packets were seen.

    The index is in decoding order, whose intervals are those of the display order as long as the rate is constant.
    """
    seen = sorted(set(scan.streams[stream.index].times))
    result = varies(seen if scan.whole else seen[: max(3, len(seen) - _REORDER)], stream.time_base)
    if result or scan.whole or container != MOV:
        return result
    count = len(stream.index_entries)
    tail = [e.timestamp for e in islice(stream.index_entries[max(0, count - _INDEX_BLOCK) :], _INDEX_BLOCK)]
    return varies(tail, stream.time_base) or result


def frame_rate(stream: AvVideoStream, scan: Scan) -> float | None:
    """The container's average rate, unless all packets were seen and it is off by more than half (Matroska timestamps)."""
    stated = float(stream.average_rate) if stream.average_rate else None
    times = scan.streams[stream.index].times
    if not scan.whole or len(times) < _MIN_MEASURED or stream.time_base is None or max(times) == min(times):
        return stated
    measured = float((len(set(times)) - 1) / ((max(times) - min(times)) * stream.time_base))
    return stated if stated is not None and measured / _FAR < stated < measured * _FAR else measured


def key_frame_interval_seconds(stream: Stream, scan: Scan) -> float | None:
    """The median distance of key frames: in the container's index, else among the packets seen; None if under two."""
    if stream.time_base is None:
        return None
    keys = [e.timestamp for e in stream.index_entries[:_INDEX_BLOCK] if e.is_keyframe]
    if len(keys) < 2:
        keys = scan.streams[stream.index].keys
    gaps = [b - a for a, b in pairwise(sorted(set(keys)))]
    return float(median(gaps) * stream.time_base) if gaps else None

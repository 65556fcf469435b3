"""Timecodes as SMPTE ST 12-1 counts them."""

from __future__ import annotations

_DROPPED = {30: 2, 60: 4}  # frame numbers left out each minute but every tenth, at 30000/1001 and 60000/1001
_DROP_RATIO = 1000 / 1001


def timecode(seconds: float, frame_rate: float | None) -> str:
    """hh:mm:ss:ff of the frame shown at `seconds` from the file's zero, counted at `frame_rate`.

    29.97 and 59.94 frames a second count with drop frames, written hh:mm:ss;ff, so that timecode keeps to the clock; other
    fractional rates count at the next whole number. Without a rate: hh:mm:ss.mmm. Negative times have a minus sign.
    """
    sign = "-" if seconds < 0 else ""
    if not frame_rate or frame_rate <= 0:
        milliseconds = round(abs(seconds) * 1000)
        whole, rest = divmod(milliseconds, 1000)
        return f"{sign}{_clock(whole)}.{rest:03d}"
    base = max(1, round(frame_rate))
    frames = int(abs(seconds) * frame_rate + 1e-3)
    dropped = _DROPPED.get(base, 0) if abs(frame_rate / base - _DROP_RATIO) < 2e-4 else 0
    if dropped:
        frames = _with_dropped(frames, base, dropped)
    whole, rest = divmod(frames, base)
    width = max(2, len(str(base - 1)))
    return f"{sign}{_clock(whole)}{';' if dropped else ':'}{rest:0{width}d}"


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def _with_dropped(frames: int, base: int, dropped: int) -> int:
    """The frame number that the label of the frame `frames` shows."""
    minute = 60 * base - dropped
    ten_minutes = 10 * minute + dropped
    tens, rest = divmod(frames, ten_minutes)
    skipped = 9 * dropped * tens
    if rest >= 60 * base:
        skipped += dropped * (1 + (rest - 60 * base) // minute)
    return frames + skipped

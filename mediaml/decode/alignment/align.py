"""For every distorted frame its reference frame, or none; and what that says about the pair.

Offset, trims, dropped and repeated frames, other frame rates, pull-down and variable rates all come out of one path
(alignment_path.py). Bars on one side only, and a centred crop, are found on the thumbnails and undone; a turned or mirrored
picture, and other content, raise.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.anchor import Anchor
from mediaml.decode.alignment.clocks import find_path
from mediaml.decode.alignment.facts import Cadence, cadence, count_faults, drop_unmatched
from mediaml.decode.alignment.path import Path, Track, correlation, first_path
from mediaml.decode.alignment.signal import HEIGHT, WIDTH, Signal, Window, read_signals, windowed_thumbs
from mediaml.decode.frame_reader import VideoFile
from mediaml.errors import ContentDiffers, GeometryDiffers

SAME_CONTENT = (
    0.8  # median correlation of thumbnails; other content seldom reaches 0.6, the worst encode stays above 0.95
)
_SUSPECT = 0.93
_ZOOMS = (0.95, 0.9, 0.85, 0.8, 0.75, 0.7)
_TRIED = 100  # frames on which zooms and turns are tried


@dataclass(frozen=True, slots=True)
class AlignmentSummary:
    """What was found.

    offset_seconds            reference time minus distorted time of the same picture (median)
    clock_ratio               seconds of reference a second of distorted: 1.001 for 24 frames played at 23.976
    rate_ratio                distorted over reference frames a second
    matched_share             of the distorted frames that have a reference frame
    dropped, repeated         reference frames left out, and shown again, beyond what the two frame rates explain
    cadence                   "same", "repeats", "drops", "3:2 pull-down", "variable"
    reference_head, _tail     reference frames before the first and after the last one shown
    unmatched_head, _tail, _middle   distorted frames without a reference frame
    confidence                [0, 1]: 0 where the pictures tell nothing (flat), 1 where every one fits
    """

    frames_distorted: int
    frames_reference: int
    matched_frames: int
    matched_share: float
    offset_seconds: float
    clock_ratio: float
    rate_ratio: float
    cadence: Cadence
    dropped_frames: int
    repeated_frames: int
    reference_head: int
    reference_tail: int
    unmatched_head: int
    unmatched_tail: int
    unmatched_middle: int
    confidence: float
    correlation: float | None
    level_gain: float
    level_offset: float

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """reference_index (M,) int64, -1 for none; distance (M,): of the thumbnails, in squared 8-bit codes; detail (M,): the
    standard deviation of each distorted thumbnail, in codes.

    distorted_window, reference_window   the parts of the pictures that show the same, as far as thumbnails tell
    """

    reference_index: NDArray[np.int64]
    distorted_pts_seconds: NDArray[np.float64]
    reference_pts_seconds: NDArray[np.float64]
    distance: NDArray[np.float32]
    detail: NDArray[np.float32]
    summary: AlignmentSummary
    distorted_window: Window
    reference_window: Window

    def pairs(self) -> NDArray[np.int64]:
        """(K, 2): distorted and reference frame numbers, both ascending."""
        at = np.flatnonzero(self.reference_index >= 0)
        return np.stack([at, self.reference_index[at]], axis=1)


def align(distorted: VideoFile, reference: VideoFile, *, max_pixels: int | None = None) -> Alignment:
    """Decodes both files once (in two threads) and aligns them.

    Raises MediaError of either file, ContentDiffers, GeometryDiffers.
    """
    signals = read_signals((distorted, reference), max_pixels=max_pixels)
    return align_signals(signals[0], signals[1], distorted.path, reference.path)


def align_signals(
    distorted: Signal,
    reference: Signal,
    path: str = "distorted",
    reference_path: str = "reference",
    *,
    windows: tuple[Window, Window] | None = None,
    anchor: Anchor | None = None,
) -> Alignment:
    """The alignment of two signals; the paths are for error messages. windows: the parts of the pictures that show the same,
    where that is known; else they are sought. anchor: what the first picture says of its time, where that is known."""
    known = windows is not None
    windows = windows or _active_windows(distorted, reference)
    tracks = whole = _track(distorted, windows[0]), _track(reference, windows[1])
    found = find_path(*tracks, anchor)
    similar = _similarity(*tracks, found)
    if similar is not None and similar < _SUSPECT and not known:
        windows, tracks, found, similar = _try_zooms(windows, tracks, found, similar)
    if similar is not None and similar < SAME_CONTENT:
        _refuse_turned(*whole, path)
        raise ContentDiffers(
            path,
            f"does not show the same content as {reference_path}: the best alignment of the two correlates {similar:.2f} "
            f"(the same content gives over {SAME_CONTENT}); check that the pair is right, or use --no-align",
        )
    index = drop_unmatched(*tracks, found)
    if not (index >= 0).any():
        raise ContentDiffers(path, f"shares no moment with {reference_path}: no frame has a counterpart")
    return _alignment(tracks, found, index, similar, windows)


def _active_windows(distorted: Signal, reference: Signal) -> tuple[Window, Window]:
    """Bars count only where one file has them and the other has not, and the pictures fit better without."""
    whole, active = (Window(), Window()), (distorted.active, reference.active)
    if not distorted.active.differs(reference.active):
        return whole
    similar = []
    for windows in (whole, active):
        tracks = [
            _track(s, w).thinned(max(1, len(s) // _TRIED)) for s, w in zip((distorted, reference), windows, strict=True)
        ]
        similar.append(_similarity(tracks[0], tracks[1], first_path(tracks[0], tracks[1])) or 0.0)
    return active if similar[1] > similar[0] + 0.01 else whole


def _track(signal: Signal, window: Window) -> Track:
    if window.differs(Window(), 1e-6):
        thumbs = windowed_thumbs(signal, window)
        return Track(thumbs, signal.pts_seconds, from_past=signal.from_past, registered=False)
    return Track(signal.thumbs, signal.pts_seconds, signal.detail, from_past=signal.from_past)


def _similarity(distorted: Track, reference: Track, path: Path) -> float | None:
    """The median correlation of frames that are not flat, of the better half: unmatched parts do not count; None if none."""
    found = correlation(distorted, reference, path.index)
    found = found[~np.isnan(found)]
    if len(found) < max(1, len(distorted) // 50):
        return None if abs(float(np.median(np.sqrt(path.distance)))) < 12 else 0.0
    return float(np.quantile(found, 0.75))


def _try_zooms(
    windows: tuple[Window, Window], tracks: tuple[Track, Track], path: Path, similar: float
) -> tuple[tuple[Window, Window], tuple[Track, Track], Path, float]:
    """Whether the distorted picture is a centred part of the reference's."""
    best = (windows, tracks, path, similar)
    if any(w.differs(Window()) for w in windows):
        return best
    few = tracks[0].thinned(max(1, len(tracks[0]) // _TRIED))
    for across in (1.0, *_ZOOMS):
        for down in (1.0, *_ZOOMS):
            if across == down == 1.0 or (across != 1.0 and down != 1.0 and across != down):
                continue
            window = Window((1 - across) / 2, (1 - down) / 2, (1 + across) / 2, (1 + down) / 2)
            zoomed = Track(windowed_thumbs(tracks[1], window), tracks[1].pts_seconds, registered=False)
            tried = _similarity(few, zoomed, first_path(few, zoomed)) or 0.0
            if tried > best[3] + 0.01:
                best = ((Window(), window), (tracks[0], zoomed), path, tried)
    if best[0] is windows:
        return best
    found = find_path(*best[1])
    return best[0], best[1], found, _similarity(*best[1], found) or 0.0


def _refuse_turned(distorted: Track, reference: Track, path: str) -> None:
    """Raises GeometryDiffers where the pictures fit once turned or mirrored."""
    few = distorted.thinned(max(1, len(distorted) // _TRIED))
    turns = {
        "turned by 180 degrees": lambda a: a[:, ::-1, ::-1],
        "mirrored left to right": lambda a: a[:, :, ::-1],
        "mirrored top to bottom": lambda a: a[:, ::-1],
        "turned by 90 degrees clockwise": lambda a: np.rot90(a, 1, (1, 2)),
        "turned by 90 degrees counter-clockwise": lambda a: np.rot90(a, -1, (1, 2)),
    }
    for what, turn in turns.items():
        turned = turn(_thumbs(few))
        if turned.shape[1:] != (HEIGHT, WIDTH):
            turned = _reshaped(turned)
        track = Track(np.ascontiguousarray(turned), few.pts_seconds)
        similar = _similarity(track, reference, first_path(track, reference))
        if similar is not None and similar > SAME_CONTENT + 0.05:
            raise GeometryDiffers(
                path, f"is {what} against its reference; turn one of them first: no score would mean anything"
            )


def _reshaped(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """(n, 32, 18) thumbnails of a turned picture, stretched to (n, 18, 32)."""
    n, high, wide = luma.shape
    rows = luma.reshape(n, high // 2, 2, wide).mean(2)  # (n, 16, 18)
    at = (np.arange(18) + 0.5) / 18 * rows.shape[1] - 0.5, (np.arange(32) + 0.5) / 32 * wide - 0.5
    y, x = (np.clip(np.rint(a), 0, limit - 1).astype(int) for a, limit in zip(at, rows.shape[1:], strict=True))
    return rows[:, y][:, :, x]


def _alignment(
    tracks: tuple[Track, Track],
    path: Path,
    index: NDArray[np.int64],
    similar: float | None,
    windows: tuple[Window, Window],
) -> Alignment:
    distorted, reference = tracks
    at = np.flatnonzero(index >= 0)
    shown = index[at]
    lag = reference.pts_seconds[shown] - distorted.pts_seconds[at]
    dropped, repeated = count_faults(distorted, reference, index)
    found = correlation(distorted, reference, path.index)[at]
    textured = ~np.isnan(found)
    middle = int((index[at[0] : at[-1] + 1] < 0).sum())
    summary = AlignmentSummary(
        frames_distorted=len(distorted),
        frames_reference=len(reference),
        matched_frames=len(at),
        matched_share=len(at) / len(distorted),
        offset_seconds=float(np.median(lag)),
        clock_ratio=_clock_ratio(distorted.pts_seconds[at], reference.pts_seconds[shown]),
        rate_ratio=reference.period_seconds / distorted.period_seconds,
        cadence=cadence(distorted, reference, index),
        dropped_frames=dropped,
        repeated_frames=repeated,
        reference_head=int(shown[0]),
        reference_tail=int(len(reference) - 1 - shown[-1]),
        unmatched_head=int(at[0]),
        unmatched_tail=int(len(distorted) - 1 - at[-1]),
        unmatched_middle=middle,
        confidence=float((found[textured] > SAME_CONTENT).mean() * textured.mean()) if textured.any() else 0.0,
        correlation=similar,
        level_gain=path.gain,
        level_offset=path.offset + 128 * (1 - path.gain),
    )
    times = distorted.pts_seconds, reference.pts_seconds
    return Alignment(index, *times, path.distance, _spread(distorted), summary, *windows)


def _thumbs(track: Track) -> NDArray[np.float32]:
    return track.luma().reshape(-1, HEIGHT, WIDTH)


def _spread(track: Track) -> NDArray[np.float32]:
    """(N,) standard deviation of each thumbnail, in codes."""
    return np.concatenate([track.luma(slice(s, s + 1024)).std(1) for s in range(0, len(track), 1024)])


def _clock_ratio(distorted: NDArray[np.float64], reference: NDArray[np.float64]) -> float:
    """Slope of reference time over distorted time, by the median over pairs half the length apart (Theil-Sen)."""
    half = len(distorted) // 2
    if half < 12:
        return 1.0
    spans = distorted[half:] - distorted[: len(distorted) - half]
    good = spans > 0
    return (
        float(np.median((reference[half:] - reference[: len(reference) - half])[good] / spans[good]))
        if good.any()
        else 1.0
    )

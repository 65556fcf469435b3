"""What is to be done with a pair, settled before the first frame is scored: alignment, geometry, common form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment.align import Alignment, align_signals
from mediaml.decode.alignment.anchor import find_anchor
from mediaml.decode.alignment.signal import Signal, Window, read_signals
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.geometry import Geometry, find_geometry
from mediaml.decode.kept import KEPT_BYTES, KeptFrames, room_for
from mediaml.decode.pair.format import PairFormat, pair_format
from mediaml.decode.pair.pictures import Crop

_FINE = 1e-3  # of a picture's side: a crop of two samples can move a slow zoom by seconds
_CONTRADICTS = 0.5  # units of an anchor, by which the path's first frame fits worse


@dataclass(frozen=True, slots=True, eq=False)
class PairPlan:
    """alignment None: frame i against frame i. crops: parts of the distorted and of the reference picture; None for whole.
    kept: the decoded frames of both files, where they are few; the first PairStream takes them."""

    distorted: VideoFile
    reference: VideoFile
    form: PairFormat
    alignment: Alignment | None
    crops: tuple[Crop | None, Crop | None] = (None, None)
    notes: tuple[str, ...] = ()
    kept: tuple[KeptFrames, ...] | None = None

    @property
    def pairs(self) -> NDArray[np.int64] | None:
        return None if self.alignment is None else self.alignment.pairs()

    def to_dict(self) -> dict[str, Any]:
        return {
            "format": self.form.to_dict(),
            "alignment": None if self.alignment is None else self.alignment.summary.to_dict(),
            "crop_distorted": self.crops[0]._asdict() if self.crops[0] else None,
            "crop_reference": self.crops[1]._asdict() if self.crops[1] else None,
        }


def plan_pair(
    distorted: VideoFile,
    reference: VideoFile,
    *,
    align: bool = True,
    scale_to: str = "reference",
    max_pixels: int | None = None,
    keep_bytes: int = KEPT_BYTES,
) -> PairPlan:
    """Refuses what cannot be compared, cheapest checks first; then aligns. Where the decoded frames of both files take at
    most `keep_bytes`, they are kept for scoring, which then decodes nothing.

    Raises InvalidValue, MediaError of either file, ColourDiffers, ContentDiffers, GeometryDiffers.
    """
    form = pair_format(distorted, reference, scale_to)
    if not align:
        notes = (*_scaling_notes(distorted, reference, form.size, (None, None)), *form.notes)
        return PairPlan(distorted, reference, form, None, notes=(*notes, "not aligned: frame i against frame i"))
    kept = room_for((distorted, reference), keep_bytes)
    signals = read_signals((distorted, reference), max_pixels=max_pixels, kept=kept)
    plan, _ = plan_of((distorted, reference), form, scale_to, signals, max_pixels, kept)
    return plan


def plan_of(
    files: tuple[VideoFile, VideoFile],
    form: PairFormat,
    scale_to: str,
    signals: Sequence[Signal],
    max_pixels: int | None = None,
    kept: Sequence[KeptFrames] | None = None,
    geometry: Geometry | None = None,
) -> tuple[PairPlan, Geometry]:
    """The plan of a pair of which alignment knows the pictures, and its geometry, where that is not known. Raises
    ContentDiffers, GeometryDiffers, MediaError of either file."""
    distorted, reference = files
    found = align_signals(signals[0], signals[1], distorted.path, reference.path)
    if geometry is None:
        geometry = find_geometry(distorted, reference, found, max_pixels, kept)
    windows = _windows(distorted, geometry.crops[0]), _windows(reference, geometry.crops[1])
    found = _refined(files, signals, found, windows, max_pixels, kept)
    if any(geometry.crops):
        form = replace(form, size=_cropped_size(form.size, scale_to, distorted, reference, geometry))
    scaled = _scaling_notes(distorted, reference, form.size, geometry.crops)
    notes = (*scaled, *form.notes, *geometry.notes, *alignment_notes(found, cropped=any(geometry.crops)))
    plan = PairPlan(distorted, reference, form, found, geometry.crops, notes, tuple(kept) if kept else None)
    return plan, geometry


def _refined(
    files: tuple[VideoFile, VideoFile],
    signals: Sequence[Signal],
    found: Alignment,
    windows: tuple[Window, Window],
    max_pixels: int | None,
    kept: Sequence[KeptFrames] | None,
) -> Alignment:
    """The alignment again, where more is known than thumbnails told: the crop, or when the first picture is from."""
    before = found.distorted_window, found.reference_window
    moved = any(a.differs(b, _FINE) for a, b in zip(before, windows, strict=True))
    pairs = found.pairs()
    start = max(0, int(pairs[0, 1] - pairs[0, 0]))
    anchor = find_anchor(files, signals, windows, start, max_pixels, kept)
    begins = found.reference_index[:1]
    told = anchor is not None and (begins[0] < 0 or anchor.at(begins)[0] > _CONTRADICTS)
    if not (moved or told):
        return found
    names = files[0].path, files[1].path
    return align_signals(signals[0], signals[1], *names, windows=windows if moved else None, anchor=anchor)


def _windows(file: VideoFile, crop: Crop | None) -> Window:
    wide, high = file.video.width, file.video.height
    if crop is None:
        return Window()
    return Window(crop.x / wide, crop.y / high, (crop.x + crop.width) / wide, (crop.y + crop.height) / high)


def _scaling_notes(
    distorted: VideoFile, reference: VideoFile, size: tuple[int, int], crops: tuple[Crop | None, Crop | None]
) -> list[str]:
    notes = []
    for file, name, crop in zip((distorted, reference), ("distorted", "reference"), crops, strict=True):
        own = (crop.width, crop.height) if crop is not None else (file.video.width, file.video.height)
        if own != size:
            notes.append(f"{name} pictures scaled from {own[0]}x{own[1]} to {size[0]}x{size[1]} (swscale bicubic)")
    return notes


def _cropped_size(
    size: tuple[int, int], scale_to: str, distorted: VideoFile, reference: VideoFile, geometry: Geometry
) -> tuple[int, int]:
    """The common size, where it is that of a picture of which a part is compared."""
    side = {"distorted": (distorted, geometry.crops[0]), "reference": (reference, geometry.crops[1])}
    if scale_to not in side:
        return size
    file, crop = side[scale_to]
    return (crop.width, crop.height) if crop is not None else (file.video.width, file.video.height)


def alignment_notes(found: Alignment, *, cropped: bool = False) -> list[str]:
    """What of the alignment a reader of the score should know; levels are not known where a part was `cropped`."""
    s = found.summary
    notes = []
    unmatched = s.unmatched_head + s.unmatched_middle + s.unmatched_tail
    if unmatched:
        where = (
            (s.unmatched_head, "at its start"),
            (s.unmatched_middle, "in between"),
            (s.unmatched_tail, "at its end"),
        )
        places = ", ".join(f"{count} {place}" for count, place in where if count)
        notes.append(
            f"{unmatched} of {s.frames_distorted} distorted frames have no reference frame and are not scored: {places}"
        )
    if s.unmatched_tail and not s.reference_tail:
        notes.append("the reference ends before the distorted file; scored over what both have")
    if s.confidence == 0:
        notes.append("the pictures are flat: nothing in them shows the alignment, so it follows the clocks")
    levels_known = not cropped and not (
        found.distorted_window.differs(Window()) or found.reference_window.differs(Window())
    )
    if levels_known and (abs(s.level_gain - 1) > 0.04 or abs(s.level_offset) > 6):
        notes.append(
            f"levels differ (distorted = {s.level_gain:.3f} x reference {s.level_offset:+.1f} codes): "
            "perhaps a wrong range flag; scored as the files state"
        )
    return notes

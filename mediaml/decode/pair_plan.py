"""What is to be done with a pair, settled before the first frame is scored: alignment, geometry, common form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml.decode.alignment import Alignment, align
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair_format import PairFormat, pair_format
from mediaml.decode.pair_pictures import Crop


@dataclass(frozen=True, slots=True, eq=False)
class PairPlan:
    """alignment None: frame i against frame i. crops: parts of the distorted and of the reference picture; None for whole."""

    distorted: VideoFile
    reference: VideoFile
    form: PairFormat
    alignment: Alignment | None
    crops: tuple[Crop | None, Crop | None] = (None, None)
    notes: tuple[str, ...] = ()

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
) -> PairPlan:
    """Refuses what cannot be compared, cheapest checks first; then aligns.

    Raises InvalidValue, MediaError of either file, ColourDiffers, ContentDiffers, GeometryDiffers.
    """
    form = pair_format(distorted, reference, scale_to)
    if not align:
        return PairPlan(distorted, reference, form, None, notes=(*form.notes, "not aligned: frame i against frame i"))
    found = _aligned(distorted, reference, max_pixels)
    return PairPlan(distorted, reference, form, found, notes=(*form.notes, *alignment_notes(found)))


def _aligned(distorted: VideoFile, reference: VideoFile, max_pixels: int | None) -> Alignment:
    return align(distorted, reference, max_pixels=max_pixels)


def alignment_notes(found: Alignment) -> list[str]:
    """What of the alignment a reader of the score should know."""
    s = found.summary
    notes = []
    unmatched = s.unmatched_head + s.unmatched_middle + s.unmatched_tail
    if unmatched:
        notes.append(f"{unmatched} of {s.frames_distorted} distorted frames have no reference frame and are not scored")
    if s.unmatched_tail and not s.reference_tail:
        notes.append("the reference ends before the distorted file; scored over what both have")
    if s.confidence == 0:
        notes.append("the pictures are flat: nothing in them shows the alignment, so it follows the clocks")
    if abs(s.level_gain - 1) > 0.04 or abs(s.level_offset) > 6:
        notes.append(
            f"levels differ (distorted = {s.level_gain:.3f} x reference {s.level_offset:+.1f} codes): "
            "perhaps a wrong range flag; scored as the files state"
        )
    return notes

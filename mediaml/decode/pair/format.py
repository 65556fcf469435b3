"""The common form of a pair: size, bit depth, chroma, matrix and range; what is converted, and what is refused.

size      the reference's (the distorted picture is scaled by swscale's bicubic, as `ffmpeg -lavfi scale2ref,libvmaf` does),
          the distorted one's, or a given one
depth     the greater of the two; fewer bits are shifted up where range is limited, as swscale does
chroma    the reference's; where either is grey, luma alone
matrix, range   the reference's, converted where both files state theirs and they differ. A file that states none is taken
          to share the other's (encoders lose the tags more often than they convert), except that no range means limited.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mediaml.decode.colour import SWS_MATRICES, Source, source_of
from mediaml.decode.frame_reader import VideoFile
from mediaml.errors import ColourDiffers, InvalidValue
from mediaml.frames import Colour

_SIZE = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})")
_LARGEST = 8192 * 8192  # pixels of a picture
_SAME_MATRIX = {"bt470bg": "smpte170m"}  # equal coefficients
_WIDE = frozenset({"bt2020", "smpte431", "smpte432"})
_NARROW = frozenset({"bt709", "smpte170m", "bt470bg", "bt470m", "smpte240m", "ebu3213", "film"})


@dataclass(frozen=True, slots=True)
class PairFormat:
    """What both pictures are brought to. `base` is FFmpeg's planar format without depth ("yuv420p", "gray").

    convert_matrix, convert_range   whether the distorted file's differ and are converted
    notes   what was assumed or converted, for the result
    """

    size: tuple[int, int]  # (w, h)
    bit_depth: int
    base: str
    colour: Colour
    distorted_colour: Colour
    notes: tuple[str, ...] = ()

    @property
    def pixel_format(self) -> str:
        return self.base if self.bit_depth == 8 else f"{self.base}{self.bit_depth}le"

    @property
    def grey(self) -> bool:
        return self.base == "gray"

    def to_dict(self) -> dict[str, Any]:
        return {
            "width": self.size[0],
            "height": self.size[1],
            "pixel_format": self.pixel_format,
            "matrix": self.colour.matrix,
            "range": self.colour.range,
            "transfer": self.colour.transfer,
            "primaries": self.colour.primaries,
            "scaling_filter": "bicubic",
        }


def pair_format(distorted: VideoFile, reference: VideoFile, scale_to: str = "reference") -> PairFormat:
    """The common form of two files. Raises InvalidValue (`scale_to`), ColourDiffers."""
    notes: list[str] = []
    seen = [_source(file) for file in (distorted, reference)]
    colours = _colours(distorted, reference, seen, notes)
    depths = [_depth(file) for file in (distorted, reference)]
    notes += _woven(distorted, reference)
    size = target_size(distorted, reference, scale_to)
    if depths[0] != depths[1]:
        notes.append(f"bit depth: distorted {depths[0]}, reference {depths[1]}; compared at {max(depths)}")
    if any(s.is_grey for s in seen):
        base = "gray"
        if seen[0].is_grey != seen[1].is_grey:
            notes.append("one file is grey: luma alone is compared")
    else:
        chroma = [_chroma(file) for file in (distorted, reference)]
        base = f"yuv{chroma[1]}p"
        if chroma[0] != chroma[1]:
            notes.append(f"chroma: distorted {chroma[0]} resampled to the reference's {chroma[1]}")
    return PairFormat(size, max(depths), base, colours[1], colours[0], tuple(notes))


def target_size(distorted: VideoFile, reference: VideoFile, scale_to: str) -> tuple[int, int]:
    """(w, h) for "reference", "distorted" or "WIDTHxHEIGHT"."""
    if scale_to in ("reference", "distorted"):
        video = (reference if scale_to == "reference" else distorted).video
        return video.width, video.height
    found = _SIZE.fullmatch(scale_to)
    if not found:
        raise InvalidValue(f"scale_to {scale_to!r} must be reference, distorted or WIDTHxHEIGHT, e.g. 1920x1080")
    width, height = int(found[1]), int(found[2])
    if width * height > _LARGEST:
        raise InvalidValue(
            f"scale_to {scale_to}: {width * height:,} pixels a picture, at most {_LARGEST:,} are compared"
        )
    return width, height


def _woven(distorted: VideoFile, reference: VideoFile) -> list[str]:
    """What a reader should know where one file's frames hold two moments each and the other's do not."""
    woven = [file.video.field_order in ("tt", "bb", "tb", "bt") for file in (distorted, reference)]
    if woven[0] == woven[1]:
        return []
    who = "distorted" if woven[0] else "reference"
    return [
        f"the {who} file is interlaced and the other is not: frames woven of two moments are compared with whole ones, and "
        f"combing counts as distortion; take it out of the {who} file first (ffmpeg: fieldmatch,decimate for pull-down, "
        "bwdif for video)"
    ]


def _source(file: VideoFile) -> Source:
    from mediaml.decode.colour import FrameTraits

    video = file.video
    unstated = FrameTraits(video.pixel_format or "yuv420p", video.width, video.height, 2, 0, 2, 2)
    return source_of(unstated, video)


def _depth(file: VideoFile) -> int:
    bits = file.video.bit_depth or 8
    return next((d for d in (8, 9, 10, 12, 14, 16) if d >= bits), 16)


def _chroma(file: VideoFile) -> str:
    found = file.video.chroma or "444"
    return found if found in ("420", "422", "444", "440", "411", "410") else "444"


def _colours(distorted: VideoFile, reference: VideoFile, seen: list[Source], notes: list[str]) -> tuple[Colour, Colour]:
    d, r = (s.colour for s in seen)
    _refuse(distorted, reference, d, r)
    matrix = d.matrix
    rgb = seen[0].is_rgb or seen[1].is_rgb
    if not rgb and (distorted.video.matrix is None) != (reference.video.matrix is None):
        who, other = ("distorted", "reference") if distorted.video.matrix is None else ("reference", "distorted")
        notes.append(f"the {who} file states no matrix; taken to be the {other} file's")
        if distorted.video.matrix is None:
            matrix = r.matrix
        else:
            r = Colour(d.matrix, r.range, r.transfer, r.primaries)
    elif not rgb and distorted.video.matrix is None:
        matrix = r.matrix
    if _canonical(matrix) != _canonical(r.matrix):
        notes.append(f"matrix converted from {matrix} to {r.matrix}")
        for name in (matrix, r.matrix):
            if name not in SWS_MATRICES:
                raise ColourDiffers(
                    distorted.path,
                    f"matrix {matrix} against {r.matrix}: {name} cannot be converted; convert one file first",
                )
    if d.range != r.range:
        notes.append(f"range converted from {d.range} to {r.range}")
        if any(s.is_grey for s in seen):
            raise ColourDiffers(
                distorted.path, f"grey pictures of {d.range} range against {r.range}: convert one file first"
            )
    return Colour(matrix, d.range, d.transfer, d.primaries), r


def _refuse(distorted: VideoFile, reference: VideoFile, d: Colour, r: Colour) -> None:
    if d.is_hdr != r.is_hdr:
        kinds = [f"HDR ({c.transfer})" if c.is_hdr else "SDR" for c in (d, r)]
        raise ColourDiffers(
            distorted.path,
            f"is {kinds[0]}, its reference {reference.path} is {kinds[1]}: a score would measure the tone mapping; "
            "compare with a reference of the same kind",
        )
    if d.is_hdr and d.transfer != r.transfer:
        raise ColourDiffers(
            distorted.path, f"transfer {d.transfer} against {r.transfer}; convert one of the files first"
        )
    pair = {d.primaries, r.primaries}
    if pair & _WIDE and pair & _NARROW:
        raise ColourDiffers(
            distorted.path, f"primaries {d.primaries} against {r.primaries} of {reference.path}; convert one file first"
        )


def _canonical(matrix: str) -> str:
    return _SAME_MATRIX.get(matrix, matrix)


def display_aspect(file: VideoFile) -> Fraction:
    """Width over height as shown."""
    return Fraction(file.video.display_width or 1, file.video.display_height or 1)

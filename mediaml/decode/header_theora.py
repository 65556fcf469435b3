"""The quantiser of a Theora picture: qi of its header, and the matrices that the stream's setup header says for it (Theora
specification, 6.4.1 to 6.4.3, 7.1). FFmpeg's decoder does not export it.

Which of a picture's up to three qi a block takes is not read: their mean counts.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mediaml.decode.header_bits import FAULTS, HeaderBits

_IDENTIFICATION_BYTES = 42
_SETUP = b"\x82theora"
_MOST_MATRICES = 384
_LEAST = (8, 16)  # steps of AC bands, intra and inter, in quarters
_MOST = 4096
_QUARTERS = 4  # its DCT is four times the orthonormal one
_LOW = tuple(
    8 * v + u for v in range(5) for u in range(5 - v) if u + v
)  # the AC bands whose frequencies add to at most 4


@dataclass(frozen=True, slots=True)
class _Ranges:
    """Base matrices at the ends of ranges of qi, and how long each range is."""

    sizes: tuple[int, ...]
    matrices: tuple[int, ...]


class TheoraQuantiser:
    """`extradata`: the stream's three headers as FFmpeg keeps them."""

    def __init__(self, extradata: bytes) -> None:
        self._steps: list[list[float]] = []  # by intra and inter, then qi: log2 of the step
        try:
            self._steps = _read_setup(_setup_header(extradata))
        except FAULTS:
            return  # no picture's step is then known

    def quantiser(self, packet: bytes) -> float:
        """Step of luma's low frequencies, in an orthonormal transform, their geometric mean; NaN where the headers cannot be
        followed."""
        try:
            bits = HeaderBits(packet[:8])
            if bits.flag():
                return math.nan  # a header
            steps = self._steps[bits.u(1)]
            found = [steps[bits.u(6)]]
            while len(found) < 3 and bits.flag():
                found.append(steps[bits.u(6)])
            return 2 ** (sum(found) / len(found))
        except FAULTS:
            return math.nan


def _setup_header(extradata: bytes) -> bytes:
    """The third of the headers: two bytes of length before each, or Xiph's lacing."""
    if extradata[:2] == bytes([0, _IDENTIFICATION_BYTES]):
        at = 0
        for _ in range(2):
            at += 2 + int.from_bytes(extradata[at : at + 2], "big")
        header = extradata[at + 2 :]
    else:
        at, sizes = 1, 0
        for _ in range(extradata[0]):
            while extradata[at] == 255:
                sizes, at = sizes + 255, at + 1
            sizes, at = sizes + extradata[at], at + 1
        header = extradata[at + sizes :]
    if not header.startswith(_SETUP):
        raise ValueError("no setup header")
    return header[len(_SETUP) :]


def _read_setup(header: bytes) -> list[list[float]]:
    bits = HeaderBits(header)
    bits.skip(64 * bits.u(3))  # the loop filter's limits
    width = bits.u(4) + 1
    scales = [bits.u(width) for _ in range(64)]
    bits.skip(64 * (bits.u(4) + 1))  # of DC
    count = bits.u(9) + 1
    if count > _MOST_MATRICES:
        raise ValueError("more matrices than are allowed")
    matrices = [[bits.u(8) for _ in range(64)] for _ in range(count)]
    intra, inter = _read_ranges(bits, count)
    return [
        [_step(scales[qi], _matrix(ranges, matrices, qi), least) for qi in range(64)]
        for ranges, least in ((intra, _LEAST[0]), (inter, _LEAST[1]))
    ]


def _read_ranges(bits: HeaderBits, count: int) -> tuple[_Ranges, _Ranges]:
    """Of luma, intra and inter."""
    found: list[_Ranges] = []
    for number in range(4):  # intra: three planes; then inter's luma
        if number == 0 or bits.flag():
            found.append(_read_new_ranges(bits, count))
        else:
            same_plane = number == 3 and bits.flag()
            found.append(found[0] if same_plane else found[-1])
    return found[0], found[3]


def _read_new_ranges(bits: HeaderBits, count: int) -> _Ranges:
    width = (count - 1).bit_length()
    sizes, numbers, at = [], [bits.u(width)], 0
    while at < 63:
        sizes.append(bits.u((62 - at).bit_length()) + 1)
        at += sizes[-1]
        numbers.append(bits.u(width))
    if at > 63 or max(numbers) >= count:
        raise ValueError("ranges that do not fit")
    return _Ranges(tuple(sizes), tuple(numbers))


def _matrix(ranges: _Ranges, matrices: list[list[int]], qi: int) -> list[int]:
    start = 0
    for number, size in enumerate(ranges.sizes):
        if qi <= start + size:
            left, right = (matrices[m] for m in ranges.matrices[number : number + 2])
            far = qi - start
            return [(2 * (size - far) * a + 2 * far * b + size) // (2 * size) for a, b in zip(left, right, strict=True)]
        start += size
    raise ValueError("ranges that end early")


def _step(scale: int, matrix: list[int], least: int) -> float:
    """log2 of the geometric mean of the low bands."""
    steps = [max(least, min(scale * matrix[i] // 100 * 4, _MOST)) / _QUARTERS for i in _LOW]
    return sum(math.log2(step) for step in steps) / len(steps)

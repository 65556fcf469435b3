"""The quantiser of a JPEG picture, from its tables (Rec. ITU-T T.81, B.2): the step of luma's low frequencies. FFmpeg's
decoder does not export it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from mediaml.decode.header_bits import FAULTS

_TABLES, _SCAN, _END = 0xDB, 0xDA, 0xD9
_FRAMES = (0xC0, 0xC1, 0xC2, 0xC9, 0xCA)  # of DCT processes: Huffman's and the arithmetic ones
_ALONE = (0x01, *range(0xD0, 0xD9))  # markers without content
_MOST_SEGMENTS = 1024  # before the first scan; a colour profile takes up to 255
_LOW = slice(1, 15)  # in zigzag order: the AC bands whose frequencies add to at most 4


class JpegQuantiser:
    """Follows a stream's quantisation tables, which later pictures may leave out."""

    def __init__(self, extradata: bytes) -> None:
        del extradata  # tables come in the pictures
        self._tables: dict[int, tuple[int, ...]] = {}

    def quantiser(self, packet: bytes) -> float:
        """Step of luma's low frequencies, their geometric mean, 1..65535; NaN where the headers cannot be followed."""
        luma: int | None = None
        try:
            for marker, content in _segments(packet):
                if marker == _TABLES:
                    self._read_tables(content)
                elif marker in _FRAMES:
                    luma = content[8]  # Tq of the first component
            steps = self._tables[luma if luma is not None else -1][_LOW]
            return math.exp(sum(math.log(step) for step in steps) / len(steps))
        except FAULTS:
            return math.nan

    def _read_tables(self, content: bytes) -> None:
        at = 0
        while at < len(content):
            wide, number = content[at] >> 4, content[at] & 15
            if wide > 1 or number > 3:
                raise ValueError("a table that T.81 does not have")
            size = 64 * (1 + wide)
            raw = content[at + 1 : at + 1 + size]
            table = tuple(int.from_bytes(raw[i : i + 1 + wide], "big") for i in range(0, size, 1 + wide))
            if len(raw) < size or 0 in table:
                raise ValueError("a table that ends early, or a step of 0")
            self._tables[number] = table
            at += 1 + size


def _segments(packet: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, content) up to the first scan."""
    if packet[:2] != b"\xff\xd8":
        raise ValueError("no start of image")
    at = 2
    for _ in range(_MOST_SEGMENTS):
        if packet[at] != 0xFF:
            raise ValueError("no marker")
        marker = packet[at + 1]
        at += 1 if marker == 0xFF else 2  # fill bytes
        if marker in (_SCAN, _END):
            return
        if marker in _ALONE or marker == 0xFF:
            continue
        size = int.from_bytes(packet[at : at + 2], "big")
        if size < 2:
            raise ValueError("a segment without its length")
        yield marker, packet[at + 2 : at + size]
        at += size

"""The quantiser of a VP8 picture, from its frame header (RFC 6386, 9.2 to 9.6, 19.2): y_ac_qi, and where segments have
quantisers of their own their mean, by the shares that the probabilities of the segment map say. FFmpeg's decoder does not
export it.

Which segment each macroblock is of lies between its other modes, and is not read.
"""

from __future__ import annotations

import math

from mediaml.decode.header_bits import FAULTS

_KEY_HEADER_BYTES, _TAG_BYTES = 10, 3
_HEADER_BYTES = 128  # the longest header takes about 60
_LARGEST = 127
_ALL_FIRST = (1.0, 0.0, 0.0, 0.0)


class Vp8Quantiser:
    """Follows what a stream's pictures leave of their segments to later ones."""

    def __init__(self, extradata: bytes) -> None:
        del extradata  # VP8 has none
        self._forget()

    def _forget(self) -> None:
        self._absolute = False
        self._own = (0, 0, 0, 0)  # quantisers of the segments, or what they add to the picture's
        self._shares = _ALL_FIRST

    def quantiser(self, packet: bytes) -> float:
        """0..127, of the picture; NaN where its header cannot be followed."""
        try:
            return self._read(packet)
        except FAULTS:
            self._forget()
            return math.nan

    def _read(self, packet: bytes) -> float:
        if len(packet) < _TAG_BYTES:
            raise EOFError("no frame tag")
        key = not packet[0] & 1
        size = int.from_bytes(packet[:_TAG_BYTES], "little") >> 5
        at = _TAG_BYTES
        if key:
            if packet[3:6] != b"\x9d\x01\x2a":
                raise ValueError("no start code")
            at = _KEY_HEADER_BYTES
            self._forget()
        bits = BooleanDecoder(packet[at : at + min(size, _HEADER_BYTES)])
        if key:
            bits.u(2)  # colour space, clamping
        segmented = bits.flag()
        if segmented:
            self._read_segments(bits)
        bits.u(1 + 6 + 3)  # the loop filter
        if bits.flag() and bits.flag():
            for _ in range(8):
                if bits.flag():
                    bits.u(7)
        bits.u(2)  # partitions
        base = bits.u(7)
        if not segmented:
            return float(base)
        each = (min(max(q if self._absolute else base + q, 0), _LARGEST) for q in self._own)
        return sum(q * share for q, share in zip(each, self._shares, strict=True))

    def _read_segments(self, bits: BooleanDecoder) -> None:
        """update_segmentation; what is not updated stays."""
        new_map = bits.flag()
        if bits.flag():
            self._absolute = bits.flag()
            self._own = (_signed(bits, 7), _signed(bits, 7), _signed(bits, 7), _signed(bits, 7))
            for _ in range(4):
                _signed(bits, 6)
        if new_map:
            first, left, right = ((bits.u(8) if bits.flag() else 255) / 256 for _ in range(3))
            self._shares = first * left, first * (1 - left), (1 - first) * right, (1 - first) * (1 - right)


class BooleanDecoder:
    """RFC 6386, 7.3, for numbers whose bits are as likely 0 as 1. EOFError well past the end of `content`."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._value, self._range, self._shifted, self._at = (
            int.from_bytes(content[:2].ljust(2, b"\0"), "big"),
            255,
            0,
            2,
        )

    def flag(self) -> bool:
        split = 1 + ((self._range - 1) >> 1)
        found = self._value >= split << 8
        self._value -= (split << 8) * found
        self._range = self._range - split if found else split
        while self._range < 128:
            self._value, self._range = self._value << 1, self._range << 1
            self._shifted += 1
            if self._shifted == 8:
                self._next_byte()
        return found

    def u(self, count: int) -> int:
        """`count` bits, unsigned, most significant first."""
        value = 0
        for _ in range(count):
            value = value << 1 | self.flag()
        return value

    def _next_byte(self) -> None:
        if self._at > len(self._content) + 2:
            raise EOFError("the header ends early")
        self._shifted = 0
        self._value |= self._content[self._at] if self._at < len(self._content) else 0  # as decoders do
        self._at += 1


def _signed(bits: BooleanDecoder, count: int) -> int:
    """Optional: 0 where it is absent."""
    if not bits.flag():
        return 0
    size = bits.u(count)
    return -size if bits.flag() else size

"""Bits of a header, most significant first, as the syntax tables of ITU-T and AOMedia read them."""

from __future__ import annotations


class HeaderBits:
    """Reads from the front of `content`. Past its end: EOFError."""

    def __init__(self, content: bytes) -> None:
        self._value = int.from_bytes(content, "big")
        self._left = 8 * len(content)

    def u(self, count: int) -> int:
        """`count` bits, unsigned."""
        if count > self._left:
            raise EOFError("the header ends early")
        self._left -= count
        return (self._value >> self._left) & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.u(1))

    def skip(self, count: int) -> None:
        self.u(count)

    def ue(self) -> int:
        """Exponential Golomb, unsigned (Rec. ITU-T H.265, 9.2); AV1's uvlc."""
        zeros = 0
        while not self.u(1):
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """Exponential Golomb, signed."""
        k = self.ue()
        return (k + 1) // 2 if k % 2 else -(k // 2)

    def ns(self, count: int) -> int:
        """A number below `count` in nearly equally many bits (AV1, 4.10.7)."""
        width = count.bit_length()
        short = (1 << width) - count
        value = self.u(width - 1)
        return value if value < short else (value << 1) - short + self.u(1)


def bits_to_tell(count: int) -> int:
    """Ceil(Log2(count))."""
    return max(count - 1, 0).bit_length()

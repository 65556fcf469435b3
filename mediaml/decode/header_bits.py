"""Bits of a header, most significant first, as the syntax tables of ITU-T and AOMedia read them."""

from __future__ import annotations

FAULTS = (EOFError, ValueError, KeyError, IndexError)  # what following headers of unknown origin may raise
_MOST_ZEROS = 32


class HeaderBits:
    """Reads from the front of `content`. Past its end: EOFError; a number that no header may hold: ValueError."""

    def __init__(self, content: bytes) -> None:
        self._content, self._at, self._end = content, 0, 8 * len(content)

    def u(self, count: int) -> int:
        """`count` bits, unsigned."""
        first = self._at >> 3
        self.skip(count)
        last = (self._at + 7) >> 3
        value = int.from_bytes(self._content[first:last], "big") >> (8 * last - self._at)
        return value & ((1 << count) - 1)

    def flag(self) -> bool:
        return bool(self.u(1))

    def skip(self, count: int) -> None:
        if self._at + count > self._end:
            raise EOFError("the header ends early")
        self._at += count

    def align(self) -> None:
        """To the next whole byte."""
        self.skip(-self._at % 8)

    def ue(self, most: int | None = None) -> int:
        """Exponential Golomb, unsigned (Rec. ITU-T H.265, 9.2); AV1's uvlc. ValueError above `most`, or 32 bits."""
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > _MOST_ZEROS:
                raise ValueError("a number of more than 32 bits")
        value = (1 << zeros) - 1 + self.u(zeros)
        if most is not None and value > most:
            raise ValueError(f"{value} where at most {most} is allowed")
        return value

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

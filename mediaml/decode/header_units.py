"""NAL units of HEVC and VVC: where they begin, and their bits (Rec. ITU-T H.265, 7.3.1, Annex B; the same in H.266)."""

from __future__ import annotations

from collections.abc import Iterator

from mediaml.decode.header_bits import HeaderBits


def sized(packet: bytes, length_bytes: int) -> Iterator[bytes]:
    """Units with their length before each, in so many bytes."""
    at = 0
    while at + length_bytes <= len(packet):
        size = int.from_bytes(packet[at : at + length_bytes], "big")
        at += length_bytes
        yield packet[at : at + size]
        at += size


def annex_b(content: bytes) -> Iterator[bytes]:
    """Units behind start codes."""
    at = content.find(b"\0\0\1")
    while at >= 0:
        following = content.find(b"\0\0\1", at + 3)
        yield content[at + 3 : following if following >= 0 else len(content)]
        at = following


def plain(unit: bytes, count: int) -> bytes:
    """The first bytes of a NAL unit behind its header, without emulation prevention."""
    return unit[2 : 2 + count].replace(b"\0\0\3", b"\0\0")


def skip_ue(bits: HeaderBits, count: int) -> None:
    """So many numbers in exponential Golomb code, signed or not."""
    for _ in range(count):
        bits.ue()

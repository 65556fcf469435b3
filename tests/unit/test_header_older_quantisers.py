"""Quantisers read from headers of VP8, Theora and JPEG, against FFmpeg's parser, Pillow's tables and headers written here."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from mediaml.decode.coded import QuantiserReader, quantiser_reader

ALL = ("vp8", "theora", "mjpeg", "vvc", "hevc", "av1")
LOW = [(v, u) for v in range(5) for u in range(5 - v) if u + v]  # frequencies that add to 1..4


def _reader(codec: str, extradata: bytes = b"") -> QuantiserReader:
    found = quantiser_reader(codec, extradata)
    assert found is not None
    return found


class _BooleanEncoder:
    """RFC 6386, 7.3, for even odds."""

    def __init__(self) -> None:
        self.bottom, self.range, self.left, self.out = 0, 255, 24, bytearray()

    def write(self, *fields: tuple[int, int]) -> _BooleanEncoder:
        """(value, bits)"""
        for value, count in fields:
            for i in reversed(range(count)):
                self._bit(value >> i & 1)
        return self

    def _bit(self, bit: int) -> None:
        split = 1 + ((self.range - 1) >> 1)
        self.bottom += split * bit
        self.range = self.range - split if bit else split
        while self.range < 128:
            self.range <<= 1
            if self.bottom & 1 << 31:
                self._carry()
            self.bottom = self.bottom << 1 & 0xFFFFFFFF
            self.left -= 1
            if not self.left:
                self.out.append(self.bottom >> 24)
                self.bottom &= (1 << 24) - 1
                self.left = 8

    def _carry(self) -> None:
        at = len(self.out) - 1
        while self.out[at] == 255:
            self.out[at] = 0
            at -= 1
        self.out[at] += 1

    def bytes(self) -> bytes:
        self.write((0, 32))
        return bytes(self.out)


def _vp8(*fields: tuple[int, int], key: bool = True) -> bytes:
    part = _BooleanEncoder().write(*fields).bytes()
    tag = (len(part) << 5 | 1 << 4 | (not key)).to_bytes(3, "little")
    return tag + b"\x9d\x01\x2a\x40\x00\x30\x00" * key + part


FILTER = ((0, 1), (20, 6), (3, 3), (0, 1), (2, 2))  # type, level, sharpness, no adjustments, partitions


@pytest.mark.parametrize("base", [0, 1, 63, 90, 127])
def test_vp8_without_segments(base: int) -> None:
    assert _reader("vp8").quantiser(_vp8((0, 2), (0, 1), *FILTER, (base, 7))) == base
    adjusted = ((0, 1), (63, 6), (7, 3), (1, 1), (1, 1), (1, 1), (127, 7), (0, 3), *((1, 1), (5, 7)) * 4, (0, 2))
    assert _reader("vp8").quantiser(_vp8((0, 2), (0, 1), *adjusted, (base, 7))) == base


def test_vp8_segments_count_by_the_probabilities_of_their_map_and_stay() -> None:
    some = ((1, 1), (10, 7), (0, 1)), ((1, 1), (8, 7), (1, 1)), ((0, 1),), ((1, 1), (127, 7), (0, 1))  # 10, -8, 0, 127
    filters = ((0, 1),) * 4
    update = ((1, 1), (1, 1), (1, 1), (0, 1), *(f for s in some for f in s), *filters)  # differences
    tree = ((1, 1), (128, 8), (1, 1), (64, 8), (0, 1))  # 1/2, 1/4, 255/256
    reader = _reader("vp8")
    expected = [0.5 * 0.25 * 60 + 0.5 * 0.75 * 42 + 0.5 * 255 / 256 * 50 + 0.5 / 256 * 127]
    found = [reader.quantiser(_vp8((0, 2), *update, *tree, *FILTER, (50, 7)))]
    kept = ((1, 1), (0, 1), (0, 1))  # segments as before
    found.append(reader.quantiser(_vp8(*kept, *FILTER, (50, 7), key=False)))
    expected.append(expected[0])
    absolute = ((1, 1), (0, 1), (1, 1), (1, 1), *((1, 1), (30, 7), (0, 1)) * 4, *filters)
    found.append(reader.quantiser(_vp8(*absolute, *FILTER, (50, 7), key=False)))
    expected.append(30)
    found.append(reader.quantiser(_vp8((0, 1), *FILTER, (50, 7), key=False)))
    expected.append(50)
    found.append(reader.quantiser(_vp8((0, 2), *kept, *FILTER, (50, 7))))  # a key picture begins again
    expected.append(50)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("quality", [10, 50, 75, 92, 100])
def test_jpeg_against_pillow(quality: int) -> None:
    picture, out = Image.fromarray(np.zeros((16, 16, 3), np.uint8)), io.BytesIO()
    picture.save(out, "JPEG", quality=quality)
    table = np.array(Image.open(io.BytesIO(out.getvalue())).quantization[0]).reshape(8, 8)  # type: ignore[attr-defined]
    expected = math.exp(np.mean([math.log(table[at]) for at in LOW]))
    assert _reader("mjpeg").quantiser(out.getvalue()) == pytest.approx(expected)


def _jpeg(*segments: tuple[int, bytes]) -> bytes:
    parts = [bytes([255, kind]) + (len(content) + 2).to_bytes(2, "big") + content for kind, content in segments]
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00"


def test_jpeg_tables_of_16_bits_stay_and_belong_to_a_component() -> None:
    sof = (0xC1, bytes([8, 0, 16, 0, 16, 1, 1, 0x11, 2]))
    table = (0xDB, b"\x12" + b"".join(n.to_bytes(2, "big") for n in [9999, *[300] * 14, *[7] * 49]))
    other = (0xDB, bytes([1, *[50] * 64]))
    reader = _reader("mjpeg")
    assert reader.quantiser(_jpeg(other, table, sof)) == pytest.approx(300)
    assert reader.quantiser(_jpeg(sof)) == pytest.approx(300)
    for bad in (
        _jpeg((0xC0, sof[1][:5])),
        _jpeg(),
        b"\xff\xd8" * 9,
        b"\xff\xd8" + b"\xff" * 9,
        b"\xff\xd8\xff\xdb\x00\x01",
    ):
        assert math.isnan(reader.quantiser(bad))
    for content in (bytes([0x33, *[5] * 64]), bytes([0, *[5] * 40]), bytes([0, *[0] * 64])):
        assert math.isnan(_reader("mjpeg").quantiser(_jpeg((0xDB, content), sof)))


def _bits(*fields: tuple[int, int]) -> bytes:
    text = "".join(f"{value:0{count}b}" if count else "" for value, count in fields)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _theora(scales: list[int], matrices: list[int], ranges: tuple[tuple[int, int], ...], lacing: bool = False) -> bytes:
    """Headers whose matrices are flat; `ranges`: of intra's luma, all others are copies."""
    limits, dc = ((3, 3), *((5, 3),) * 64), ((0, 4), *((1, 1),) * 64)
    bases = ((len(matrices) - 1, 9), *((m, 8) for m in matrices for _ in range(64)))
    copies = ((0, 1), (0, 1), (0, 1), (1, 1), *((0, 1), (0, 1)) * 2)
    told = (*limits, (15, 4), *((s, 16) for s in scales), *dc, *bases, *ranges, *copies)
    headers = b"\x80theora".ljust(42, b"\1"), b"\x81theora" + bytes(300), b"\x82theora" + _bits(*told)
    if lacing:
        return b"\x02\x2a\xff\x34" + b"".join(headers)
    return b"".join(len(h).to_bytes(2, "big") + h for h in headers)


def _shown(kind: int, *each: int) -> bytes:
    more = [f for q in each[1:] for f in ((1, 1), (q, 6))]
    return _bits((0, 1), (kind, 1), (each[0], 6), *more, (0, 1), (0, 3))


@pytest.mark.parametrize("lacing", [False, True])
def test_theora_by_hand(lacing: bool) -> None:
    scales = [200] * 21 + [100] * 42 + [1]
    ranges = ((0, 1), (20, 6), (1, 1), (41, 6), (1, 1))  # matrix 0 at qi 0, 1 at qi 21, 1 at qi 63
    reader = _reader("theora", _theora(scales, [10, 52], ranges, lacing))
    found = [reader.quantiser(_shown(*at)) for at in ((0, 0), (1, 10), (0, 21), (1, 40), (0, 40, 0), (0, 63), (1, 63))]
    assert found == pytest.approx([20, 60, 52, 52, math.sqrt(52 * 20), 2, 4])  # 60: 200 * (10 + 42 * 10 / 21) / 100
    assert math.isnan(reader.quantiser(b"\x82theora")) and math.isnan(reader.quantiser(b""))


def test_theora_headers_outside_the_specification_are_not_known() -> None:
    good = _theora([100] * 64, [10, 50], ((0, 1), (62, 6), (1, 1)))
    assert _reader("theora", good).quantiser(_shown(0, 0)) == pytest.approx(10)
    too_long = _theora([100] * 64, [10, 50], ((0, 1), (60, 6), (1, 1), (3, 2), (1, 1)))
    for bad in (
        good[:-60],
        good[:44],
        too_long,
        good.replace(b"\x82theora", b"\x83theora"),
        b"\x02\xff\xff",
        b"\x02\x2a\x01",
    ):
        assert math.isnan(_reader("theora", bad).quantiser(_shown(0, 0)))


@pytest.mark.parametrize("codec", ALL)
def test_noise_is_followed_without_failing_or_lingering(codec: str) -> None:
    rng = np.random.default_rng(0)
    heads = {"vp8": b"\xf0\xff\xff\x9d\x01\x2a", "mjpeg": b"\xff\xd8", "vvc": b"\0\0\1\0\x79", "hevc": b"\0\0\1\x42\1"}
    for length in (0, 1, 3, 9, 40, 4000):
        for _ in range(30):
            noise = rng.integers(0, 256, length, np.uint8).tobytes()
            reader = _reader(codec, noise)
            for packet in (noise, heads.get(codec, b"") + noise):
                found = reader.quantiser(packet)
                assert math.isnan(found) or -48 <= found <= 65535
    many = b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000
    assert math.isnan(_reader("mjpeg").quantiser(many)) and math.isnan(_reader("theora", many).quantiser(many))

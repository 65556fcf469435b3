"""The quantiser of an AV1 picture, from the headers alone: base_q_idx of the frame that a temporal unit shows (AV1 Bitstream
& Decoding Process Specification, 5.5, 5.9). FFmpeg's decoders do not export it.

Deltas of segments and of blocks are not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mediaml.decode.header_bits import FAULTS, HeaderBits

_SEQUENCE, _FRAME_HEADER, _FRAME = 1, 3, 6
_KEY, _INTRA_ONLY, _SWITCH = 0, 2, 3
_SELECT = 2
_HEADER_BYTES = 512


@dataclass(slots=True)
class _Sequence:
    reduced: bool = False
    equal_interval: bool = False
    removal_bits: int = 0  # of buffer_removal_time; 0: no decoder model
    presentation_bits: int = 0
    points: tuple[tuple[int, bool], ...] = ((0, False),)  # operating points: idc, whether it has a decoder model
    size_bits: tuple[int, int] = (0, 0)
    size: tuple[int, int] = (0, 0)  # (width, height)
    id_bits: int = 0  # of frame ids; 0: there are none
    delta_id_bits: int = 0
    large_blocks: bool = False
    ref_frame_mvs: bool = False
    screen_tools: int = _SELECT
    integer_mv: int = _SELECT
    order_bits: int = 0
    superres: bool = False


@dataclass(frozen=True, slots=True)
class _Picture:
    quantiser: int
    kind: int
    size: tuple[int, int]  # (upscaled width, height)


class Av1Quantiser:
    """Follows a stream's sequence header and reference slots. `extradata` is its av1C box or empty."""

    def __init__(self, extradata: bytes) -> None:
        self._sequence: _Sequence | None = None
        self._slots: list[_Picture | None] = [None] * 8
        if extradata[:1] == b"\x81":
            self.quantiser(extradata[4:])

    def quantiser(self, packet: bytes) -> float:
        """base_q_idx, 0..255, of the last picture shown by the packet, a temporal unit; NaN where its headers cannot be
        followed."""
        shown = math.nan
        try:
            for kind, layers, content in _units(packet):
                if kind == _SEQUENCE:
                    self._sequence = _read_sequence(HeaderBits(content[:_HEADER_BYTES]))
                elif kind in (_FRAME_HEADER, _FRAME) and self._sequence is not None:
                    found = self._frame(HeaderBits(content[:_HEADER_BYTES]), self._sequence, layers)
                    shown = shown if found is None else float(found)
        except FAULTS:
            self._slots = [None] * 8  # what they hold now is not known
            return math.nan
        return shown

    def _frame(self, bits: HeaderBits, sequence: _Sequence, layers: tuple[int, int]) -> float | None:
        """uncompressed_header, up to base_q_idx, which is given where the picture is shown."""
        kind, show, robust = _KEY, True, True
        if not sequence.reduced:
            if bits.flag():
                return self._existing(bits.u(3))
            kind, show = bits.u(2), bits.flag()
            if show and sequence.removal_bits and not sequence.equal_interval:
                bits.skip(sequence.presentation_bits)
            if not show:
                bits.skip(1)  # showable_frame
            robust = kind == _SWITCH or (kind == _KEY and show) or bits.flag()
        header = _Header(bits, sequence, kind, show, robust)
        refresh = header.read_references(layers)
        picture = header.read_picture(self._slots)
        for slot in range(8):
            if refresh >> slot & 1:
                self._slots[slot] = picture
        return picture.quantiser if show else None

    def _existing(self, slot: int) -> float:
        picture = self._slots[slot]
        if picture is None:
            return math.nan
        if picture.kind == _KEY:
            self._slots = [picture] * 8
        return picture.quantiser


class _Header:
    """The rest of a frame header, in the order of the specification."""

    def __init__(self, bits: HeaderBits, sequence: _Sequence, kind: int, show: bool, robust: bool) -> None:
        self.bits, self.sequence, self.kind, self.robust = bits, sequence, kind, robust
        self.intra = kind in (_KEY, _INTRA_ONLY)
        self.first = kind == _SWITCH or (kind == _KEY and show)
        self.no_cdf_update = bits.flag()
        self.screen = bits.flag() if sequence.screen_tools == _SELECT else bool(sequence.screen_tools)
        self.integer_mv = False
        if self.screen:
            self.integer_mv = bits.flag() if sequence.integer_mv == _SELECT else bool(sequence.integer_mv)
        bits.skip(sequence.id_bits)
        self.own_size = kind == _SWITCH or (not sequence.reduced and bits.flag())

    def read_references(self, layers: tuple[int, int]) -> int:
        """order_hint to ref_order_hint: gives refresh_frame_flags."""
        bits, sequence = self.bits, self.sequence
        bits.skip(sequence.order_bits)
        if not (self.intra or self.robust):
            bits.skip(3)  # primary_ref_frame
        if sequence.removal_bits and bits.flag():
            temporal, spatial = layers
            for idc, modelled in sequence.points:
                if modelled and (idc == 0 or (idc >> temporal & 1 and idc >> (spatial + 8) & 1)):
                    bits.skip(sequence.removal_bits)
        refresh = 0xFF if self.first else bits.u(8)
        if (not self.intra or refresh != 0xFF) and self.robust:
            bits.skip(8 * sequence.order_bits)
        return refresh

    def read_picture(self, slots: list[_Picture | None]) -> _Picture:
        bits, sequence = self.bits, self.sequence
        if self.intra:
            size, width = self._size()
            self._render_size()
            if self.screen and width == size[0]:
                bits.skip(1)
        else:
            size, width = self._inter(slots)
        if not (sequence.reduced or self.no_cdf_update):
            bits.skip(1)
        _skip_tiles(bits, sequence.large_blocks, width, size[1])
        return _Picture(bits.u(8), self.kind, size)

    def _inter(self, slots: list[_Picture | None]) -> tuple[tuple[int, int], int]:
        bits, sequence = self.bits, self.sequence
        short = sequence.order_bits > 0 and bits.flag()
        bits.skip(6 * short)
        refs = []
        for _ in range(7):
            refs.append(-1 if short else bits.u(3))
            bits.skip(sequence.delta_id_bits)
        if self.own_size and not self.robust:
            size, width = self._size_of_reference(slots, refs)
        else:
            size, width = self._size()
            self._render_size()
        if not self.integer_mv:
            bits.skip(1)
        if not bits.flag():  # is_filter_switchable
            bits.skip(2)
        bits.skip(1 + (not self.robust and sequence.ref_frame_mvs))
        return size, width

    def _size(self) -> tuple[tuple[int, int], int]:
        """(upscaled width, height) and the coded width."""
        size = self.sequence.size
        if self.own_size:
            across, down = self.sequence.size_bits
            size = self.bits.u(across) + 1, self.bits.u(down) + 1
        return size, self._coded_width(size[0])

    def _coded_width(self, width: int) -> int:
        if self.sequence.superres and self.bits.flag():
            denominator = self.bits.u(3) + 9
            return (width * 8 + denominator // 2) // denominator
        return width

    def _render_size(self) -> None:
        if self.bits.flag():
            self.bits.skip(32)

    def _size_of_reference(self, slots: list[_Picture | None], refs: list[int]) -> tuple[tuple[int, int], int]:
        for ref in refs:
            if self.bits.flag():
                picture = slots[ref] if ref >= 0 else None
                if picture is None:
                    raise KeyError("a reference whose size is not known")
                return picture.size, self._coded_width(picture.size[0])
        found = self._size()
        self._render_size()
        return found


def _read_sequence(bits: HeaderBits) -> _Sequence:
    """sequence_header_obu, up to enable_superres."""
    found = _Sequence()
    bits.skip(4)
    found.reduced = bits.flag()
    if found.reduced:
        bits.skip(5)
    else:
        _read_operating_points(bits, found)
    found.size_bits = bits.u(4) + 1, bits.u(4) + 1
    across, down = found.size_bits
    found.size = bits.u(across) + 1, bits.u(down) + 1
    if not found.reduced and bits.flag():
        found.delta_id_bits = bits.u(4) + 2
        found.id_bits = found.delta_id_bits + bits.u(3) + 1
    found.large_blocks = bits.flag()
    bits.skip(2)
    if not found.reduced:
        bits.skip(4)
        ordered = bits.flag()
        if ordered:
            bits.skip(1)
            found.ref_frame_mvs = bits.flag()
        found.screen_tools = _SELECT if bits.flag() else bits.u(1)
        if found.screen_tools:
            found.integer_mv = _SELECT if bits.flag() else bits.u(1)
        found.order_bits = bits.u(3) + 1 if ordered else 0
    found.superres = bits.flag()
    return found


def _read_operating_points(bits: HeaderBits, found: _Sequence) -> None:
    delay_bits = 0
    if bits.flag():
        bits.skip(64)
        found.equal_interval = bits.flag()
        if found.equal_interval:
            bits.ue()
        if bits.flag():
            delay_bits = bits.u(5) + 1
            bits.skip(32)
            found.removal_bits, found.presentation_bits = bits.u(5) + 1, bits.u(5) + 1
    display_delays = bits.flag()
    points = []
    for _ in range(bits.u(5) + 1):
        idc = bits.u(12)
        if bits.u(5) > 7:
            bits.skip(1)
        modelled = delay_bits > 0 and bits.flag()
        bits.skip((2 * delay_bits + 1) * modelled)
        if display_delays and bits.flag():
            bits.skip(4)
        points.append((idc, modelled))
    found.points = tuple(points)


def _skip_tiles(bits: HeaderBits, large_blocks: bool, width: int, height: int) -> None:
    """tile_info (5.9.15)."""
    log2 = 7 if large_blocks else 6
    across, down = ((size + 7) // 8 * 8 + (1 << log2) - 1 >> log2 for size in (width, height))
    widest, area = 4096 >> log2, 4096 * 2304 >> 2 * log2
    least = _tile_log2(widest, across)
    least_tiles = max(least, _tile_log2(area, across * down))
    if bits.flag():
        columns = _increments(bits, least, _tile_log2(1, min(across, 64)))
        rows = _increments(bits, max(least_tiles - columns, 0), _tile_log2(1, min(down, 64)))
    else:
        sizes = _explicit(bits, across, widest)
        columns = _tile_log2(1, len(sizes))
        area = across * down >> (least_tiles + 1 if least_tiles else 0)
        rows = _tile_log2(1, len(_explicit(bits, down, max(area // max(sizes), 1))))
    if columns or rows:
        bits.skip(columns + rows + 2)


def _tile_log2(unit: int, wanted: int) -> int:
    found = 0
    while unit << found < wanted:
        found += 1
    return found


def _increments(bits: HeaderBits, least: int, most: int) -> int:
    found = least
    while found < most and bits.flag():
        found += 1
    return found


def _explicit(bits: HeaderBits, size: int, most: int) -> list[int]:
    found: list[int] = []
    while sum(found) < size:
        found.append(bits.ns(min(size - sum(found), most)) + 1)
    return found


def _units(packet: bytes) -> Iterator[tuple[int, tuple[int, int], bytes]]:
    """OBUs: type, (temporal, spatial) layer, content."""
    at = 0
    while at < len(packet):
        head = packet[at]
        at += 1
        layers = (0, 0)
        if head & 4:
            layers = packet[at] >> 5, packet[at] >> 3 & 3
            at += 1
        size = len(packet) - at
        if head & 2:
            size, at = _leb128(packet, at)
        yield head >> 3 & 15, layers, packet[at : at + size]
        at += size


def _leb128(packet: bytes, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = 0
    for i in range(8):
        byte = packet[at + i]
        value |= (byte & 127) << 7 * i
        if byte < 128:
            return value, at + i + 1
    raise EOFError("a size without end")

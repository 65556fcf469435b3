"""The quantiser of a HEVC picture, from the headers alone: 26 + init_qp_minus26 of its picture parameter set +
slice_qp_delta of its first slice (Rec. ITU-T H.265, 7.3.2.2, 7.3.2.3, 7.3.6). FFmpeg's decoder does not export it.

What blocks add to it (cu_qp_delta_abs) lies behind the arithmetic decoder and is not read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from mediaml.decode.header_bits import FAULTS, HeaderBits, bits_to_tell
from mediaml.decode.header_units import annex_b, plain, sized, skip_ue

_SPS, _PPS, _VCL, _IRAP, _IDR = 33, 34, range(32), range(16, 24), (19, 20)
_HEADER_BYTES = 1024  # no slice header seen is longer than a tenth of it
_SET_BYTES = 16384  # all scaling lists and reference sets take less than half of it
_B, _P, _I = 0, 1, 2
_QP = range(-48, 52)  # of 16-bit video to 8-bit
_MOST_SPS, _MOST_PPS = (
    15,
    63,
)  # their numbers; the limits that follow are the standard's too (7.4.3.2, 7.4.3.3, 7.4.7.1, 7.4.8)
_MOST_REFS, _MOST_REF_SETS, _MOST_LONG_TERM = 16, 64, 32
_SCREEN_PROFILES = (9, 11)  # screen content: the picture may refer to itself, which is not followed


@dataclass(frozen=True, slots=True)
class _RefSet:
    """A short-term reference picture set: differences of picture order, and whether the picture itself refers to each."""

    before: tuple[tuple[int, bool], ...]
    after: tuple[tuple[int, bool], ...]

    @property
    def used(self) -> int:
        return sum(use for _, use in self.before + self.after)


@dataclass(frozen=True, slots=True)
class _Sps:
    chroma: bool  # ChromaArrayType is not 0
    separate_planes: bool
    order_bits: int
    ref_sets: tuple[_RefSet, ...]
    long_term: tuple[bool, ...] | None  # of each listed one, whether it is used; None: no long-term references
    sao: bool
    temporal_mvp: bool


@dataclass(frozen=True, slots=True)
class _Pps:
    sps: int
    output_flag: bool
    extra_bits: int
    cabac_init: bool
    refs: tuple[int, int]
    qp: int
    weighted: tuple[bool, bool]  # of B, of P pictures
    lists_modified: bool


class HevcQuantiser:
    """Follows a stream's parameter sets. `extradata` is its hvcC box or Annex B bytes."""

    def __init__(self, extradata: bytes) -> None:
        self._sps: dict[int, _Sps] = {}
        self._pps: dict[int, _Pps] = {}
        self._length_bytes = 0  # Annex B
        if extradata[:1] == b"\x01" and len(extradata) > 22:
            self._length_bytes = (extradata[21] & 3) + 1
            for unit in _boxed(extradata):
                self._parameters(unit)
        else:
            for unit in annex_b(extradata):
                self._parameters(unit)

    def quantiser(self, packet: bytes) -> float:
        """QP of the packet's picture, -QpBdOffset to 51; NaN where its headers cannot be followed."""
        units = sized(packet, self._length_bytes) if self._length_bytes else annex_b(packet)
        try:
            for unit in units:
                if len(unit) < 3 or unit[0] & 1 or unit[1] >> 3:  # layer 0 alone
                    continue
                if unit[0] >> 1 in _VCL:
                    return self._slice(unit)
                self._parameters(unit)
        except FAULTS:
            pass
        return math.nan

    def _parameters(self, unit: bytes) -> None:
        kind = unit[0] >> 1 if unit else -1
        try:
            if kind == _SPS:
                number, sps = _read_sps(HeaderBits(plain(unit, _SET_BYTES)))
                self._sps[number] = sps
            elif kind == _PPS:
                number, pps = _read_pps(HeaderBits(plain(unit, _SET_BYTES)))
                self._pps[number] = pps
        except FAULTS:
            return  # a later picture that refers to it is then not known

    def _slice(self, unit: bytes) -> float:
        kind, bits = unit[0] >> 1, HeaderBits(plain(unit, _HEADER_BYTES))
        if not bits.flag():  # first_slice_segment_in_pic_flag
            return math.nan
        if kind in _IRAP:
            bits.skip(1)
        pps = self._pps[bits.ue(_MOST_PPS)]
        sps = self._sps[pps.sps]
        bits.skip(pps.extra_bits)
        slice_type = bits.ue(_I)
        bits.skip(pps.output_flag + 2 * sps.separate_planes)
        used, temporal_mvp = 0, False
        if kind not in _IDR:
            used, temporal_mvp = _slice_references(bits, sps)
        if sps.sao:
            bits.skip(1 + sps.chroma)
        if slice_type in (_B, _P):
            _skip_prediction(bits, sps, pps, slice_type == _B, used, temporal_mvp)
        qp = pps.qp + bits.se()
        return float(qp) if qp in _QP else math.nan


def _slice_references(bits: HeaderBits, sps: _Sps) -> tuple[int, bool]:
    """(NumPicTotalCurr, slice_temporal_mvp_enabled_flag)."""
    bits.skip(sps.order_bits)
    count = len(sps.ref_sets)
    if not bits.flag():
        used = _ref_set(bits, count, sps.ref_sets, in_slice=True).used
    else:
        used = sps.ref_sets[bits.u(bits_to_tell(count))].used
    if sps.long_term is not None:
        listed = bits.ue(_MOST_LONG_TERM) if sps.long_term else 0
        for number in range(listed + bits.ue(_MOST_LONG_TERM)):
            if number < listed:
                used += sps.long_term[bits.u(bits_to_tell(len(sps.long_term)))]
            else:
                bits.skip(sps.order_bits)
                used += bits.u(1)
            if bits.flag():
                bits.ue()
    return used, sps.temporal_mvp and bits.flag()


def _skip_prediction(bits: HeaderBits, sps: _Sps, pps: _Pps, both: bool, used: int, temporal_mvp: bool) -> None:
    """Of P and B slices, up to slice_qp_delta."""
    refs = list(pps.refs)
    if bits.flag():
        refs[0] = bits.ue(_MOST_REFS - 1) + 1
        if both:
            refs[1] = bits.ue(_MOST_REFS - 1) + 1
    lists = refs if both else refs[:1]
    if pps.lists_modified and used > 1:
        for count in lists:
            if bits.flag():
                bits.skip(count * bits_to_tell(used))
    bits.skip(both + pps.cabac_init)  # mvd_l1_zero_flag, cabac_init_flag
    if temporal_mvp:
        first = bits.flag() if both else True
        if refs[0 if first else 1] > 1:
            bits.ue()
    if pps.weighted[0 if both else 1]:
        _skip_weights(bits, sps.chroma, lists)
    bits.ue()  # five_minus_max_num_merge_cand


def _skip_weights(bits: HeaderBits, chroma: bool, lists: list[int]) -> None:
    """pred_weight_table."""
    bits.ue()
    if chroma:
        bits.se()
    for count in lists:
        luma = [bits.flag() for _ in range(count)]
        coloured = [bits.flag() for _ in range(count)] if chroma else [False] * count
        for numbers in (2 * a + 4 * b for a, b in zip(luma, coloured, strict=True)):
            for _ in range(numbers):
                bits.se()


def _read_sps(bits: HeaderBits) -> tuple[int, _Sps]:
    bits.skip(4)
    layers = bits.u(3)
    bits.skip(1 + 3)  # nesting; the profile's space and tier
    if bits.u(5) in _SCREEN_PROFILES:
        raise ValueError("screen content")
    bits.skip(88)  # the rest of the general profile, and the level
    present = [(bits.flag(), bits.flag()) for _ in range(8 if layers else 0)][:layers]
    for profile, level in present:
        bits.skip(88 * profile + 8 * level)
    number, chroma_format = bits.ue(_MOST_SPS), bits.ue(3)
    separate = chroma_format == 3 and bits.flag()
    skip_ue(bits, 2)
    if bits.flag():
        skip_ue(bits, 4)
    skip_ue(bits, 2)
    order_bits = bits.ue(12) + 4
    skip_ue(bits, 3 * (layers + 1 if bits.flag() else 1))
    skip_ue(bits, 6)
    if bits.flag() and bits.flag():
        _skip_scaling_lists(bits)
    bits.skip(1)
    sao = bits.flag()
    if bits.flag():  # pcm
        bits.skip(8)
        skip_ue(bits, 2)
        bits.skip(1)
    ref_sets: list[_RefSet] = []
    count = bits.ue(_MOST_REF_SETS)
    for _ in range(count):
        ref_sets.append(_ref_set(bits, len(ref_sets), ref_sets))
    long_term = None
    if bits.flag():
        long_term = tuple(bool(bits.u(order_bits + 1) & 1) for _ in range(bits.ue(_MOST_LONG_TERM)))
    chroma = chroma_format != 0 and not separate
    return number, _Sps(chroma, separate, order_bits, tuple(ref_sets), long_term, sao, bits.flag())


def _read_pps(bits: HeaderBits) -> tuple[int, _Pps]:
    number, sps = bits.ue(_MOST_PPS), bits.ue(_MOST_SPS)
    bits.skip(1)
    output_flag, extra_bits = bits.flag(), bits.u(3)
    bits.skip(1)
    cabac_init = bits.flag()
    refs = bits.ue(_MOST_REFS - 1) + 1, bits.ue(_MOST_REFS - 1) + 1
    qp = 26 + bits.se()
    bits.skip(2)
    if bits.flag():
        bits.ue()
    skip_ue(bits, 2)
    bits.skip(1)
    weighted_p, weighted_b = bits.flag(), bits.flag()
    bits.skip(1)
    tiles = bits.flag()
    bits.skip(1)
    if tiles:
        borders = bits.ue() + bits.ue()
        if not bits.flag():
            skip_ue(bits, borders)
        bits.skip(1)
    bits.skip(1)
    if bits.flag():
        bits.skip(1)
        if not bits.flag():
            skip_ue(bits, 2)
    if bits.flag():
        _skip_scaling_lists(bits)
    return number, _Pps(sps, output_flag, extra_bits, cabac_init, refs, qp, (weighted_b, weighted_p), bits.flag())


def _ref_set(
    bits: HeaderBits, index: int, known: list[_RefSet] | tuple[_RefSet, ...], in_slice: bool = False
) -> _RefSet:
    """st_ref_pic_set(index); in a slice header `index` is the number of those in the parameter set (7.4.8)."""
    if index and bits.flag():
        back = bits.ue(index - 1) + 1 if in_slice else 1
        sign, size = bits.u(1), bits.ue() + 1
        return _predicted(bits, known[index - back], -size if sign else size)
    counts = bits.ue(_MOST_REFS), bits.ue(_MOST_REFS)
    found = []
    for count, sign in zip(counts, (-1, 1), strict=True):
        at, side = 0, []
        for _ in range(count):
            at += sign * (bits.ue() + 1)
            side.append((at, bits.flag()))
        found.append(tuple(side))
    return _RefSet(*found)


def _predicted(bits: HeaderBits, ref: _RefSet, delta: int) -> _RefSet:
    """Equations 7-61 and 7-62."""
    moved = []
    for at, _ in (*ref.before, *ref.after, (0, False)):
        used = bits.flag()
        kept = used or bits.flag()
        moved.append((at + delta, used, kept))
    before = [(at, used) for at, used, kept in moved if kept and at < 0]
    after = [(at, used) for at, used, kept in moved if kept and at > 0]
    return _RefSet(tuple(sorted(before, reverse=True)), tuple(sorted(after)))


def _skip_scaling_lists(bits: HeaderBits) -> None:
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.ue()
            else:
                for _ in range((size > 1) + min(64, 1 << (4 + 2 * size))):
                    bits.se()


def _boxed(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets of an hvcC box (ISO/IEC 14496-15, 8.3.3.1)."""
    at = 23
    for _ in range(extradata[22]):
        count = int.from_bytes(extradata[at + 1 : at + 3], "big")
        at += 3
        for _ in range(count):
            size = int.from_bytes(extradata[at : at + 2], "big")
            yield extradata[at + 2 : at + 2 + size]
            at += 2 + size

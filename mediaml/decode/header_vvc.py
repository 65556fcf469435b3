"""The quantiser of a VVC picture, from the headers alone: 26 + pps_init_qp_minus26 + sh_qp_delta of its first slice (Rec.
ITU-T H.266, 7.3.2.4 to 7.3.2.8, 7.3.7). FFmpeg's decoder does not export it.

Pictures of one tile and one slice are followed, as encoders make them by default; those that are parted, subpictures and
several layers are not. What blocks add (cu_qp_delta_abs) lies behind the arithmetic decoder and is not read.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from mediaml.decode.header_bits import FAULTS, HeaderBits, bits_to_tell
from mediaml.decode.header_units import annex_b, plain, sized, skip_ue
from mediaml.decode.header_vvc_sets import Pps, Sps, read_entries, read_pps, read_sps

_VCL, _SPS, _PPS, _PH = range(12), 15, 16, 19
_IDR, _IRAP_OR_GDR = (7, 8), range(7, 11)
_HEADER_BYTES, _SET_BYTES = 1024, 8192
_B, _P, _I = 0, 1, 2
_QP = range(-48, 64)


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture header: what slice headers need of it."""

    pps: int
    inter: bool
    lmcs: bool
    scaling_list: bool
    temporal_mvp: bool


class VvcQuantiser:
    """Follows a stream's parameter sets. `extradata` is its vvcC box or Annex B bytes."""

    def __init__(self, extradata: bytes) -> None:
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}
        self._picture: _Picture | None = None
        boxed = len(extradata) > 1 and extradata[0] >> 3 == 31
        self._length_bytes = (extradata[0] >> 1 & 3) + 1 if boxed else 0
        for unit in _boxed(extradata) if boxed else annex_b(extradata):
            self._parameters(unit)

    def quantiser(self, packet: bytes) -> float:
        """QP of the packet's picture, -QpBdOffset to 63; NaN where its headers cannot be followed."""
        units = sized(packet, self._length_bytes) if self._length_bytes else annex_b(packet)
        try:
            for unit in units:
                if len(unit) < 3 or unit[0] & 63:  # layer 0 alone
                    continue
                kind = unit[1] >> 3
                if kind in _VCL:
                    return self._slice(kind, HeaderBits(plain(unit, _HEADER_BYTES)))
                if kind == _PH:
                    self._picture = self._read_picture(HeaderBits(plain(unit, _HEADER_BYTES)))
                else:
                    self._parameters(unit)
        except FAULTS:
            self._picture = None
        return math.nan

    def _parameters(self, unit: bytes) -> None:
        kind = unit[1] >> 3 if len(unit) > 1 else -1
        try:
            if kind == _SPS:
                number, sps = read_sps(HeaderBits(plain(unit, _SET_BYTES)))
                self._sps[number] = sps
            elif kind == _PPS:
                number, pps = read_pps(HeaderBits(plain(unit, _SET_BYTES)))
                self._pps[number] = pps
        except FAULTS:
            return  # a later picture that refers to it is then not known

    def _slice(self, kind: int, bits: HeaderBits) -> float:
        inside = bits.flag()
        picture = self._read_picture(bits) if inside else self._picture
        if picture is None:
            raise KeyError("no picture header")
        pps = self._pps[picture.pps]
        sps = self._sps[pps.sps]
        bits.skip(sps.extra_slice_bits)
        slice_type = bits.ue(_I) if picture.inter else _I
        bits.skip(kind in _IRAP_OR_GDR)
        if sps.alf:
            _skip_alf(bits, sps)
        if not inside:
            bits.skip(picture.lmcs + picture.scaling_list)
        entries = (0, 0)
        if kind not in _IDR or sps.idr_has_lists:
            entries = _read_lists(bits, sps, pps)
        active = _read_active(bits, pps, slice_type, entries)
        if slice_type != _I:
            _skip_prediction(bits, sps, pps, slice_type == _B, picture.temporal_mvp, active, entries)
        qp = pps.qp + bits.se()
        return float(qp) if qp in _QP else math.nan

    def _read_picture(self, bits: HeaderBits) -> _Picture:
        """picture_header_structure."""
        random_access, not_reference = bits.flag(), bits.flag()
        refreshing = random_access and bits.flag()
        inter = bits.flag()
        intra = bits.flag() if inter else True
        number = bits.ue(63)
        pps = self._pps[number]
        sps = self._sps[pps.sps]
        bits.skip(sps.order_bits)
        if refreshing:
            bits.ue()
        bits.skip(sps.extra_picture_bits)
        if sps.order_msb_bits and bits.flag():
            bits.skip(sps.order_msb_bits)
        lmcs = sps.lmcs and bits.flag()
        if lmcs:
            bits.skip(2 + sps.chroma)
        scaling_list = sps.scaling_list and bits.flag()
        bits.skip(3 * scaling_list)
        if sps.boundaries_in_picture and bits.flag():
            skip_ue(bits, bits.ue(3))
            skip_ue(bits, bits.ue(3))
        bits.skip(pps.output_flag and not not_reference)
        override = sps.partition_override and bits.flag()
        if intra:
            if override:
                _skip_partition(bits)
                if sps.dual_tree:
                    _skip_partition(bits)
            skip_ue(bits, pps.quantiser_subdivisions)
        temporal_mvp = False
        if inter:
            if override:
                _skip_partition(bits)
            skip_ue(bits, pps.quantiser_subdivisions)
            temporal_mvp = sps.temporal_mvp and bits.flag()
            bits.skip(sps.inter_flags)
        bits.skip(sps.joint_chroma)
        if pps.picture_extension:
            bits.skip(8 * bits.ue(256))
        return _Picture(number, inter, lmcs, scaling_list, temporal_mvp)


def _skip_partition(bits: HeaderBits) -> None:
    """Smallest quadtree block, depth of the other trees, and their largest blocks where there are any."""
    bits.ue()
    if bits.ue():
        skip_ue(bits, 2)


def _skip_alf(bits: HeaderBits, sps: Sps) -> None:
    if not bits.flag():
        return
    bits.skip(3 * bits.u(3))
    if sps.chroma and bits.u(2):
        bits.skip(3)
    for _ in range(2 * sps.cross_alf):
        if bits.flag():
            bits.skip(3)


def _read_lists(bits: HeaderBits, sps: Sps, pps: Pps) -> tuple[int, int]:
    """ref_pic_lists: how many entries either list has."""
    found: list[int] = []
    listed, at = False, 0
    for number, lists in enumerate(sps.lists):
        told = number == 0 or pps.second_list_told  # else as the first
        if told or not lists:
            listed = bool(lists) and bits.flag()
        if listed and told:
            at = bits.u(bits_to_tell(len(lists)))
        rules = sps.list_rules
        entries, long_term, in_header = lists[at] if listed else read_entries(bits, rules, in_slice=True)
        for _ in range(long_term):
            bits.skip(sps.order_bits * in_header)
            if bits.flag():
                bits.ue()
        found.append(entries)
    return found[0], found[1]


def _read_active(bits: HeaderBits, pps: Pps, slice_type: int, entries: tuple[int, int]) -> list[int]:
    """NumRefIdxActive of the lists that the slice uses."""
    used = entries[: {_I: 0, _P: 1, _B: 2}[slice_type]]
    if not used or max(used) < 2:
        return [1] * len(used)
    if bits.flag():
        return [bits.ue(14) + 1 if count > 1 else 1 for count in used]
    return [min(count, usual) for count, usual in zip(used, pps.active, strict=False)]


def _skip_prediction(
    bits: HeaderBits,
    sps: Sps,
    pps: Pps,
    both: bool,
    temporal_mvp: bool,
    active: list[int],
    entries: tuple[int, int],
) -> None:
    """Of P and B slices, up to sh_qp_delta."""
    bits.skip(pps.cabac_init)
    if temporal_mvp:
        first = bits.flag() if both else True
        if active[0 if first else 1] > 1:
            bits.ue()
    if pps.weighted[0 if both else 1]:
        counts = active if pps.weighted[0] and entries[1] else active[:1]
        _skip_weights(bits, sps.chroma, counts)


def _skip_weights(bits: HeaderBits, chroma: bool, counts: list[int]) -> None:
    """pred_weight_table."""
    bits.ue()
    if chroma:
        bits.se()
    for count in counts:
        luma = [bits.flag() for _ in range(count)]
        coloured = [bits.flag() for _ in range(count)] if chroma else [False] * count
        skip_ue(bits, 2 * sum(luma) + 4 * sum(coloured))


def _boxed(extradata: bytes) -> list[bytes]:
    """The parameter sets of a vvcC box (ISO/IEC 14496-15, 11.2.4.2), found by their own headers: its profile part has no
    fixed length."""
    found = []
    at = 1
    while at + 5 < len(extradata):
        kind, count = extradata[at] & 31, int.from_bytes(extradata[at + 1 : at + 3], "big")
        size = int.from_bytes(extradata[at + 3 : at + 5], "big")
        header = extradata[at + 5 : at + 7]
        if kind in (_SPS, _PPS) and 0 < count <= 64 and len(header) == 2 and header[1] >> 3 == kind and size > 3:
            at += 3
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                found.append(extradata[at + 2 : at + 2 + size])
                at += 2 + size
        else:
            at += 1
    return found

"""What slice headers of VVC need of its sequence and picture parameter sets (Rec. ITU-T H.266, 7.3.2.4, 7.3.2.5, 7.3.10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from mediaml.decode.header_bits import HeaderBits
from mediaml.decode.header_units import skip_ue

_MOST_LISTS, _MOST_ENTRIES, _MOST_POINTS = 64, 29, 64


class Entries(NamedTuple):
    """A reference picture list: how many entries, how many of them are long-term, and whether slices tell those's order."""

    entries: int
    long_term: int
    in_header: bool


@dataclass(frozen=True, slots=True)
class ListRules:
    """How reference picture lists are written."""

    long_term: bool
    other_layers: bool
    weighted: bool
    order_bits: int


@dataclass(frozen=True, slots=True)
class Sps:
    chroma: bool
    order_bits: int
    order_msb_bits: int  # 0: there are none
    extra_picture_bits: int
    extra_slice_bits: int
    partition_override: bool
    dual_tree: bool
    joint_chroma: bool
    alf: bool
    cross_alf: bool
    lmcs: bool
    list_rules: ListRules
    idr_has_lists: bool
    lists: tuple[tuple[Entries, ...], tuple[Entries, ...]]
    temporal_mvp: bool
    inter_flags: int  # of a picture header, between temporal motion vectors and the quantiser
    scaling_list: bool
    boundaries_in_picture: bool


@dataclass(frozen=True, slots=True)
class Pps:
    sps: int
    output_flag: bool
    cabac_init: bool
    active: tuple[int, int]
    second_list_told: bool
    weighted: tuple[bool, bool]  # of B, of P pictures
    qp: int
    quantiser_subdivisions: int
    picture_extension: bool


def read_sps(bits: HeaderBits) -> tuple[int, Sps]:
    """Its number, and what is kept. Raises what HeaderBits does, and ValueError for what is not followed."""
    number, other_layers = bits.u(4), bits.u(4) > 0
    layers, chroma, ctu_log2 = bits.u(3), bits.u(2), bits.u(2) + 5
    levels = bits.flag()
    if levels:
        _skip_profile(bits, layers)
    bits.skip(1)
    if bits.flag():  # reference pictures of other sizes
        bits.skip(1)
    skip_ue(bits, 2)
    if bits.flag():
        skip_ue(bits, 4)
    if bits.flag():
        raise ValueError("subpictures")
    bits.ue(8)
    bits.skip(2)
    order_bits = bits.u(4) + 4
    order_msb_bits = bits.ue(32) + 1 if bits.flag() else 0
    extra = [sum(bits.flag() for _ in range(8 * bits.u(2))) for _ in range(2)]
    if levels:
        skip_ue(bits, 3 * (layers + 1 if layers and bits.flag() else 1))
    bits.ue()
    override, dual_tree = _read_partition(bits, chroma > 0)
    large = ctu_log2 > 5 and bits.flag()
    skips, lfnst = _read_transforms(bits)
    joint = chroma > 0 and _read_chroma_quantisers(bits)
    bits.skip(1)
    alf = bits.flag()
    cross_alf = alf and chroma > 0 and bits.flag()
    lmcs, weighted = bits.flag(), bits.u(2) > 0
    rules = ListRules(bits.flag(), other_layers and bits.flag(), weighted, order_bits)
    idr_has_lists = bits.flag()
    lists = _read_lists(bits, rules)
    bits.skip(1)
    temporal_mvp, inter_flags = _read_inter(bits)
    scaling_list = _read_intra(bits, chroma, large, skips, lfnst)
    boundaries = bits.flag() and not bits.flag()
    return number, Sps(
        chroma=chroma > 0,
        order_bits=order_bits,
        order_msb_bits=order_msb_bits,
        extra_picture_bits=extra[0],
        extra_slice_bits=extra[1],
        partition_override=override,
        dual_tree=dual_tree,
        joint_chroma=joint,
        alf=alf,
        cross_alf=cross_alf,
        lmcs=lmcs,
        list_rules=rules,
        idr_has_lists=idr_has_lists,
        lists=lists,
        temporal_mvp=temporal_mvp,
        inter_flags=inter_flags,
        scaling_list=scaling_list,
        boundaries_in_picture=boundaries,
    )


def read_pps(bits: HeaderBits) -> tuple[int, Pps]:
    """Its number, and what is kept. Raises what HeaderBits does, and ValueError for what is not followed."""
    number, sps = bits.u(6), bits.u(4)
    bits.skip(1)
    skip_ue(bits, 2)
    for _ in range(2):  # the windows of conformance and of scaling
        if bits.flag():
            skip_ue(bits, 4)
    output_flag = bits.flag()
    if not bits.flag() or bits.flag():
        raise ValueError("a parted picture")
    cabac_init = bits.flag()
    active = bits.ue(14) + 1, bits.ue(14) + 1
    second_list_told, weighted_p, weighted_b = bits.flag(), bits.flag(), bits.flag()
    if bits.flag():
        bits.ue()
    qp = 26 + bits.se()
    subdivisions = int(bits.flag())
    chroma_offsets = bits.flag()
    if chroma_offsets:
        skip_ue(bits, 2)
        joint = bits.flag()
        skip_ue(bits, int(joint))
        bits.skip(1)
        if bits.flag():
            subdivisions += 1
            skip_ue(bits, (2 + joint) * (bits.ue(5) + 1))
    if bits.flag():
        bits.skip(1)
        if not bits.flag():
            skip_ue(bits, 6 if chroma_offsets else 2)
    return number, Pps(
        sps, output_flag, cabac_init, active, second_list_told, (weighted_b, weighted_p), qp, subdivisions, bits.flag()
    )


def read_entries(bits: HeaderBits, rules: ListRules, in_slice: bool = False) -> Entries:
    """ref_pic_list_struct."""
    count, long_term = bits.ue(_MOST_ENTRIES), 0
    in_header = in_slice or (rules.long_term and count > 0 and bits.flag())
    for number in range(count):
        if rules.other_layers and bits.flag():
            bits.ue()
        elif not rules.long_term or bits.flag():
            away = bits.ue() + (not (rules.weighted and number))
            bits.skip(away > 0)
        else:
            long_term += 1
            bits.skip(0 if in_header else rules.order_bits)
    return Entries(count, long_term, in_header)


def _read_lists(bits: HeaderBits, rules: ListRules) -> tuple[tuple[Entries, ...], tuple[Entries, ...]]:
    same = bits.flag()
    first, *second = (
        tuple(read_entries(bits, rules) for _ in range(bits.ue(_MOST_LISTS))) for _ in range(1 if same else 2)
    )
    return first, second[0] if second else first


def _skip_profile(bits: HeaderBits, layers: int) -> None:
    """profile_tier_level."""
    bits.skip(7 + 1 + 8 + 2)
    if bits.flag():
        raise ValueError("general constraints")
    bits.align()
    levels = sum(bits.flag() for _ in range(layers))
    bits.align()
    bits.skip(8 * levels)
    bits.skip(32 * bits.u(8))


def _read_partition(bits: HeaderBits, chroma: bool) -> tuple[bool, bool]:
    """Whether pictures may have their own, and whether chroma has a tree of its own."""
    override = bits.flag()
    _skip_tree(bits)
    dual_tree = chroma and bits.flag()
    if dual_tree:
        _skip_tree(bits)
    _skip_tree(bits)
    return override, dual_tree


def _skip_tree(bits: HeaderBits) -> None:
    bits.ue()
    if bits.ue():
        skip_ue(bits, 2)


def _read_transforms(bits: HeaderBits) -> tuple[bool, bool]:
    """Whether transforms may be skipped, and the secondary transform."""
    skips = bits.flag()
    if skips:
        bits.ue()
        bits.skip(1)
    if bits.flag():
        bits.skip(2)
    return skips, bits.flag()


def _read_chroma_quantisers(bits: HeaderBits) -> bool:
    """Whether chroma residues may be joint."""
    joint, same = bits.flag(), bits.flag()
    for _ in range(1 if same else 2 + joint):
        bits.se()
        skip_ue(bits, 2 * (bits.ue(_MOST_POINTS) + 1))
    return joint


def _read_inter(bits: HeaderBits) -> tuple[bool, int]:
    """Whether there is temporal prediction of motion, and how many of a picture header's flags follow it."""
    temporal_mvp = bits.flag()
    bits.skip(temporal_mvp)
    flags = 1
    adaptive = bits.flag()
    flags += bits.flag() and bits.flag()
    bits.skip(1)
    flags += bits.flag() and bits.flag()
    flags += bits.flag() and bits.flag()
    candidates = 6 - bits.ue(5)
    bits.skip(1)
    if bits.flag():  # affine
        bits.ue()
        bits.skip(1 + adaptive)
        flags += bits.flag() and bits.flag()
    bits.skip(2)
    if candidates >= 2 and bits.flag() and candidates >= 3:
        bits.ue()
    bits.ue()
    return temporal_mvp, flags


def _read_intra(bits: HeaderBits, chroma: int, large: bool, skips: bool, lfnst: bool) -> bool:
    """From intra tools to sign hiding: whether there are scaling lists."""
    bits.skip(3 + (chroma > 0) + 2 * (chroma == 1))
    palette = bits.flag()
    colours = chroma == 3 and not large and bits.flag()
    if skips or palette:
        bits.ue()
    if bits.flag():
        bits.ue()
    if bits.flag():
        steps = bits.u(2) + 1
        skip_ue(bits, 1 + 2 * steps)
    scaling_list = bits.flag()
    if scaling_list:
        bits.skip(lfnst)
        if colours and bits.flag():
            bits.skip(1)
    bits.skip(2)
    return scaling_list

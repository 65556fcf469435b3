"""Quantisers read from HEVC, VVC, AV1 and VP8 headers, against FFmpeg's parser (bitstream filter trace_headers)."""

from __future__ import annotations

import math
import re
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from mediaml.decode.coded import quantiser_reader
from mediaml.decode.header_bits import HeaderBits, bits_to_tell
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.engine.upscale.encoder import keeping_priority
from mediaml.frames import FrameBatch
from mediaml.spec import Need, View
from tests.clips import make_clip

_OPTIONS = {
    "plain.mkv": ("libx265", {"x265-params": "crf=30:log-level=none:weightp=1:weightb=1"}),
    "annexb.ts": ("libx265", {"x265-params": "crf=24:log-level=none:slices=2:no-sao=1:ref=1:bframes=3"}),
    "tools.mp4": ("libx265", {"x265-params": "crf=38:log-level=none:bframes=8:scaling-list=default:repeat-headers=1"}),
    "av1.mkv": ("libsvtav1", {"crf": "40", "preset": "10", "svtav1-params": "lp=1"}),
    "tiles.mp4": ("libsvtav1", {"crf": "20", "preset": "8", "svtav1-params": "lp=1:tile-columns=1:pred-struct=1"}),
    "vp8.mkv": ("libvpx", {"crf": "20", "b": "300k"}),
}


def _picture(index: int) -> np.ndarray:
    """(144, 256, 3): a texture that moves and grows darker, so that references are weighted."""
    wide = np.random.default_rng(0).integers(0, 256, (24, 64, 3)).repeat(8, 0).repeat(8, 1)
    return (wide[:144, 3 * index : 3 * index + 256] * (1 - index / 40)).astype(np.uint8)


def _made(path: Path) -> Path:
    encoder, options = _OPTIONS[path.name]
    if encoder not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg lacks {encoder}")
    with keeping_priority():
        return make_clip(path, _picture, 16, codec=encoder, options=options)


def _traced(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, bytes | None, list[tuple[bytes, int]]]:
    """(codec, extradata, [(packet, its picture's quantiser)]) as FFmpeg tells them."""
    found, start = [], 26
    monkeypatch.setattr("logging.lastResort", None)
    av.logging.set_level(av.logging.INFO)
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            with av.logging.Capture() as told:
                trace = BitStreamFilterContext("trace_headers", stream)
            for packet in container.demux(stream):
                content = bytes(packet)
                if content:
                    with av.logging.Capture() as lines:
                        trace.filter(packet)
                    told = [*told, *lines]
                    sets = re.findall(r"init_qp_minus26 .*= (-?\d+)", "".join(line[2] for line in told))
                    start = 26 + int(sets[-1]) if sets else start
                    text = "".join(line[2] for line in lines)
                    delta = re.search(r"(?:slice|sh)_qp_delta .*= (-?\d+)", text)
                    base = re.findall(r"base_q_?i(?:dx|ndex) .*= (\d+)", text)
                    found.append((content, start + int(delta[1]) if delta else int(base[-1]) if base else -1))
            return stream.codec_context.codec.canonical_name, stream.codec_context.extradata, found
    finally:
        av.logging.set_level(None)


@pytest.mark.parametrize("name", _OPTIONS)
def test_equal_to_ffmpegs_parser(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _made(tmp_path / name)
    codec, extradata, packets = _traced(path, monkeypatch)
    reader = quantiser_reader(codec, extradata)
    assert reader is not None
    told = [(reader.quantiser(content), expected) for content, expected in packets]
    assert len(told) == 16
    assert len({q for q, _ in told}) > 1
    assert all(q == expected for q, expected in told if expected >= 0)  # a frame shown again has no quantiser there
    assert all(math.isfinite(q) for q, _ in told)


def test_vvc_of_a_real_file(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shared_data / "media-edge/androidx+media/libraries/test_data/src/test/assets/media/mp4/sample_vvc.mp4"
    codec, extradata, packets = _traced(path, monkeypatch)
    reader = quantiser_reader(codec, extradata)
    assert codec == "vvc" and reader is not None
    told = [reader.quantiser(content) for content, _ in packets]
    assert len(told) == 120 and len(set(told)) > 5
    assert told == [expected for _, expected in packets]


@pytest.mark.parametrize("name", ["plain.mkv", "av1.mkv", "vp8.mkv"])
def test_analyzers_get_it_with_the_right_picture(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _made(tmp_path / name)
    _, _, packets = _traced(path, monkeypatch)
    sizes = {float(len(content)): float(expected) for content, expected in packets if expected >= 0}
    media, need = probe(path), Need(View.planes(), bitstream=True)
    found = []
    with MediaStream(path, media, make_plan(media, [need])) as stream:
        for delivery in stream:
            assert isinstance(delivery.batch, FrameBatch)
            assert delivery.batch.bitstream is not None
            coded = delivery.batch.bitstream
            found += list(zip(coded.packet_bytes.tolist(), coded.qp.tolist(), strict=True))
    assert len(found) == 16
    assert {size: qp for size, qp in found if size in sizes} == sizes


def test_headers_that_cannot_be_followed_are_not_known() -> None:
    for codec in ("hevc", "vvc", "av1"):
        for extradata in (None, b"", b"\x01" * 40, b"\x81\x00\x0c\x00\x0a\x0b"):
            reader = quantiser_reader(codec, extradata)
            assert reader is not None
            for packet in (b"", b"\0\0\1\x02\x01\xff\xff", b"\x32\x05\x10\0\0\0\0", bytes(range(256)), b"\xff" * 50):
                assert math.isnan(reader.quantiser(packet))
    assert quantiser_reader("h264", b"") is None


def _written(*fields: tuple[int, int] | int) -> bytes:
    """Bits of a header: (value, count), or a number in exponential Golomb code."""
    text = ""
    for field in fields:
        if isinstance(field, tuple):
            text += f"{field[0]:0{field[1]}b}" if field[1] else ""
        else:
            text += "0" * ((field + 1).bit_length() - 1) + f"{field + 1:b}"
    text += "1" + "0" * (-(len(text) + 1) % 8)
    escaped = bytearray()
    for byte in int(text, 2).to_bytes(len(text) // 8, "big"):
        if byte <= 3 and escaped.endswith(b"\0\0"):
            escaped.append(3)
        escaped.append(byte)
    return bytes(escaped)


def _hevc(profile: int = 1, qp: int = 0, long_number: bool = False, sps_number: int = 0) -> list[bytes]:
    """An SPS, a PPS and an IDR slice of one small picture, as Annex B units; slice_qp_delta is 0."""
    one_layer = ((0, 4), (0, 3), (1, 1), (0, 3), (profile, 5), (0, 88))
    sps = (*one_layer, sps_number, 1, 64, 64, (0, 1), 0, 0, 4, (1, 1), 4, 0, 0, 0, 2, 0, 1, 0, 0, (0, 4), 0, (0, 2))
    signed = 2 * qp - 1 if qp > 0 else -2 * qp
    huge = ((0, 3000), (1, 1), (0, 3000))
    pps = (0, sps_number, (0, 7), 0, 0, *(huge if long_number else (signed,)), (0, 3), 0, 0, *((0, 1),) * 8, (0, 8))
    slice_ = ((1, 1), (0, 1), 0, 2, 0, 0)
    return [b"\0\0\1" + bytes([kind << 1, 1]) + _written(*f) for kind, f in ((33, sps), (34, pps), (19, slice_))]


def test_hevc_headers_outside_the_standard_are_not_known() -> None:
    def told(*units: bytes) -> float:
        reader = quantiser_reader("hevc", b"")
        assert reader is not None
        return reader.quantiser(b"".join(units))

    assert [told(*_hevc(qp=q)) for q in (0, 25, -26)] == [26, 51, 0]
    assert math.isnan(told(*_hevc(qp=26))) and math.isnan(
        told(*_hevc(qp=2**31))
    )  # beyond 51, and beyond any float's use
    assert math.isnan(told(*_hevc(long_number=True)))
    assert math.isnan(told(*_hevc(profile=9)))  # screen content
    assert math.isnan(told(*_hevc(sps_number=16)))
    sps, pps, slice_ = _hevc()
    assert told(sps, pps, slice_) == 26 and math.isnan(told(pps, slice_)) and math.isnan(told(sps, slice_))


def _vvc(
    qp: int = 0, delta: int = 0, parted: bool = False, subpictures: bool = False, separate: bool = False
) -> list[bytes]:
    """An SPS, a PPS and an IDR slice of one small picture, as Annex B units; `separate`: the picture's header is its own."""
    signed = [2 * n - 1 if n > 0 else -2 * n for n in (qp, delta)]
    size = ((0, 4), (0, 4), (0, 3), (1, 2), (1, 2), (0, 3), 64, 64, (0, 1), (subpictures, 1))
    depth = (0, (0, 2), (4, 4), (0, 1), (0, 4), 0, (0, 1), 0, 0, (0, 1), 0, 0)
    tools = ((0, 4), (1, 2), 0, 0, 0, 0, (0, 7), (1, 1), 0, (0, 7), 5, (0, 4), 0, (0, 13))
    pps = ((0, 6), (0, 4), (0, 1), 64, 64, (0, 3), (not parted, 1), (0, 2), 0, 0, (0, 4), signed[0], (0, 4))
    picture = ((1, 1), (0, 3), 0, (0, 8))
    head = ((0, 1),) if separate else ((1, 1), *picture)
    units = [(15, (*size, *depth, *tools)), (16, pps), *([(19, picture)] if separate else [])]
    units.append((7, (*head, (0, 1), signed[1], (0, 8))))
    return [b"\0\0\1" + bytes([0, kind << 3 | 1]) + _written(*fields) for kind, fields in units]


def test_vvc_headers_by_hand() -> None:
    def told(*units: bytes) -> float:
        reader = quantiser_reader("vvc", b"")
        assert reader is not None
        return reader.quantiser(b"".join(units))

    assert [told(*_vvc(qp=a, delta=b)) for a, b in ((0, 0), (5, 6), (-26, -12), (0, 37))] == [26, 37, -12, 63]
    assert told(*_vvc(qp=3, separate=True)) == 29
    for bad in (_vvc(delta=38), _vvc(qp=2**31), _vvc(parted=True), _vvc(subpictures=True), _vvc()[1:], _vvc()[::2]):
        assert math.isnan(told(*bad))
    assert math.isnan(told(*_vvc(separate=True)[:2], _vvc(separate=True)[3]))  # no picture header


def test_long_parameter_sets_take_no_time() -> None:
    """A number of millions of zeros once took a step for each, over the whole unit each time."""
    heads = {"hevc": ([66, 1], [68, 1]), "vvc": ([0, 121], [0, 129])}
    for codec, each in heads.items():
        reader = quantiser_reader(codec, b"")
        assert reader is not None
        for head in each:
            assert math.isnan(reader.quantiser(b"\0\0\1" + bytes(head) + b"\xff" * 13 + b"\1" * 4_000_000))


def test_bits() -> None:
    bits = HeaderBits(bytes([0b10100011, 0b00110000]))  # 1 010 00110 011
    assert (bits.u(1), bits.ue(), bits.ue(), bits.se()) == (1, 1, 5, -1)
    with pytest.raises(EOFError):
        bits.u(99)
    assert [bits_to_tell(n) for n in (0, 1, 2, 3, 8, 9)] == [0, 0, 1, 2, 3, 4]
    assert [HeaderBits(bytes([b])).ns(5) for b in (0b00000000, 0b10000000, 0b11000000, 0b11100000)] == [0, 2, 3, 4]

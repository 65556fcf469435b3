"""FFmpeg's names of the code points in Rec. ITU-T H.273 (ISO/IEC 23091-2), and of its own field orders."""

from __future__ import annotations

PRIMARIES = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "film", 9: "bt2020", 10: "smpte428",
    11: "smpte431", 12: "smpte432", 22: "ebu3213",
}  # fmt: skip
TRANSFER = {
    1: "bt709", 4: "bt470m", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "linear", 9: "log100", 10: "log316",
    11: "iec61966-2-4", 12: "bt1361e", 13: "iec61966-2-1", 14: "bt2020-10", 15: "bt2020-12", 16: "smpte2084",
    17: "smpte428", 18: "arib-std-b67",
}  # fmt: skip
MATRIX = {
    0: "gbr", 1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 8: "ycgco", 9: "bt2020nc", 10: "bt2020c",
    11: "smpte2085", 12: "chroma-derived-nc", 13: "chroma-derived-c", 14: "ictcp", 15: "ipt-c2", 16: "ycgco-re",
    17: "ycgco-ro",
}  # fmt: skip
_FIXED_CHROMA_LOCATION = {
    "mpeg1video": "center",
    "mjpeg": "center",
    "h261": "center",
    "mpeg2video": "left",
    "h263": "left",
}


def chroma_location(codec: str, chroma: str | None, extradata: bytes | None) -> str | None:
    """Where 4:2:0 chroma samples lie ("left", "center", "topleft"), where the codec fixes it or AV1's header says it.

    None for other codecs: FFmpeg knows it from their sequence headers, but PyAV does not hand it on. AV1: av1C box (AV1 Codec
    ISO Media File Format Binding, 2.3.3), chroma_sample_position.
    """
    if chroma != "420":
        return None
    if codec == "av1" and extradata and len(extradata) >= 4 and extradata[0] == 0x81:
        return {1: "left", 2: "topleft"}.get(extradata[2] & 3)
    return _FIXED_CHROMA_LOCATION.get(codec)


FIELD_ORDER = {1: "progressive", 2: "tt", 3: "bb", 4: "tb", 5: "bt"}
"""AVFieldOrder; anything else is "unknown"."""

"""What is worth knowing about a file's technical form, said in words."""

from __future__ import annotations

import json
from typing import Any

from mediaml.report.model import File
from mediaml.report.text import brief, duration, number, scaled, timecode

Row = tuple[str, str]
_BRANDS = ("major_brand", "minor_version", "compatible_brands")  # of every MP4 file
_TRANSFERS = {"smpte2084": "HDR PQ", "arib-std-b67": "HDR HLG"}


def badges(file: File) -> list[Row]:
    """(short label, explanation) of what an engineer would trip over."""
    video = file.main_video
    found: list[Row] = []
    transfer = video.get("transfer")
    if transfer in _TRANSFERS:
        found.append((_TRANSFERS[transfer], _hdr(video)))
    if video.get("dolby_vision_profile") is not None:
        found.append((f"Dolby Vision {video['dolby_vision_profile']}", "Dolby Vision profile"))
    if (video.get("bit_depth") or 8) > 8:
        found.append((f"{video['bit_depth']} bit", "bits a sample"))
    if video.get("chroma") in ("422", "444"):
        found.append((f"4:{video['chroma'][1]}:{video['chroma'][2]}", "chroma sampling"))
    if video.get("range") == "full" and file.media.get("kind") == "video":
        found.append(
            ("full range", "code values use the whole scale; players that expect limited range show crushed picture")
        )
    if video.get("variable_frame_rate"):
        found.append(("VFR", "variable frame rate: frame distances differ"))
    if video.get("field_order") not in (None, "progressive", "unknown"):
        found.append(("interlaced", f"field order {video['field_order']}"))
    if video.get("rotation_degrees"):
        found.append((f"rotated {video['rotation_degrees']}°", "turned clockwise for display"))
    if video.get("sample_aspect_ratio") not in (None, 1.0):
        found.append((f"SAR {brief(video['sample_aspect_ratio'])}", "samples are not square"))
    if video.get("has_alpha"):
        found.append(("alpha", "the alpha plane is ignored"))
    return found


def technical(file: File) -> list[tuple[str, list[Row]]]:
    """Headed groups of name and value: container, then every stream."""
    groups = [("Container", _container(file))] if file.media else []
    for stream in file.streams:
        kind = stream.get("type") or "stream"
        head = f"{kind} #{stream.get('stream_index')}"
        rows = {"video": _video, "audio": _audio}.get(kind, _other)(stream)
        groups.append((head[:1].upper() + head[1:], [r for r in rows if r[1]]))
    return groups


def warnings(file: File) -> list[str]:
    """The probe's own warnings."""
    return [str(w) for w in _json(file.media.get("warnings"), list)]


def chapters(file: File) -> list[Row]:
    """(timecode, title)."""
    rows = [c for c in _json(file.media.get("chapters"), list) if isinstance(c, dict)]
    return [(timecode(c.get("start_seconds")), str(c.get("title") or "")) for c in rows]


def _container(file: File) -> list[Row]:
    media = file.media
    rows = [
        ("format", str(media.get("container_long") or media.get("container") or "")),
        ("size", scaled(media.get("size_bytes"), "B") if media.get("size_bytes") is not None else ""),
        ("duration", duration(media.get("duration_seconds")) if media.get("duration_seconds") else ""),
        ("bitrate", _rate(media.get("bitrate_bps"))),
    ]
    tags = [(str(k), str(v)) for k, v in _json(media.get("tags"), dict).items() if str(k).lower() not in _BRANDS]
    rows += tags[:12]
    return [r for r in rows if r[1]]


def _video(s: dict[str, Any]) -> list[Row]:
    size = f"{s['width']} × {s['height']}" if s.get("width") else ""
    if s.get("display_width") and (s["display_width"], s["display_height"]) != (s["width"], s["height"]):
        size += f", shown as {s['display_width']} × {s['display_height']}"
    colour = [s.get(k) for k in ("primaries", "transfer", "matrix")]
    return [
        ("codec", _joined(s.get("codec"), s.get("profile"))),
        ("picture", size),
        ("frame rate", f"{number(round(s['frame_rate'], 3))} frame/s" if s.get("frame_rate") else ""),
        ("samples", _joined(s.get("pixel_format"), s.get("field_order"))),
        ("colour", " / ".join(c or "not stated" for c in colour) if any(colour) else "not stated"),
        ("range", s.get("range") or ""),
        ("HDR", _hdr(s)),
        ("bitrate", _rate(s.get("bitrate_bps"))),
        (
            "key frames",
            f"every {brief(s['key_frame_interval_seconds'])} s" if s.get("key_frame_interval_seconds") else "",
        ),
        ("language", s.get("language") or ""),
    ]


def _audio(s: dict[str, Any]) -> list[Row]:
    return [
        ("codec", _joined(s.get("codec"), s.get("profile"))),
        ("rate", f"{number(s['sample_rate'])} Hz" if s.get("sample_rate") else ""),
        ("channels", _joined(s.get("layout") or s.get("channels"))),
        (
            "samples",
            _joined(s.get("sample_format"), f"{s['bits_per_sample']} bit" if s.get("bits_per_sample") else None),
        ),
        ("bitrate", _rate(s.get("bitrate_bps"))),
        ("language", s.get("language") or ""),
        ("title", s.get("title") or ""),
    ]


def _other(s: dict[str, Any]) -> list[Row]:
    return [("codec", s.get("codec") or ""), ("language", s.get("language") or ""), ("title", s.get("title") or "")]


def _hdr(s: dict[str, Any]) -> str:
    parts = []
    if s.get("max_cll") is not None:
        parts.append(f"MaxCLL {number(s['max_cll'])}, MaxFALL {number(s.get('max_fall'))} cd/m²")
    if s.get("mastering_max_luminance") is not None:
        parts.append(f"mastered to {number(s['mastering_max_luminance'])} cd/m²")
    if s.get("hdr10_plus"):
        parts.append("HDR10+")
    return "; ".join(parts)


def _rate(value: float | None) -> str:
    return scaled(value, "bit/s") if value else ""


def _joined(*parts: object) -> str:
    return ", ".join(str(p) for p in parts if p not in (None, "", "unknown"))


def _json(text: object, kind: type) -> Any:
    try:
        value = json.loads(text) if isinstance(text, str) else kind()
    except ValueError:
        value = kind()
    return value if isinstance(value, kind) else kind()

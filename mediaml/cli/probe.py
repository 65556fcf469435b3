"""`mediaml probe`: what files say about themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import MediaError, printable
from mediaml.media import AudioStream, HdrInfo, MediaInfo, VideoStream


def register(app: typer.Typer) -> None:
    app.command("probe")(probe)


def probe(
    files: Annotated[list[Path], typer.Argument(help="Media files.", show_default=False)],
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON: an object for one file, a list for several; errors included.")
    ] = False,
) -> None:
    """Show container, streams, colour, timing and what is odd about each FILE. Exit code 1 where a file fails."""
    from mediaml.decode.probe import probe as probe_file

    results: list[MediaInfo | MediaError] = []
    for file in files:
        try:
            results.append(probe_file(file))
        except MediaError as error:
            results.append(error)
        if not as_json:
            _print(results[-1])
    if as_json:
        records = [_record(r) for r in results]
        print_json(records[0] if len(records) == 1 else records)
    if any(isinstance(r, MediaError) for r in results):
        raise typer.Exit(1)


def _record(result: MediaInfo | MediaError) -> dict[str, object]:
    if isinstance(result, MediaError):
        return {"path": encodable(result.path), "error": {"kind": result.kind, "message": result.reason}}
    return {**result.to_dict(), "path": encodable(result.path)}


def encodable(path: str) -> str:
    """`path` with bytes that are no UTF-8 shown as \\udcXX, so that it can be written anywhere."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


def _print(result: MediaInfo | MediaError) -> None:
    if isinstance(result, MediaError):
        errors_console().print(f"error: {result}", style="red", markup=False, highlight=False, soft_wrap=True)
        return
    output_console().print(printable(result.path), style="bold", markup=False, highlight=False, soft_wrap=True)
    rows = [("file", _file(result)), ("time", _time(result))]
    rows += [(f"video {v.index}", _video(v)) for v in result.video]
    rows += [(f"audio {a.index}", _audio(a)) for a in result.audio]
    rows += [(f"{o.type} {o.index}", _join(o.codec or "unknown codec", o.language, o.title)) for o in result.other]
    rows += [
        (f"chapter {n}", _join(f"{c.start_seconds:.3f} to {c.end_seconds:.3f} s", c.title))
        for n, c in enumerate(result.chapters, 1)
    ]
    rows += [("tag", f"{key}: {value}") for key, value in result.tags.items()]
    rows += [("warning", w) for w in result.warnings]
    print_table(["", ""], rows)


def _join(*parts: str | None) -> str:
    return ", ".join(p for p in parts if p)


def _file(m: MediaInfo) -> str:
    return _join(m.kind, m.container_long, f"{m.size_bytes:,} bytes", _rate(m.bitrate_bps))


def _time(m: MediaInfo) -> str:
    if m.kind == "image":
        return "no timeline"
    return _join(
        f"header {_seconds(m.duration_seconds_header)}",
        f"content {_seconds(m.duration_seconds_content)}",
        f"starts at {m.start_seconds:.3f} s" if m.start_seconds else None,
    )


def _video(v: VideoStream) -> str:
    size = f"{v.width}x{v.height}"
    if (v.display_width, v.display_height) != (v.width, v.height):
        size += f" shown as {v.display_width}x{v.display_height}"
    aspect = v.sample_aspect_ratio
    timing = _join(
        f"{v.frame_rate:.6g} fps" if v.frame_rate else None,
        f"nominal {v.frame_rate_nominal:.6g}"
        if v.frame_rate_nominal and v.frame_rate_nominal != v.frame_rate
        else None,
        {True: "variable", False: "constant", None: None}[v.variable_frame_rate],
        f"{v.frames_header} frames in the header" if v.frames_header else None,
        f"a key frame every {v.key_frame_interval_seconds:.3g} s" if v.key_frame_interval_seconds else None,
    )
    colour = _join(
        v.pixel_format,
        f"{v.bit_depth} bit" if v.bit_depth else None,
        f"chroma {v.chroma}" if v.chroma else None,
        f"matrix {v.matrix or '?'}, range {v.range or '?'}, transfer {v.transfer or '?'}, primaries {v.primaries or '?'}",
        "alpha" if v.has_alpha else None,
    )
    shape = _join(
        size,
        f"sample aspect {aspect.numerator}:{aspect.denominator}" if aspect != 1 else None,
        "mirrored" if v.mirrored else None,
        f"turned {v.rotation_degrees} degrees clockwise" if v.rotation_degrees else None,
        v.field_order if v.field_order != "progressive" else None,
    )
    codec = _join(
        v.codec,
        v.profile,
        f"level {v.level}" if v.level is not None else None,
        _rate(v.bitrate_bps),
        v.language,
        "attached picture" if v.is_attached_picture else None,
        "default" if v.default else None,
    )
    return "\n".join(line for line in (codec, shape, timing, colour, _hdr(v.hdr)) if line)


def _hdr(hdr: HdrInfo | None) -> str:
    if hdr is None:
        return ""
    mastering = hdr.mastering_max_luminance
    return "HDR: " + _join(
        f"mastered at {hdr.mastering_min_luminance:.4g} to {mastering:.4g} cd/m2" if mastering else None,
        f"MaxCLL {hdr.max_cll:g}" if hdr.max_cll else None,
        f"MaxFALL {hdr.max_fall:g}" if hdr.max_fall else None,
        f"Dolby Vision profile {hdr.dolby_vision_profile}" if hdr.dolby_vision_profile is not None else None,
        "HDR10+" if hdr.hdr10_plus else None,
    )


def _audio(a: AudioStream) -> str:
    return _join(
        a.codec,
        a.profile,
        f"{a.sample_rate} Hz",
        a.layout,
        f"{a.bits_per_sample} bit" if a.bits_per_sample else None,
        _rate(a.bitrate_bps),
        f"starts at {a.start_seconds:.3f} s" if a.start_seconds else None,
        a.language,
        a.title,
        "default" if a.default else None,
    )


def _rate(bps: int | None) -> str | None:
    return f"{bps / 1000:,.0f} kb/s" if bps else None


def _seconds(value: float | None) -> str:
    return f"{value:.3f} s" if value is not None else "not known"

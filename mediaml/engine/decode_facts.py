"""What decoding itself shows: frames and samples that came out, and faults inside the file as spans."""

from __future__ import annotations

from mediaml.decode.stream import DecodeReport
from mediaml.spec import Column, Spec, Table
from mediaml.tables.rows import AnalyzerRows

DECODE = Spec(
    name="decode",
    version=2,
    summary="frames and samples decoded, and faults met on the way (not an analyzer: a by-product of every whole decode)",
    outputs=(
        Column("frames_decoded", "int64", "frames", "frames that were decoded", Table.FILES, minimum=0),
        Column("samples_decoded", "int64", "samples", "samples a channel that were decoded", Table.FILES, minimum=0),
        Column("decode_problems", "int64", "faults", "faults met while decoding", Table.FILES, minimum=0),
    ),
    cite="FFmpeg, through PyAV",
    kinds=(
        "audio_format_change",
        "audio_gap",
        "audio_not_finite",
        "audio_overlap",
        "colour_approximated",
        "corrupt_frame",
        "decode_error",
        "demux_error",
        "ends_early",
        "timestamp_backwards",
        "timestamp_missing",
    ),
)
SEVERITY = {"corrupt_frame": 0.6, "decode_error": 0.8, "truncated": 1.0}
OTHER_SEVERITY = 0.4


def decode_rows(report: DecodeReport) -> AnalyzerRows:
    """One `files` row, and a span for every fault that was kept (the first hundred; successive pictures are one)."""
    placed = [p for p in report.problems if p.seconds is not None]
    spans = {
        "kind": [p.kind for p in placed],
        "start_seconds": [p.seconds for p in placed],
        "end_seconds": [p.seconds if p.end_seconds is None else p.end_seconds for p in placed],
        "severity": [SEVERITY.get(p.kind, OTHER_SEVERITY) for p in placed],
        "confidence": [1.0] * len(placed),
        "evidence_seconds": [p.seconds for p in placed],
        "message": [p.message if p.times == 1 else f"{p.message} ({p.times} times)" for p in placed],
    }
    files = {
        "frames_decoded": [report.frames_decoded],
        "samples_decoded": [report.samples_decoded],
        "decode_problems": [report.problems.count],
    }
    columns = {Table.FILES: DECODE.columns(Table.FILES), Table.SPANS: ()}
    return AnalyzerRows(DECODE.id, "", columns, {Table.FILES: files, Table.SPANS: spans}, source=DECODE.cite)

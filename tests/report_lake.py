"""Lakes for tests of the report: rows as the analyzers give them, staged without decoding anything."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from mediaml.media import AudioStream, HdrInfo, MediaInfo, VideoStream
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, ErrorRow, Lake, MediaRows, PathRow, RunRow, Staged

NOW = datetime(2026, 1, 31, 18, 4, tzinfo=UTC)
CODECS = ("h264", "hevc", "vp9", "av1")


def media_id(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def video_info(path: str, number: int = 0, seconds: float = 12.0, **changes: Any) -> MediaInfo:
    """Facts of a plausible file; every seventh is HDR, every fifth has a variable frame rate."""
    hdr = number % 7 == 3
    width, height = ((1280, 720), (1920, 1080), (640, 360))[number % 3]
    video = VideoStream(
        index=0, codec=CODECS[number % 4], profile="Main 10" if hdr else "High", level=41, width=width, height=height,
        display_width=width, display_height=height, sample_aspect_ratio=Fraction(1), rotation_degrees=0, mirrored=False,
        field_order="progressive", frame_rate=25.0, frame_rate_nominal=25.0, variable_frame_rate=number % 5 == 1,
        pixel_format="yuv420p10le" if hdr else "yuv420p", bit_depth=10 if hdr else 8, chroma="420", has_alpha=False,
        matrix="bt2020nc" if hdr else "bt709", range="limited", transfer="smpte2084" if hdr else "bt709",
        primaries="bt2020" if hdr else "bt709", chroma_location="left",
        hdr=HdrInfo(max_cll=1000, max_fall=400, mastering_max_luminance=1000, mastering_min_luminance=0.005) if hdr else None,
        bitrate_bps=2_400_000, start_seconds=0.0, duration_seconds_header=seconds, frames_header=round(seconds * 25),
        key_frame_interval_seconds=2.0, default=True,
    )  # fmt: skip
    audio = AudioStream(1, "aac", "LC", 48000, 2, "stereo", "fltp", None, 128_000, 0.0, seconds, "eng", None, True)
    facts: dict[str, Any] = {
        "path": path, "size_bytes": round(seconds * 320_000), "kind": "video", "container": "mov,mp4",
        "container_long": "QuickTime / MOV", "bitrate_bps": 2_560_000, "start_seconds": 0.0,
        "duration_seconds_header": seconds, "duration_seconds_content": seconds, "video": (video,), "audio": (audio,),
        "tags": {"title": f"Clip {number}"},
    }  # fmt: skip
    return MediaInfo(**{**facts, **changes})


def jpeg(number: int, width: int = 192, height: int = 108) -> bytes:
    """A picture with enough detail to weigh what real thumbnails weigh."""
    rng = np.random.default_rng(number)
    small = rng.integers(0, 255, (9, 16, 3), np.uint8)
    picture = Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=70)
    return out.getvalue()


_PICTURES = [jpeg(i) for i in range(24)]


def frame_rows(number: int, seconds: float, fps: float = 25.0) -> AnalyzerRows:
    rng = np.random.default_rng(number)
    count = round(seconds * fps)
    t = np.arange(count) / fps
    luma = 0.4 + 0.2 * np.sin(t / 3 + number) + rng.normal(0, 0.02, count)
    columns = (
        Column("luma_mean", "float32", "1", "mean of luma; black is 0", Table.FRAMES, 0, 1),
        Column("si", "float32", "8-bit code value", "spatial information of ITU-T P.910", Table.FRAMES, 0),
    )
    rows = {
        "frame_index": np.arange(count),
        "pts_seconds": t,
        "luma_mean": luma.clip(0, 1).astype(np.float32),
        "si": (30 + 20 * np.abs(np.sin(t)) + rng.normal(0, 4, count)).clip(0).astype(np.float32),
    }
    return AnalyzerRows("luma_stats@1", "", {Table.FRAMES: columns}, {Table.FRAMES: rows}, source="ITU-T P.910")


def quality_rows(number: int, seconds: float) -> AnalyzerRows:
    rng = np.random.default_rng(number + 1000)
    t = np.arange(0, seconds, 2.0)
    column = Column("niqe", "float32", "1", "NIQE: distance to natural statistics, lower is better", Table.FRAMES, 0)
    values = (3 + number % 5 + rng.normal(0, 0.4, len(t))).clip(0).astype(np.float32)
    rows = {"frame_index": np.full(len(t), -1), "pts_seconds": t, "niqe": values}
    return AnalyzerRows("niqe@2", "", {Table.FRAMES: (column,)}, {Table.FRAMES: rows})


def story_rows(number: int, seconds: float, shots: int, pictures: Sequence[bytes] = _PICTURES) -> list[AnalyzerRows]:
    """Shots, thumbnails, findings and tags."""
    edges = np.linspace(0, seconds, shots + 1)
    starts, ends = edges[:-1], edges[1:]
    shot_rows = {
        "shot_index": np.arange(shots), "start_seconds": starts, "end_seconds": ends,
        "start_frame": np.round(starts * 25).astype(int), "end_frame": np.round(ends * 25).astype(int),
    }  # fmt: skip
    chosen = [pictures[(number * 5 + i) % len(pictures)] for i in range(shots)]
    thumbs = {
        "pts_seconds": (starts + ends) / 2, "width": [192] * shots, "height": [108] * shots, "jpeg": chosen,
    }  # fmt: skip
    findings = {
        "kind": ["black", "silence"], "start_seconds": [1.0, 4.0], "end_seconds": [2.0, 6.5],
        "severity": [0.8, 0.3], "confidence": [0.99, 0.9], "evidence_seconds": [1.5, None],
        "message": ["black picture for 1.0 s", "no sound above -60 dBFS for 2.5 s"],
    }  # fmt: skip
    labels = ["meadow", "street", "cat", "rocket", "espresso"]
    tags = {
        "scope": ["file"] * 3 + ["shot"] * shots,
        "start_seconds": [0.0] * 3 + starts.tolist(),
        "end_seconds": [seconds] * 3 + ends.tolist(),
        "vocabulary": ["imagenet"] * (3 + shots),
        "tag_id": [f"n{i}" for i in range(3 + shots)],
        "label": [labels[(number + i) % 5] for i in range(3)] + [labels[(number + i) % 5] for i in range(shots)],
        "score": [0.61, 0.22, 0.05] + [0.5] * shots,
        "rank": [1, 2, 3] + [1] * shots,
    }
    return [
        AnalyzerRows("shots_example@1", rows={Table.SHOTS: shot_rows}),
        AnalyzerRows("thumbnails@1", rows={Table.THUMBNAILS: thumbs}),
        AnalyzerRows("faults@1", rows={Table.SPANS: findings}),
        AnalyzerRows("tags_example@1", rows={"tags": tags}),
    ]


def sound_rows(number: int, seconds: float) -> AnalyzerRows:
    t = np.arange(0.4, seconds, 0.1)
    level = -23 - number % 6 + 4 * np.sin(t)
    columns = (
        Column(
            "integrated_lufs", "float64", "LUFS", "integrated (programme) loudness, gated", Table.FILES, nullable=True
        ),
        Column("palette_rgb", "float32", "sRGB", "dominant colours", Table.FILES, 0, 1, length=9),
        Column("palette_share", "float32", "1", "share of each colour", Table.FILES, 0, 1, length=3),
    )
    series = {
        "series": ["momentary_lufs"] * len(t) + ["short_term_lufs"] * len(t),
        "time_seconds": np.tile(t, 2),
        "value": np.concatenate([level, level - 2]),
    }
    files = {
        "integrated_lufs": [float(level.mean())],
        "palette_rgb": np.array([[0.1, 0.3, 0.2, 0.8, 0.7, 0.5, 0.2, 0.2, 0.6]], np.float32),
        "palette_share": np.array([[0.6, 0.3, 0.1]], np.float32),
    }
    return AnalyzerRows("loudness@1", "", {Table.FILES: columns}, {Table.SERIES: series, Table.FILES: files})


def stage_file(lake: Lake, path: str, number: int, seconds: float = 12.0, shots: int = 6, **changes: Any) -> Staged:
    """One whole file; `changes` go to `video_info`."""
    analyzers = [frame_rows(number, seconds), quality_rows(number, seconds), sound_rows(number, seconds)]
    return lake.stage(
        media_id(number),
        media=MediaRows(video_info(path, number, seconds, **changes)),
        path=PathRow(path, size_bytes=round(seconds * 320_000), mtime_ns=1),
        analyzers=[*analyzers, *story_rows(number, seconds, shots)],
        computed_at=NOW,
    )


def make_lake(folder: Path, files: int, seconds: float = 12.0, shots: int = 6) -> Lake:
    """A lake of `files` media, one unreadable file and one analyzer that failed."""
    lake = Lake.open(folder, create=True)
    staged = [stage_file(lake, f"/media/show/clip_{i:03d}.mp4", i, seconds, shots) for i in range(files)]
    if files:
        broken = ErrorRow("not_media", "no demuxer recognises the content", path="/media/show/broken.mp4")
        failed = ErrorRow("weights_absent", "brisque_svr is not here", "/media/show/clip_000.mp4", "brisque@1")
        staged.append(lake.stage(None, errors=[broken], computed_at=NOW))
        staged.append(lake.stage(media_id(0), errors=[failed], computed_at=NOW))
    lake.commit(staged)
    lake.record_run(
        RunRow("run1", NOW, NOW, "done", "mediaml analyze /media", "0.1.0", files + 1, files, 0, int(files > 0))
    )
    return lake


def make_large_lake(folder: Path, files: int, seconds: float, shots: int) -> Lake:
    """The same rows with one part a table, as after compaction: quick to write."""
    lake = Lake.open(folder, create=True)
    pooled: dict[str, list[tuple[str, AnalyzerRows]]] = {}
    for i in range(files):
        facts = MediaRows(video_info(f"/media/show/clip_{i:03d}.mp4", i, seconds)).analyzer_rows()
        rows = [facts, frame_rows(i, seconds), quality_rows(i, seconds), sound_rows(i, seconds)]
        for one in (*rows, *story_rows(i, seconds, shots)):
            pooled.setdefault(one.spec_id, []).append((media_id(i), one))
    lake.replace_derived("fixture", [_pooled(found) for found in pooled.values()], computed_at=NOW)
    return lake


def _pooled(found: list[tuple[str, AnalyzerRows]]) -> AnalyzerRows:
    """The rows of one analyzer over many media, with their media_id."""
    first = found[0][1]
    rows: dict[Any, dict[str, list[Any]]] = {table: {"media_id": []} for table in first.rows}
    for media, one in found:
        for table, columns in one.rows.items():
            for name, values in columns.items():
                rows[table].setdefault(name, []).extend(np.asarray(values).tolist() if name != "jpeg" else values)
            rows[table]["media_id"] += [media] * len(next(iter(columns.values())))
    return AnalyzerRows(first.spec_id, "", first.columns, rows, source=first.source)

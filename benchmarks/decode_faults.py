"""Faults of decoding: what is reported where packets are damaged or lost, by codec and kind of damage.

    OMP_NUM_THREADS=1 python -m benchmarks.decode_faults --data ../shared/data

Each file holds three events, packets of 1, 5 and 15 pictures: bytes replaced at random (one in forty), the last two
thirds set to 0, the last two thirds cut off, or the packets left out. An event lasts from the first damaged picture to the
last; where FFmpeg, asked without mediaml, gives no pictures for longer (it waits for the next key frame), as long as they
are missing. Reported: spans of `decode` and of the detector `timing`, those that touch as one; matching as in
benchmarks/faults/matching.py. What a decoder does not notice (arithmetic coding without checks) is missed here.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from benchmarks.faults.injection import SEVERITIES, Event
from benchmarks.faults.matching import WIDENED_SECONDS, Found, Score, false_at, match
from benchmarks.faults.sources import FPS, Clip, Sources
from benchmarks.faults.watching import watch
from mediaml.analyzers.artifacts.timing import Timing
from mediaml.engine.decode_facts import decode_rows
from mediaml.spec import Table

FRAMES, KEY_FRAMES = 250, 50
STARTS, LENGTHS = (55, 110, 170), (1, 5, 15)  # frames
DAMAGES = ("random", "zeros", "cut", "lost")
_KINDS = {"corrupt_frame", "decode_error", "missing_frames", "timestamp_jump", "ends_early"}


@dataclass(frozen=True, slots=True)
class Coding:
    """How a clean file is made."""

    name: str
    encoder: str
    suffix: str
    options: dict[str, str]


CODINGS = (
    Coding("H.264, MP4", "libx264", ".mp4", {"crf": "20", "preset": "veryfast"}),
    Coding("H.264, four slices, TS", "libx264", ".ts", {"crf": "20", "preset": "veryfast", "x264-params": "slices=4"}),
    Coding(
        "HEVC, MP4", "libx265", ".mp4", {"crf": "22", "preset": "ultrafast", "x265-params": "log-level=none:pools=1"}
    ),
    Coding("MPEG-2, TS", "mpeg2video", ".ts", {"b": "2000k", "bf": "2"}),
    Coding("MPEG-4, AVI", "mpeg4", ".avi", {"b": "1500k"}),
    Coding("VP9, WebM", "libvpx-vp9", ".webm", {"crf": "30", "b": "0", "deadline": "realtime", "cpu-used": "8"}),
)


def write_clean(path: Path, clip: Clip, coding: Coding) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(coding.encoder, rate=FPS, options={**coding.options, "g": str(KEY_FRAMES)})
        stream.width, stream.height, stream.pix_fmt = clip.width, clip.height, "yuv420p"
        stream.codec_context.thread_count = 1
        for i in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(clip.frame(i)), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, FPS)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))


def damage(data: bytes, how: str, rng: np.random.Generator) -> bytes:
    third = len(data) // 3
    if how == "zeros":
        return data[:third] + bytes(len(data) - third)
    if how == "cut":
        return data[: max(8, third)]
    spoiled = bytearray(data)
    for at in rng.integers(min(12, len(data) - 1), len(data), max(1, len(data) // 40)):
        spoiled[at] = rng.integers(256)
    return bytes(spoiled)


def write_damaged(clean: Path, path: Path, how: str) -> list[tuple[float, float]]:
    """Copies the packets, some spoiled; gives the display times of what was spoiled, by event."""
    rng = np.random.default_rng(3)
    with av.open(str(clean)) as source, av.open(str(path), "w") as out:
        stream = source.streams.video[0]
        copy = out.add_stream_from_template(stream)
        packets = [p for p in source.demux(stream) if p.dts is not None]
        times = sorted({float((p.pts if p.pts is not None else p.dts) * p.time_base) for p in packets})
        spans = [(times[a], times[a + n]) for a, n in zip(STARTS, LENGTHS, strict=True)]
        for packet in packets:
            at = float((packet.pts if packet.pts is not None else packet.dts) * packet.time_base)
            if any(a <= at < b for a, b in spans):
                if how == "lost":
                    continue
                fields = packet.pts, packet.dts, packet.time_base, packet.duration, packet.is_keyframe
                packet = av.Packet(damage(bytes(packet), how, rng))
                packet.pts, packet.dts, packet.time_base, packet.duration, packet.is_keyframe = fields
            packet.stream = copy
            out.mux(packet)
    return spans


def shown(path: Path) -> list[float]:
    """Times of the pictures that FFmpeg gives."""
    found: list[float] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        for packet in container.demux(stream):
            try:
                found += [f.time for f in stream.decode(packet) if f.time is not None]
            except (FFmpegError, EOFError):
                continue
    return sorted(found)


def events_of(spans: Sequence[tuple[float, float]], clean: Path, damaged: Path) -> list[Event]:
    whole, left = shown(clean), np.array([*shown(damaged), np.inf])
    events = []
    for severity, (start, end) in zip(SEVERITIES, spans, strict=True):
        for at in (t for t in whole if t >= start):
            if at >= end and np.abs(left - at).min() < 0.5 / FPS:
                break
            end = max(end, at + 1 / FPS)
        events.append(Event("decoding", severity, start, end))
    return events


def reported(path: Path) -> list[Found]:
    found, outcome = watch(path, [Timing()])
    assert outcome.report is not None
    rows = decode_rows(outcome.report).rows[Table.SPANS]
    names = ("kind", "start_seconds", "end_seconds", "severity", "confidence", "message")
    every = found["timing"] + [Found(*row) for row in zip(*(rows[n] for n in names), strict=True)]
    joined: list[Found] = []
    for finding in sorted((f for f in every if f.kind in _KINDS), key=lambda f: f.start):
        if joined and finding.start <= joined[-1].end + WIDENED_SECONDS / 2:
            last = joined.pop()
            finding = Found(last.kind, last.start, max(last.end, finding.end), 1.0, 1.0, last.message)
        joined.append(finding)
    return joined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("MEDIAML_SHARED_DATA", "../shared/data")))
    parser.add_argument("--clips", type=int, default=3, help="real clips that were not used for choosing")
    parser.add_argument("--verbose", action="store_true", help="print each miss and each false alarm")
    asked = parser.parse_args()
    clips = Sources(asked.data).films("held out")[: asked.clips]
    print("| codec | damage | F1 | events found (1, 5, 15 pictures) | false |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory(prefix="mediaml-decode-") as folder:
        for coding in CODINGS:
            scores = {how: {s: Score() for s in SEVERITIES} for how in DAMAGES}
            for clip in clips:
                clean = Path(folder) / f"clean{coding.suffix}"
                write_clean(clean, clip, coding)
                for how in DAMAGES:
                    one(clean, clean.with_name(f"damaged{coding.suffix}"), how, scores[how], asked.verbose)
            for how, of in scores.items():
                total = Score(*(sum(getattr(s, n) for s in of.values()) for n in ("hits", "misses", "false_alarms")))
                counts = ", ".join(f"{s.hits}/{s.hits + s.misses}" for s in of.values())
                print(f"| {coding.name} | {how} | {total.f1:.3f} | {counts} | {total.false_alarms} |", flush=True)


def one(clean: Path, damaged: Path, how: str, scores: dict[str, Score], verbose: bool) -> None:
    events = events_of(write_damaged(clean, damaged, how), clean, damaged)
    found = reported(damaged)
    met, extra = match(events, found)
    for i, event in enumerate(events):
        scores[event.severity].hits += i in met
        scores[event.severity].misses += i not in met
        if verbose and i not in met:
            print(f"    missed: {damaged.suffix}, {how}, {event}")
    for k in extra:
        scores[min(false_at(found[k], events))].false_alarms += 1
        if verbose:
            print(f"    false: {damaged.suffix}, {how}, {found[k]}")


if __name__ == "__main__":
    main()

"""Faults of decoding become spans: from the first faulty picture to the last, also where the decoder has to be asked."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.faults.watching import watch
from mediaml.analyzers.artifacts.timing import Timing
from mediaml.decode.problems import Problem, ProblemLog
from mediaml.decode.report import DecodeReport
from mediaml.engine.decode_facts import decode_rows
from mediaml.spec import Table


def picture(at: float, kind: str = "corrupt_frame", stream: int = 0) -> Problem:
    return Problem(stream, at, kind, "concealed", at + 0.04)


def test_faults_of_successive_pictures_are_one_span() -> None:
    log = ProblemLog()
    for at in (2.08, 2.0, 2.04, 5.0):  # in coding order
        log.add(picture(at))
        log.add(picture(at, "decode_error", stream=1))
    assert log.count == 8
    found = [(p.stream_index, p.seconds, p.end_seconds, p.times) for p in log]
    assert found == [
        (0, 2.0, pytest.approx(2.12), 3), (1, 2.0, pytest.approx(2.12), 3),
        (0, 5.0, pytest.approx(5.04), 1), (1, 5.0, pytest.approx(5.04), 1),
    ]  # fmt: skip


def test_faults_that_stand_for_themselves_stay_apart() -> None:
    log = ProblemLog()
    for at in (2.0, 2.04):
        log.add(Problem(0, at, "timestamp_backwards", "back"))
        log.add(Problem(0, None, "decode_error", "no time"))
    assert len(log) == 4


def test_a_long_fault_leaves_room_for_others() -> None:
    report = DecodeReport()
    for i in range(1000):
        report.problems.add(picture(i / 25))
    report.problems.add(picture(100.0))
    spans = decode_rows(report).rows[Table.SPANS]
    assert spans["start_seconds"] == [0.0, 100.0]
    assert spans["end_seconds"] == pytest.approx([40.0, 100.04])
    assert "1000 times" in spans["message"][0]


@pytest.mark.parametrize("encoder", ["libx264", "libx265"])
def test_cut_packets_are_told_with_their_times(tmp_path: Path, encoder: str) -> None:
    path, damaged = tmp_path / "whole.mp4", tmp_path / "damaged.mp4"
    with av.open(str(path), "w") as out:
        options = {"preset": "ultrafast", "bf": "0", "x265-params": "log-level=none:pools=1:bframes=0"}
        stream = out.add_stream(encoder, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.codec_context.thread_count = 1
        rng = np.random.default_rng(0)
        for i in range(40):
            frame = av.VideoFrame.from_ndarray(rng.integers(16, 235, (144, 128)).astype(np.uint8), format="yuv420p")
            frame.pts, frame.time_base = i, Fraction(1, 25)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with av.open(str(path)) as source, av.open(str(damaged), "w") as out:
        copy = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is None:
                continue
            assert packet.pts is not None
            if 0.8 <= float(packet.pts * packet.time_base) < 1.0:
                fields = packet.pts, packet.dts, packet.time_base
                packet = av.Packet(bytes(packet)[: packet.size // 3])
                packet.pts, packet.dts, packet.time_base = fields
            packet.stream = copy
            out.mux(packet)
    _, outcome = watch(damaged, [Timing()])
    assert outcome.report is not None
    spans = decode_rows(outcome.report).rows[Table.SPANS]
    assert set(spans["kind"]) <= {"decode_error", "corrupt_frame"}
    assert min(spans["start_seconds"]) == pytest.approx(0.8, abs=0.041)
    assert max(spans["end_seconds"]) >= 1.0 - 0.041

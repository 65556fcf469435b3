"""Rules at their limits: hit exactly they are kept, by a little more they are broken."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaml.engine.qc.fixity import Noted, noted_sha256
from mediaml.engine.qc.profile import AnyRule, parse_profile
from mediaml.engine.qc.rules import RuleOutcome, judge
from mediaml.engine.qc.values import FileValues, Finding, Timed
from mediaml.engine.timecode import timecode
from mediaml.tables.rows import ErrorRow

SHA = "ab" * 32


def rule(text: str, level: str = "fail") -> AnyRule:
    head = f'id = "p"\ntitle = "P"\nsummary = "s"\n[[rules]]\nid = "r"\nlevel = "{level}"\nwhy = "w"\n'
    return parse_profile(head + text, "p").rules[0]


def values(**given: Any) -> FileValues:
    statuses = given.pop("statuses", defaultdict(lambda: "done"))
    statuses = _Done() if isinstance(statuses, defaultdict) else statuses
    media = {"kind": "video", "duration_seconds": 10.0, "frame_rate": 25.0} | given.pop("media", {})
    return FileValues(SHA, media=media, statuses=statuses, **given)


class _Done(dict[str, str]):
    """Every analyzer did its work."""

    def get(self, key: str, default: Any = None) -> Any:
        return "done"


def outcome(text: str, level: str = "fail", **given: Any) -> RuleOutcome:
    return judge(rule(text, level), values(**given))


def frames(*numbers: float) -> dict[str, Timed]:
    """One value each 0.1 s."""
    return {"frames.si": Timed.samples(np.arange(len(numbers), dtype=np.float64) * 0.1, np.array(numbers, np.float64))}


LOUD = 'measure = "files.integrated_lufs"\nmin = -23.5\nmax = -22.5\n'


@pytest.mark.parametrize(
    ("value", "expected"),
    [(-23.0, "pass"), (-22.5, "pass"), (-23.5, "pass"), (-22.49, "fail"), (-23.51, "fail"), (None, "not_applicable")],
)
def test_a_file_measure(value: float | None, expected: str) -> None:
    found = outcome(LOUD, files={"files.integrated_lufs": value})
    assert (found.outcome, found.value) == (expected, value)


def test_a_32_bit_float_at_the_limit_keeps_it() -> None:
    stored = float(np.float32(0.1))
    assert stored > 0.1
    assert outcome('measure = "files.dc_offset"\nmax = 0.1', files={"files.dc_offset": stored}).outcome == "pass"


def test_a_measure_that_is_required_must_have_a_value() -> None:
    assert outcome(LOUD + "required = true", files={"files.integrated_lufs": None}).outcome == "fail"
    gone = outcome(LOUD + "required = true", statuses={"loudness": "not_applicable"})
    assert gone.outcome == "fail" and "no stream" in gone.message
    assert outcome(LOUD, statuses={"loudness": "not_applicable"}).outcome == "not_applicable"


@pytest.mark.parametrize("level", ["fail", "warn", "info"])
def test_the_level_is_the_outcome_of_a_broken_rule(level: str) -> None:
    assert outcome(LOUD, level, files={"files.integrated_lufs": -5.0}).outcome == level
    assert outcome(LOUD, level, files={"files.integrated_lufs": -23.0}).outcome == "pass"


@pytest.mark.parametrize("state", ["failed", "absent"])
def test_an_analyzer_without_a_result_is_no_pass(state: str) -> None:
    errors = [ErrorRow("contract_breach", "gave NaN", "x.mp4", "loudness@1")]
    found = outcome(LOUD, statuses={"loudness": state} if state == "failed" else {}, errors=errors)
    assert found.outcome == "not_measured"
    assert "gave NaN" in found.message


def test_each_value_must_keep_the_limits_and_places_are_runs_the_worst_first() -> None:
    assert outcome('measure = "frames.si"\nmax = 5', timed=frames(5, 4, 5)).outcome == "pass"
    found = outcome('measure = "frames.si"\nmax = 5', timed=frames(1, 6, 7, 1, 9, 1))
    assert (found.outcome, found.value, found.place_count) == ("fail", 9.0, 2)
    worst, second = found.places
    assert (worst.start_seconds, worst.end_seconds) == pytest.approx((0.4, 0.5))
    assert (second.start_seconds, second.end_seconds, second.evidence_seconds) == pytest.approx((0.1, 0.3, 0.2))


def test_values_below_a_minimum_are_beyond_too() -> None:
    found = outcome('measure = "frames.si"\nmin = 2\nmax = 5', timed=frames(3, 1, 3, 5.5))
    assert (found.outcome, found.value) == ("fail", 1.0)
    assert [p.value for p in found.places] == [1.0, 5.5]


def test_values_may_be_beyond_for_so_long_at_a_stretch() -> None:
    numbers = (1, 9, 9, 9, 1, 9)
    limit = 'measure = "frames.si"\nmax = 5\nseconds = '
    kept = outcome(limit + "0.3", timed=frames(*numbers))
    assert kept.outcome == "pass" and kept.value == pytest.approx(0.3) and not kept.places
    broken = outcome(limit + "0.29", timed=frames(*numbers))
    assert broken.outcome == "fail" and broken.place_count == 1


def test_values_may_be_beyond_for_a_share_of_the_time() -> None:
    limit = 'measure = "frames.si"\nmax = 5\nshare = '
    assert outcome(limit + "0.25", timed=frames(9, 1, 1, 1)).outcome == "pass"
    found = outcome(limit + "0.24", timed=frames(9, 1, 1, 1))
    assert found.outcome == "fail" and found.value == pytest.approx(0.25)


def test_the_share_is_of_time_not_of_values() -> None:
    uneven = {"frames.si": Timed.samples(np.array([0.0, 0.1, 1.0, 1.1]), np.array([1.0, 9.0, 1.0, 1.0]))}
    found = outcome('measure = "frames.si"\nmax = 5\nshare = 0.5', timed=uneven)
    assert found.outcome == "fail" and found.value == pytest.approx(0.9 / 1.2)


@pytest.mark.parametrize(
    ("pooling", "value"),
    [("mean", 4.0), ("median", 3.0), ("min", 1.0), ("max", 9.0), ("p50", 3.0), ("p100", 9.0), ("worst_second", 4.0)],
)
def test_poolings(pooling: str, value: float) -> None:
    text = f'measure = "frames.si"\npooling = "{pooling}"\n'
    timed = frames(1, 2, 3, 5, 9)
    assert outcome(text + f"max = {value}", timed=timed).outcome == "pass"
    found = outcome(text + f"max = {value - 0.01}", timed=timed)
    assert found.outcome == "fail" and found.value == pytest.approx(value)


def test_a_single_frame_is_judged() -> None:
    assert outcome('measure = "frames.si"\nmax = 5\nshare = 0.5', timed=frames(9)).outcome == "fail"
    assert outcome('measure = "frames.si"\nmax = 5\nseconds = 0.5', timed=frames(9)).outcome == "pass"
    assert outcome('measure = "frames.si"\nmax = 5', timed=frames()).outcome == "not_applicable"


def spans(*found: tuple[float, float], severity: float = 1.0, confidence: float = 1.0) -> dict[str, list[Finding]]:
    return {"black": [Finding(a, b, severity, confidence, (a + b) / 2, "black") for a, b in found]}


@pytest.mark.parametrize(
    ("limit", "found", "expected"),
    [
        ("", [], "pass"),
        ("", [(1, 2)], "fail"),
        ("max_count = 2", [(1, 2), (3, 4)], "pass"),
        ("max_count = 1", [(1, 2), (3, 4)], "fail"),
        ("max_seconds = 1.0", [(1, 2), (3, 4)], "pass"),
        ("max_seconds = 0.99", [(1, 2), (3, 4)], "fail"),
        ("max_total_seconds = 2.0", [(1, 2), (3, 4)], "pass"),
        ("max_total_seconds = 1.99", [(1, 2), (3, 4)], "fail"),
        ("max_total_seconds = 3.0", [(1, 3), (2, 4)], "pass"),  # what two spans cover counts once
        ("max_share = 0.2", [(1, 2), (3, 4)], "pass"),
        ("max_share = 0.19", [(1, 2), (3, 4)], "fail"),
        ("min_seconds = 1.0", [(1, 2)], "fail"),
        ("min_seconds = 1.01", [(1, 2)], "pass"),
        ("min_severity = 0.5", [(1, 2)], "fail"),
        ("min_severity = 0.51", [(1, 2)], "pass"),
        ("min_confidence = 0.25", [(1, 2)], "fail"),
        ("min_confidence = 0.26", [(1, 2)], "pass"),
        ("head_seconds = 2", [(0, 2)], "pass"),
        ("head_seconds = 1.9\nmax_seconds = 0.1", [(0, 2)], "pass"),
        ("head_seconds = 1.9\nmax_seconds = 0.09", [(0, 2)], "fail"),
        ("tail_seconds = 1", [(9, 10)], "pass"),
        ("tail_seconds = 0.9", [(9, 10)], "fail"),
        ("max_count = 5\nmax_seconds = 0.5", [(1, 2)], "fail"),
    ],
)
def test_findings(limit: str, found: list[tuple[float, float]], expected: str) -> None:
    given = spans(*found, severity=0.5, confidence=0.25)
    assert outcome(f'finding = "black"\n{limit}', findings=given).outcome == expected


def test_a_finding_without_length_counts() -> None:
    found = outcome('finding = "black"', findings=spans((3, 3)))
    assert found.outcome == "fail" and found.places[0].evidence_seconds == 3


def test_only_the_findings_that_break_the_limit_are_evidence() -> None:
    found = outcome('finding = "black"\nmax_seconds = 1.5', findings=spans((1, 2), (3, 5)))
    assert [(p.start_seconds, p.end_seconds) for p in found.places] == [(3, 5)]


VIDEO = {"type": "video", "is_attached_picture": False, "codec": "h264", "frame_rate": 30000 / 1001, "width": 1920,
         "height": 1080, "variable_frame_rate": False, "matrix": None}  # fmt: skip
AUDIO = {"type": "audio", "is_attached_picture": None, "codec": "aac", "sample_rate": 48000, "channels": 2}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ('fact = "media.container"\nallow = ["mp4"]', "pass"),
        ('fact = "media.container"\nallow = ["matroska"]', "fail"),
        ('fact = "media.container"\ndeny = ["mov"]', "fail"),
        ('fact = "video.codec"\nallow = ["h264", "hevc"]', "pass"),
        ('fact = "video.codec"\ndeny = ["h264"]', "fail"),
        ('fact = "video.resolution"\nallow = ["1920x1080"]', "pass"),
        ('fact = "video.resolution"\nallow = ["1280x720"]', "fail"),
        ('fact = "video.frame_rate"\nallow = [29.97]', "pass"),
        ('fact = "video.frame_rate"\nallow = [30]', "fail"),
        ('fact = "video.frame_rate"\nmax = 29.97002997', "pass"),
        ('fact = "video.frame_rate"\nmax = 29.9', "fail"),
        ('fact = "video.variable_frame_rate"\ndeny = [true]', "pass"),
        ('fact = "video.variable_frame_rate"\nallow = [true]', "fail"),
        ('fact = "video.matrix"\nallow = ["bt709"]', "not_applicable"),
        ('fact = "video.matrix"\nrequired = true', "fail"),
        ('fact = "audio.sample_rate"\nallow = [48000]', "fail"),  # the second stream has 44,100
        ('fact = "audio.channels"\nmin = 2\nmax = 2', "pass"),
        ('fact = "media.audio_streams"\nmin = 2\nmax = 2', "pass"),
    ],
)
def test_facts(limit: str, expected: str) -> None:
    media = {"container": "mov,mp4,m4a,3gp,3g2,mj2", "audio_streams": 2}
    found = outcome(limit, media=media, streams=[VIDEO, AUDIO, AUDIO | {"sample_rate": 44100}])
    assert found.outcome == expected, found.message


def test_a_cover_picture_is_no_video_stream() -> None:
    cover = VIDEO | {"is_attached_picture": True, "codec": "mjpeg"}
    assert outcome('fact = "video.codec"\nallow = ["h264"]', streams=[cover]).outcome == "not_applicable"
    assert outcome('fact = "video.codec"\nrequired = true', streams=[cover]).outcome == "fail"


def test_faults() -> None:
    errors = [ErrorRow("media_truncated", "1000 bytes are missing", "x.mp4")]
    found = outcome('fault = "media_truncated"', errors=errors)
    assert found.outcome == "fail" and "1000 bytes" in found.message
    assert outcome('fault = "media_truncated"').outcome == "pass"


@pytest.mark.parametrize(
    ("noted", "required", "expected"),
    [(SHA, "false", "pass"), ("cd" * 32, "false", "fail"), (None, "false", "not_applicable"), (None, "true", "fail")],
)
def test_fixity(noted: str | None, required: str, expected: str) -> None:
    note = None if noted is None else Noted(noted, "x.sha256")
    assert outcome(f'fixity = "sha256"\nrequired = {required}', noted=note).outcome == expected


def test_checksums_are_found_beside_the_file_and_in_lists_above(tmp_path: Path) -> None:
    file = tmp_path / "a" / "clip.mp4"
    file.parent.mkdir()
    file.touch()
    assert noted_sha256(file) is None
    (tmp_path / "SHA256SUMS").write_text(f"{'11' * 32}  other.mp4\n{'22' * 32} *a/clip.mp4\n")
    assert noted_sha256(file) == Noted("22" * 32, str(tmp_path / "SHA256SUMS"))
    file.with_name("clip.mp4.sha256").write_text("AB" * 32 + "  clip.mp4\n")
    assert noted_sha256(file) == Noted(SHA, str(file) + ".sha256")


def test_rules_apply_to_kinds_of_media() -> None:
    text = 'finding = "black"\napplies_to = ["video"]'
    assert outcome(text, findings=spans((1, 2)), media={"kind": "image"}).outcome == "not_applicable"
    assert outcome(text, findings=spans((1, 2))).outcome == "fail"


@pytest.mark.parametrize(
    ("seconds", "rate", "expected"),
    [
        (0.0, 25.0, "00:00:00:00"),
        (3661.96, 25.0, "01:01:01:24"),
        (0.04, 25.0, "00:00:00:01"),
        (1.0, 24000 / 1001, "00:00:00:23"),
        (1001 / 24000 * 24, 24000 / 1001, "00:00:01:00"),
        (1800 * 1001 / 30000, 30000 / 1001, "00:01:00;02"),  # frames 0 and 1 of the minute are no labels
        (1799 * 1001 / 30000, 30000 / 1001, "00:00:59;29"),
        (17982 * 1001 / 30000, 30000 / 1001, "00:10:00;00"),
        (3600.0, 30000 / 1001, "01:00:00;00"),
        (107892 * 2 * 1001 / 60000, 60000 / 1001, "01:00:00;00"),
        (1.5, None, "00:00:01.500"),
        (-0.5, 50.0, "-00:00:00:25"),
        (0.99, 120.0, "00:00:00:118"),
    ],
)
def test_timecodes(seconds: float, rate: float | None, expected: str) -> None:
    assert timecode(seconds, rate) == expected

"""Silence: spans injected at known samples."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mediaml.analyzers.audio.silence import Silence
from mediaml.errors import InvalidValue
from mediaml.frames import AudioBlock
from mediaml.ops.quiet_runs import QuietRuns
from mediaml.spec import Table
from tests.clips import sine

RATE = 8000


def blocks(samples: NDArray, size: int = RATE, start_seconds: float = 0.0, gap: bool = False) -> list[AudioBlock]:
    layout = {1: "mono", 2: "stereo"}[samples.shape[0]]
    return [
        AudioBlock(
            torch.from_numpy(samples[:, i : i + size].copy()), RATE, i, start_seconds + i / RATE, layout, gap and i == 0
        )
        for i in range(0, samples.shape[1], size)
    ]


def analyse(*parts: list[AudioBlock], analyzer: Silence | None = None) -> tuple[list[dict], dict]:
    analyzer = analyzer or Silence()
    for part in parts:
        for block in part:
            assert analyzer.update(block) == {}
    rows = analyzer.finish()
    spans = rows[Table.SPANS]
    listed = [{k: v[i] for k, v in spans.items()} for i in range(len(spans["kind"]))]
    return listed, {k: v[0] for k, v in rows[Table.FILES].items()}


def quiet_tone(seconds: float, dbfs: float) -> NDArray:
    return sine(seconds, hz=1000.0, rate=RATE, amplitude=10 ** (dbfs / 20))


@pytest.mark.parametrize("size", [RATE, 777, 10**6])
def test_spans_are_exact_and_digital_silence_is_told_apart(size: int) -> None:
    loud = np.full((2, RATE), 0.5, np.float32)
    sound = np.concatenate([loud, np.zeros((2, 6000), np.float32), loud, quiet_tone(1.0, -70.0), loud], axis=1)
    spans, file = analyse(blocks(sound, size, start_seconds=2.0))
    assert [(s["kind"], s["start_seconds"], s["end_seconds"]) for s in spans] == [
        ("digital_silence", 3.0, 3.75),
        ("silence", 3.0, 3.75),
        ("silence", 4.75, 5.75),
    ]
    assert [s["silence_peak_dbfs"] for s in spans] == [None, None, pytest.approx(-70.0, abs=0.01)]
    assert [s["confidence"] for s in spans] == [1.0, 1.0, pytest.approx(0.75, abs=0.001)]
    assert [s["severity"] for s in spans] == [0.075, 0.075, pytest.approx(0.1)]
    assert "peak -70.0 dBFS" in spans[2]["message"] and "every sample is 0" in spans[0]["message"]
    assert file["silence_share"] == pytest.approx(1.75 / 4.75)
    assert (file["leading_silence_seconds"], file["trailing_silence_seconds"]) == (0.0, 0.0)


def test_one_loud_channel_is_sound() -> None:
    samples = np.zeros((2, 2 * RATE), np.float32)
    samples[1] = 0.1
    assert analyse(blocks(samples))[0] == []


def test_the_minimum_and_the_threshold_are_parameters() -> None:
    sound = np.concatenate([quiet_tone(1.0, -10.0), quiet_tone(0.3, -45.0), quiet_tone(1.0, -10.0)], axis=1)
    assert analyse(blocks(sound))[0] == []
    tuned = Silence(threshold_dbfs=-40.0, minimum_seconds=0.2)
    (span,), _ = analyse(blocks(sound), analyzer=tuned)
    assert span["end_seconds"] - span["start_seconds"] == pytest.approx(0.3, abs=0.001)
    assert tuned.parameters == {"threshold_dbfs": -40.0, "minimum_seconds": 0.2}


def test_head_and_tail() -> None:
    sound = np.zeros((1, 4 * RATE), np.float32)
    sound[:, RATE : RATE + 100] = 0.5
    spans, file = analyse(blocks(sound))
    assert len(spans) == 4
    assert file["leading_silence_seconds"] == 1.0
    assert file["trailing_silence_seconds"] == pytest.approx(3.0 - 100 / RATE)


def test_nothing_but_silence() -> None:
    spans, file = analyse(blocks(np.zeros((2, 12 * RATE), np.float32)))
    assert [(s["kind"], s["severity"]) for s in spans] == [("digital_silence", 1.0), ("silence", 1.0)]
    assert file == {"silence_share": 1.0, "leading_silence_seconds": None, "trailing_silence_seconds": None}


def test_a_jump_in_time_ends_a_span() -> None:
    quiet = np.zeros((1, RATE), np.float32)
    spans, _ = analyse(blocks(quiet), blocks(quiet, start_seconds=5.0, gap=True))
    assert [(s["start_seconds"], s["end_seconds"]) for s in spans if s["kind"] == "silence"] == [(0.0, 1.0), (5.0, 6.0)]


def test_no_sound_at_all_and_reuse() -> None:
    analyzer = Silence()
    for _ in range(2):
        spans, file = analyse(analyzer=analyzer)
        assert spans == [] and set(file.values()) == {None}
    assert len(analyse(blocks(np.zeros((1, RATE), np.float32)), analyzer=analyzer)[0]) == 2
    assert analyse(analyzer=analyzer)[0] == []


@pytest.mark.parametrize("bad", [{"threshold_dbfs": 3.0}, {"minimum_seconds": 0.0}])
def test_bad_parameters(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(bad))):
        Silence(**bad)


@given(
    st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=1, max_size=80),
    st.integers(1, 6),
    st.lists(st.integers(1, 30), min_size=1, max_size=5),
)
def test_runs_match_a_plain_loop(values: list[float], minimum: int, sizes: list[int]) -> None:
    want, start = [], 0
    for i, value in enumerate([*values, 1.0]):
        if value > 0.25:
            if i - start >= minimum:
                want.append((start, i, max(values[start:i])))
            start = i + 1
    finder, at, found = QuietRuns(0.25, minimum), 0, []
    while at < len(values):
        size = sizes[at % len(sizes)]
        found += finder.push(torch.tensor(values[at : at + size], dtype=torch.float64))
        at += size
    found += finder.flush()
    assert [(r.start, r.stop, r.peak) for r in found] == want

"""AudioLevels: each fault injected at a known place."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.analyzers.audio.levels import AudioLevels
from mediaml.errors import InvalidValue
from mediaml.frames import AudioBlock
from mediaml.ops.flagged_spans import flagged_spans
from mediaml.spec import Table
from tests.clips import sine

RATE = 8000


def analyse(
    samples: NDArray,
    *,
    size: int = RATE,
    start: float = 0.0,
    layout: str = "stereo",
    analyzer: AudioLevels | None = None,
) -> tuple[list[dict], dict]:
    analyzer = analyzer or AudioLevels()
    for i in range(0, samples.shape[1], size):
        block = AudioBlock(torch.from_numpy(samples[:, i : i + size].copy()), RATE, i, start + i / RATE, layout)
        assert analyzer.update(block) == {}
    rows = analyzer.finish()
    spans = rows[Table.SPANS]
    listed = [{k: v[i] for k, v in spans.items()} for i in range(len(spans["kind"]))]
    return listed, {k: v[0] for k, v in rows[Table.FILES].items()}


def wide(seconds: float, amplitude: float = 0.2) -> NDArray:
    """Independent noise in two channels."""
    return (np.random.default_rng(5).uniform(-1, 1, (2, round(seconds * RATE))) * amplitude).astype(np.float32)


def test_a_sine_has_its_known_levels() -> None:
    spans, file = analyse(np.stack([sine(4.0, 500.0, RATE, 1, 0.5)[0], sine(4.0, 700.0, RATE, 1, 0.25)[0]]))
    mean = (0.5**2 + 0.25**2) / 4
    assert spans == []
    assert file["rms_dbfs"] == pytest.approx(10 * np.log10(mean), abs=1e-4)
    assert file["crest_factor_db"] == pytest.approx(20 * np.log10(0.5) - 10 * np.log10(mean), abs=0.01)
    assert file["channel_balance_db"] == pytest.approx(6.0206, abs=1e-3)
    assert file["stereo_correlation"] == pytest.approx(0.0, abs=1e-3)
    assert file["dc_offset"] == pytest.approx(0.0, abs=1e-6)
    assert (file["clipped_share"], file["silent_channels"]) == (0.0, 0)


def test_dc_offset_and_a_silent_channel() -> None:
    samples = wide(2.0)
    samples[0] -= 0.05
    samples[1] = 1e-5
    _, file = analyse(samples)
    assert file["dc_offset"] == pytest.approx(0.05, abs=0.002)
    assert file["silent_channels"] == 1
    assert file["channel_balance_db"] is None and file["stereo_correlation"] is None


@pytest.mark.parametrize("size", [RATE, 1234, 3])
def test_clipping_is_found_where_it_is(size: int) -> None:
    samples = wide(5.0 if size > 3 else 3.0)
    samples[1, 16001:16007] = 1.0
    samples[0, 16600:16603] = -1.0
    samples[0, 4000:4002] = 1.0  # two in a row are no clipping
    spans, file = analyse(samples, size=size, start=3.0)
    (span,) = spans
    assert (span["kind"], span["start_seconds"], span["end_seconds"]) == ("clipping", 5.0, pytest.approx(5.1))
    assert span["severity"] == pytest.approx(9 / (0.1 * RATE * 2) / 0.01)
    assert span["message"].startswith("9 samples")
    assert file["clipped_share"] == 9 / samples.size


def test_clipping_across_a_second() -> None:
    samples = wide(2.0)
    samples[0, RATE - 2 : RATE + 3] = 1.0
    spans, file = analyse(samples)
    assert len(spans) == 1 and file["clipped_share"] == 5 / samples.size


@pytest.mark.parametrize(("kind", "sign"), [("inverted_phase", -1.0), ("dual_mono", 1.0)])
def test_phase_and_dual_mono(kind: str, sign: float) -> None:
    samples = wide(12.0)
    samples[1, 4 * RATE : 8 * RATE] = sign * samples[0, 4 * RATE : 8 * RATE]
    samples[1, 10 * RATE :] = sign * samples[0, 10 * RATE :]  # two seconds are too short
    spans, _ = analyse(samples)
    assert [(s["kind"], s["start_seconds"], s["end_seconds"]) for s in spans] == [(kind, 4.0, 8.0)]
    spans, _ = analyse(samples, analyzer=AudioLevels(minimum_seconds=2))
    assert len(spans) == 2 and spans[1]["end_seconds"] == 12.0


def test_nothing_is_said_about_the_phase_of_near_silence() -> None:
    samples = wide(5.0, amplitude=5e-4)
    samples[1] = -samples[0]
    assert analyse(samples)[0] == []


def test_full_inversion_has_correlation_minus_one() -> None:
    samples = wide(4.3)
    samples[1] = -samples[0]
    spans, file = analyse(samples)
    assert file["stereo_correlation"] == pytest.approx(-1.0)
    assert spans[0]["end_seconds"] == pytest.approx(4.3)


def test_mono_surround_silence_and_nothing() -> None:
    _, mono = analyse(wide(1.0)[:1], layout="mono")
    assert mono["channel_balance_db"] is None and mono["rms_dbfs"] == pytest.approx(
        20 * np.log10(0.2 / 3**0.5), abs=0.1
    )
    surround = np.zeros((6, RATE), np.float32)
    surround[3] = 0.5  # LFE does not count
    _, lfe = analyse(surround, layout="5.1")
    assert lfe["rms_dbfs"] is None and lfe["silent_channels"] == 5
    analyzer = AudioLevels()
    for _ in range(2):
        spans, none = analyse(np.zeros((2, 0), np.float32), analyzer=analyzer)
        assert spans == [] and set(none.values()) == {None}
    _, one = analyse(np.full((2, 1), 0.5, np.float32), analyzer=analyzer)
    assert one["rms_dbfs"] == pytest.approx(-6.0206, abs=1e-3) and one["crest_factor_db"] == pytest.approx(
        0.0, abs=1e-6
    )


@pytest.mark.parametrize("bad", [{"clip_level": 1.5}, {"minimum_seconds": 0}])
def test_bad_parameters(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidValue, match=next(iter(bad))):
        AudioLevels(**bad)  # type: ignore[arg-type]


def test_flagged_spans() -> None:
    flags = [c == "x" for c in "x..xx.x...xxx"]
    assert flagged_spans(flags, join=0, minimum=1) == [(0, 1), (3, 5), (6, 7), (10, 13)]
    assert flagged_spans(flags, join=1, minimum=3) == [(3, 7), (10, 13)]
    assert flagged_spans([], join=3, minimum=1) == []

"""Detectors of faults in sound, on faults made at known times."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from mediaml.analyzers.audio.clicks import Clicks
from mediaml.analyzers.audio.dc_offset import DcOffset
from mediaml.analyzers.audio.dropouts import Dropouts
from mediaml.analyzers.audio.hum import Hum
from mediaml.analyzers.audio.loudness_target import LoudnessTarget
from mediaml.analyzers.audio.missing_channel import MissingChannel
from mediaml.analyzers.audio.stream_sync import StreamSync
from mediaml.errors import InvalidValue, UnknownName
from mediaml.frames import AudioBlock
from mediaml.ops.prediction import prediction_residual
from mediaml.spec import Table
from tests.audio_blocks import analyzed, noise, spans
from tests.contract.inputs import clip, media_info
from tests.ebu_signals import tones

RATE = 48000


@pytest.mark.parametrize("make", [DcOffset, Hum, Dropouts, Clicks, MissingChannel, LoudnessTarget])
def test_clean_noise_has_no_fault(make: type) -> None:
    clean = noise(8.0, level=10 ** (-23 / 20) / 2)
    rows = analyzed(make(), clean[:1] if make is Hum else clean)
    assert [s for s in spans(rows) if s[0] != "loudness_off_target"] == []


def test_dc_offset_is_found_where_it_is() -> None:
    samples = noise(10.0)
    samples[1, 3 * RATE : 8 * RATE] += 0.02
    (kind, start, end), *more = spans(analyzed(DcOffset(), samples))
    assert (
        (kind, more) == ("dc_offset", [])
        and start == pytest.approx(3.0, abs=0.5)
        and end == pytest.approx(8.0, abs=0.5)
    )


def test_low_tone_is_no_offset() -> None:
    t = np.arange(10 * RATE) / RATE
    assert spans(analyzed(DcOffset(), (0.9 * np.sin(2 * np.pi * 21.3 * t))[None])) == []


@pytest.mark.parametrize("mains", [50.0, 60.0])
def test_hum_names_the_mains_and_its_level(mains: float) -> None:
    samples = noise(12.0, channels=1, level=0.02)
    t = np.arange(7 * RATE) / RATE
    wave = sum(10 ** (-k / 5) * np.sin(2 * np.pi * mains * (k + 1) * t) for k in range(6))
    wave = 0.01 * wave / np.std(wave)
    samples[0, 3 * RATE : 10 * RATE] += wave.astype(np.float32)
    rows = analyzed(Hum(), samples)
    (_, start, end), *more = spans(rows)
    assert not more and abs(start - 3) < 1.3 and abs(end - 10) < 1.3
    assert rows[Table.SPANS]["hum_hz"] == [int(mains)]
    assert rows[Table.SPANS]["hum_dbfs"][0] == pytest.approx(-40.0, abs=1.0)


def test_a_steady_note_is_no_hum() -> None:
    t = np.arange(10 * RATE) / RATE
    note = sum(0.1 / k * np.sin(2 * np.pi * 49.0 * k * t) for k in range(1, 8))  # G1
    assert spans(analyzed(Hum(), np.asarray(note)[None] + noise(10.0, channels=1, level=1e-3))) == []


@pytest.mark.parametrize("milliseconds", [5, 20, 200])
def test_dropout_is_found_to_the_millisecond(milliseconds: int) -> None:
    samples = noise(4.0)
    at = round(1.9955 * RATE)  # across the border of two pieces
    samples[:, at : at + milliseconds * RATE // 1000] = 0
    rows = analyzed(Dropouts(), samples)
    (kind, start, end), *more = spans(rows)
    assert kind == "dropout" and not more
    assert start == pytest.approx(1.9955, abs=0.0015) and end - start == pytest.approx(milliseconds / 1000, abs=0.0021)
    assert "all channels" in rows[Table.SPANS]["message"][0] and rows[Table.FILES]["dropout_spans"] == [1]


def test_a_gap_of_two_milliseconds_is_found_where_that_is_asked() -> None:
    samples = noise(4.0)
    samples[:, 2 * RATE : 2 * RATE + RATE // 500] = 0
    (kind, start, end), *more = spans(analyzed(Dropouts(minimum_ms=2), samples))
    assert (kind, more) == ("dropout", [])
    assert (start, end) == (pytest.approx(2.0, abs=0.001), pytest.approx(2.002, abs=0.001))


def test_a_fade_is_no_dropout() -> None:
    samples = noise(3.0)
    bend = np.abs(np.arange(samples.shape[1]) - 1.5 * RATE) / (0.05 * RATE)
    assert spans(analyzed(Dropouts(), samples * np.clip(bend - 1, 0, 1).astype(np.float32) ** 3)) == []


def test_a_note_that_dies_away_before_a_loud_one_is_no_dropout() -> None:
    samples = noise(3.0, level=0.3)
    gap = slice(round(1.5 * RATE), round(1.6 * RATE))
    samples[:, : gap.start] *= 0.02
    samples[:, gap] = 0
    assert spans(analyzed(Dropouts(), samples)) == []


def test_single_wild_sample_is_a_click() -> None:
    t = np.arange(4 * RATE) / RATE
    samples = np.stack([0.2 * np.sin(2 * np.pi * 440 * t), 0.2 * np.sin(2 * np.pi * 660 * t)]) + noise(4.0, level=1e-3)
    samples[0, 100000] += 0.1
    samples[1, 150000] += 0.1
    rows = analyzed(Clicks(), samples)
    assert spans(rows) == [("click", round(100000 / RATE, 3), pytest.approx(100000 / RATE, abs=0.002)),
                           ("click", 3.125, pytest.approx(3.125, abs=0.002))]  # fmt: skip
    assert analyzed(Clicks(), samples, size=999) == rows


def test_prediction_sees_through_a_tone_and_not_through_an_impulse() -> None:
    t = torch.arange(4096) / 8000
    tone = 0.5 * torch.sin(2 * torch.pi * 500 * t)[None] + 1e-3 * torch.randn(
        1, 4096, generator=torch.Generator().manual_seed(0)
    )
    struck = tone.clone()
    struck[0, 2000] += 0.2
    plain, hit = (prediction_residual(x, 512, 24).abs().flatten() for x in (tone, struck))
    assert plain[600:].max() < 0.02 and hit[600:].argmax() == 1400 and float(hit[2000]) == pytest.approx(0.2, rel=0.1)


def test_missing_channel_and_pauses() -> None:
    samples = noise(10.0)
    samples[1, 2 * RATE : 8 * RATE] = 0
    samples[:, 4 * RATE : 5 * RATE] = 0  # a pause of both does not end it
    assert spans(analyzed(MissingChannel(), samples)) == [("missing_channel", 2.0, 8.0)]


def test_surround_that_rests_is_no_fault_but_a_dead_one_is() -> None:
    samples = noise(12.0, channels=6)
    samples[4, : 10 * RATE] = 0
    assert spans(analyzed(MissingChannel(), samples)) == []
    samples[4] = 0
    rows = analyzed(MissingChannel(), samples)
    assert spans(rows) == [("missing_channel", 0.0, 12.0)] and rows[Table.SPANS]["message"][0].startswith("BL")


def test_loudness_target() -> None:
    on = analyzed(LoudnessTarget(), tones([(-23.0, 10.0)]))
    assert on[Table.FILES]["loudness_deviation_lu"][0] == pytest.approx(0.0, abs=0.05) and spans(on) == []
    off = analyzed(LoudnessTarget("atsc_a85"), tones([(-18.0, 10.0)]))
    assert spans(off) == [("loudness_off_target", 0.0, 10.0)] and "+6.0 LU" in off[Table.SPANS]["message"][0]
    assert off[Table.SPANS]["severity"][0] == pytest.approx(0.6, abs=0.01)
    with pytest.raises(UnknownName, match="ebu_r128"):
        LoudnessTarget("ebu_r182")


def test_true_peak_over_is_placed_to_a_tenth() -> None:
    samples = tones([(-23.0, 10.0)])
    samples[:, 5 * RATE : 5 * RATE + 2400] *= 13.0
    found = [s for s in spans(analyzed(LoudnessTarget(), samples)) if s[0] == "true_peak_over"]
    assert found == [("true_peak_over", pytest.approx(5.0, abs=0.11), pytest.approx(5.1, abs=0.11))]


def sync(offset: float, seconds: float, jumps: float = 0.0) -> dict:
    """25 frames of picture from 0 s on, and sound from `offset` on, whose clock loses `jumps` each half second."""
    source = clip(25, 16, 16)
    need = Clicks.spec.need
    media = media_info(source, None)
    media = replace(media, video=(replace(media.video[0], duration_seconds_header=3.0),))
    assert need is not None
    analyzer = StreamSync()
    analyzer.start(media)
    at, k = offset, 0
    samples = noise(seconds, channels=1)
    for begin in range(0, samples.shape[1], RATE // 2):
        part = torch.from_numpy(samples[:, begin : begin + RATE // 2].copy())
        analyzer.update(AudioBlock(part, RATE, begin, at, "mono", gap=bool(jumps) and k > 0))
        at, k = at + part.shape[1] / RATE + jumps, k + 1
    return {t: dict(c) for t, c in analyzer.finish().items()}


def test_stream_sync() -> None:
    assert spans(sync(0.0, 3.0)) == []
    late = sync(0.4, 3.0)
    assert spans(late) == [("av_start_offset", 0.0, 0.4)]
    assert late[Table.FILES]["av_start_offset_seconds"] == [pytest.approx(0.4)]
    short = sync(0.0, 2.0)
    assert spans(short) == [("av_length_differs", 2.0, 3.0)]
    assert short[Table.FILES]["av_length_difference_seconds"] == [pytest.approx(-1.0)]
    drifting = sync(0.0, 3.0, jumps=0.02)
    assert "av_drift" in [s[0] for s in spans(drifting)]
    assert drifting[Table.FILES]["audio_drift_ppm"][0] == pytest.approx(0.1 / 3.1 * 1e6, rel=0.05)


def test_bad_settings_are_refused() -> None:
    for make in (
        lambda: DcOffset(threshold=0), lambda: Hum(prominence_db=1), lambda: Dropouts(minimum_ms=600),
        lambda: Clicks(ratio=1), lambda: MissingChannel(silent_dbfs=-20), lambda: StreamSync(offset_seconds=0),
    ):  # fmt: skip
        with pytest.raises(InvalidValue):
            make()

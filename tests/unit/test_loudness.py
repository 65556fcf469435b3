"""Loudness against the EBU's synthetic signals, and against ffmpeg's ebur128 on real ones."""

from __future__ import annotations

import re
import subprocess
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.signal import sosfilt

from mediaml.analyzers.audio.loudness import Loudness
from mediaml.decode.audio import AudioPath
from mediaml.errors import InvalidValue
from mediaml.frames import AudioBlock
from mediaml.media import AudioStream
from mediaml.ops.channel_layouts import channel_names, loudness_weights
from mediaml.ops.kweighting import KWeighting, fast_length, k_weighting_sections
from mediaml.ops.loudness import integrated_loudness, loudness_range, lufs_to_energy
from mediaml.ops.true_peak import TruePeak, interpolation_phases, oversampling_factor
from mediaml.spec import AudioView, Table
from tests import ebu_signals
from tests.clips import sine
from tests.ebu_signals import Case, tones

RATE = 48000


def blocks_of(samples: NDArray, rate: int, layout: str, size: int, start: float = 0.0) -> list[AudioBlock]:
    return [
        AudioBlock(torch.from_numpy(samples[:, i : i + size].copy()), rate, i, start + i / rate, layout)
        for i in range(0, samples.shape[1], size)
    ]


def measure(blocks: list[AudioBlock], analyzer: Loudness | None = None) -> tuple[dict, dict[str, list]]:
    """(file columns, series -> [(time, value)])"""
    analyzer = analyzer or Loudness()
    for block in blocks:
        assert analyzer.update(block) == {}
    rows = analyzer.finish()
    series: dict[str, list] = {}
    table = rows[Table.SERIES]
    for name, time, value in zip(table["series"], table["time_seconds"], table["value"], strict=True):
        series.setdefault(name, []).append((time, value))
    return {k: v[0] for k, v in rows[Table.FILES].items()}, series


def of_signal(samples: NDArray, rate: int = RATE, layout: str = "stereo", size: int | None = None) -> tuple[dict, dict]:
    return measure(blocks_of(samples, rate, layout, size or rate))


def check(case: Case, rate: int) -> None:
    file, series = of_signal(case.samples, rate, case.layout)
    wanted = {
        "integrated_lufs": case.integrated,
        "max_momentary_lufs": case.max_momentary,
        "max_short_term_lufs": case.max_short_term,
        "loudness_range_lu": case.range_lu,
    }
    for column, value in wanted.items():
        if value is not None:
            assert file[column] == pytest.approx(value, abs=0.1), (case.name, column)
    if case.true_peak is not None:
        assert case.true_peak - 0.4 <= file["true_peak_dbtp"] <= case.true_peak + 0.2, case.name
    for name, after, value in (
        ("momentary_lufs", 1.0, case.constant_momentary),
        ("short_term_lufs", 3.0, case.constant_short_term),
    ):
        if value is not None:
            levels = [v for t, v in series[name] if t >= after]
            assert len(levels) > 5 and levels == pytest.approx([value] * len(levels), abs=0.1), case.name


@pytest.mark.parametrize("case", ebu_signals.integrated_cases(), ids=lambda c: c.name)
def test_ebu_integrated(case: Case) -> None:
    check(case, RATE)


@pytest.mark.parametrize("case", ebu_signals.range_cases(), ids=lambda c: c.name)
def test_ebu_loudness_range(case: Case) -> None:
    check(case, RATE)


@pytest.mark.parametrize("case", ebu_signals.true_peak_cases(), ids=lambda c: c.name)
def test_ebu_true_peak(case: Case) -> None:
    check(case, RATE)


def test_ebu_windows() -> None:
    for case in ebu_signals.window_cases():
        if not re.search(r"-1[0134]-(?!7$|13$|19$)\d+$", case.name):  # three of the twenty offsets
            check(case, RATE)


@pytest.mark.slow
@pytest.mark.parametrize(("rate", "every"), [(44100, 1), (96000, 6)])
def test_ebu_cases_at_other_rates(rate: int, every: int) -> None:
    makers = (ebu_signals.integrated_cases, ebu_signals.window_cases, ebu_signals.range_cases)
    for case in [case for make in makers for case in make(rate)][::every]:
        check(case, rate)


def test_coefficients_at_48_khz_are_those_of_the_standard() -> None:
    shelf, high_pass = k_weighting_sections(48000)
    assert shelf[:3] == pytest.approx([1.53512485958697, -2.69169618940638, 1.19839281085285], abs=1e-12)
    assert shelf[4:] == pytest.approx([-1.69065929318241, 0.73248077421585], abs=1e-12)
    assert high_pass[4:] == pytest.approx([-1.99004745483398, 0.99007225036621], abs=1e-12)


@pytest.mark.parametrize("rate", [8000, 11025, 44100, 192000])
def test_filter_is_that_of_the_recursive_form(rate: int) -> None:
    noise = (np.random.default_rng(0).standard_normal((2, 2 * rate + 777)) * 0.2 + 0.5).astype(np.float32)
    weighting = KWeighting(rate, 2, rate)
    pieces = [weighting.filter(torch.from_numpy(noise[:, i : i + rate])) for i in range(0, noise.shape[1], rate)]
    want = sosfilt(k_weighting_sections(rate), noise.astype(np.float64))
    assert np.abs(torch.cat(pieces, dim=1).numpy() - want).max() < 1.5e-6


def test_fast_length() -> None:
    assert [fast_length(n) for n in (1, 54000, 54001, 97)] == [2, 54000, 54432, 98]


@pytest.mark.parametrize(("offset", "hz", "rate"), [(0.1, 8000.0, 48000), (0.4, 19000.0, 48000), (1.0, 3000.0, 8000)])
def test_true_peak_lies_between_samples(offset: float, hz: float, rate: int) -> None:
    """The factor of 4 misses at most 20 log10(cos(pi f / (4 rate))) dB (BS.1770-5, annex 2)."""
    t = np.arange(rate) / rate
    fade = np.minimum(1, np.minimum(t, t[::-1]) / 0.05)
    wave = (0.8 * fade * np.sin(2 * np.pi * hz * t + offset)).astype(np.float32)
    meter = TruePeak(rate, 1)
    found = float(
        torch.stack([*(meter.push(torch.from_numpy(p[None])) for p in np.split(wave, 20)), meter.flush()]).max()
    )
    under_read = 20 * np.log10(np.cos(np.pi * hz / (4 * rate)))
    assert under_read - 0.02 <= 20 * np.log10(found / 0.8) <= 0.02


def every_value(samples: NDArray) -> float:
    """The greatest magnitude at and between all samples, by plain convolution; silence before and after."""
    phases = interpolation_phases(4).double().numpy()
    between = [np.abs(np.convolve(channel, phase[::-1])).max() for channel in samples for phase in phases]
    return max(float(np.abs(samples).max()), *map(float, between))


@pytest.mark.parametrize("kind", ["noise", "tones", "impulses", "square", "quiet channels"])
def test_true_peak_leaves_out_only_what_cannot_be_the_greatest(kind: str) -> None:
    rng = np.random.default_rng(3)
    t = np.arange(9000)
    made = {
        "noise": rng.standard_normal((3, t.size)),
        "tones": np.sin(2 * np.pi * rng.uniform(0.05, 0.49, (3, 1)) * t + rng.uniform(0, 6, (3, 1))),
        "impulses": rng.standard_normal((3, t.size)) * (rng.random((3, t.size)) < 0.002),
        "square": np.sign(rng.standard_normal((3, t.size))),
        "quiet channels": rng.standard_normal((3, t.size)) * [[1.0], [0.5], [0.01]],
    }
    samples = made[kind].astype(np.float32)
    meter = TruePeak(RATE, 3)
    pieces = [meter.push(torch.from_numpy(p.copy())) for p in np.split(samples, [1, 40, 3000, 8990], axis=1)]
    assert float(torch.stack([*pieces, meter.flush()]).max()) == pytest.approx(every_value(samples), rel=1e-5)


def test_true_peak_of_the_decimated_burst_is_that_of_the_fine_signal() -> None:
    """All four decimation phases see the same peak to 0.02 dB, whichever samples they kept."""
    peaks = [of_signal(ebu_signals.offset_burst(k))[0] for k in range(4)]
    assert np.ptp([p["true_peak_dbtp"] for p in peaks]) < 0.02
    assert np.ptp([p["sample_peak_dbfs"] for p in peaks]) > 0.3


def test_peak_at_the_very_end_counts() -> None:
    samples = np.zeros((1, 1000), np.float32)
    samples[0, -2:] = 0.5, 0.5
    file, _ = of_signal(samples, layout="mono")
    assert file["true_peak_dbtp"] > -6.0 + 1.0 and file["sample_peak_dbfs"] == pytest.approx(-6.0206, abs=1e-3)


@pytest.mark.parametrize(("rate", "factor"), [(8000, 4), (48000, 4), (96000, 2), (192000, 1)])
def test_oversampling(rate: int, factor: int) -> None:
    assert oversampling_factor(rate) == factor
    file, _ = of_signal(tones([(-20.0, 0.5)], rate), rate)
    assert file["true_peak_dbtp"] == pytest.approx(-20.0, abs=0.1)


@pytest.mark.parametrize("size", [1000, 4801, 200000])
def test_values_do_not_depend_on_the_size_of_blocks(size: int) -> None:
    noise = (np.random.default_rng(1).standard_normal((2, 5 * RATE + 1234)) * 0.1).astype(np.float32)
    want, got = of_signal(noise), of_signal(noise, size=size)
    assert got == want


def test_series_have_their_times() -> None:
    _, series = of_signal(tones([(-20.0, 4.25)]))
    assert [t for t, _ in series["momentary_lufs"]] == pytest.approx([0.4 + 0.1 * k for k in range(39)])
    assert [t for t, _ in series["short_term_lufs"]] == [3.0, 4.0]
    assert [t for t, _ in series["true_peak_dbtp"]] == pytest.approx([1.0, 2.0, 3.0, 4.0, 4.25])
    assert all(v == pytest.approx(-20.0, abs=0.1) for rows in series.values() for _, v in rows[1:])


def test_a_late_stream_and_a_jump() -> None:
    first = blocks_of(tones([(-20.0, 1.0)]), RATE, "stereo", RATE, start=10.0)
    second = blocks_of(tones([(-20.0, 1.0)]), RATE, "stereo", RATE, start=30.0)
    second[0].gap = True
    file, series = measure(first + second)
    times = [t for t, _ in series["momentary_lufs"]]
    assert min(times) == pytest.approx(10.4) and max(times) == pytest.approx(31.0)
    assert len(times) == 14  # seven windows a part: none spans the jump
    assert file["integrated_lufs"] == pytest.approx(-20.0, abs=0.1) and file["max_short_term_lufs"] is None


def test_a_peak_of_exactly_full_scale() -> None:
    samples = np.zeros((1, RATE), np.float32)
    samples[0, 1000] = 1.0
    file, series = of_signal(samples, layout="mono")
    assert file["true_peak_dbtp"] == file["sample_peak_dbfs"] == 0.0
    assert series["true_peak_dbtp"][0] == (1.0, 0.0)


def test_undefined_measures_are_null() -> None:
    nothing = dict.fromkeys(
        (
            "integrated_lufs",
            "loudness_range_lu",
            "max_momentary_lufs",
            "max_short_term_lufs",
            "true_peak_dbtp",
            "sample_peak_dbfs",
        )
    )
    analyzer = Loudness()
    assert measure([], analyzer) == (nothing, {})
    one_sample = blocks_of(np.full((2, 1), 0.5, np.float32), RATE, "stereo", 1)
    file, series = measure(one_sample, analyzer)
    assert {k for k, v in file.items() if v is not None} == {"true_peak_dbtp", "sample_peak_dbfs"}
    assert set(series) == {"true_peak_dbtp"}
    file, series = measure(blocks_of(np.zeros((2, 4 * RATE), np.float32), RATE, "stereo", RATE), analyzer)
    assert file == nothing | {"max_momentary_lufs": -120.0, "max_short_term_lufs": -120.0}
    assert {v for rows in series.values() for _, v in rows} == {-120.0}
    assert measure([], analyzer) == (nothing, {})


def test_channel_weights_of_bs1770() -> None:
    def weights(layout: str, channels: int) -> list[float]:
        return list(loudness_weights(channel_names(layout, channels)))

    assert weights("5.1", 6) == weights("5.1(side)", 6) == weights("6 channels", 6) == [1, 1, 1, 0, 1.41, 1.41]
    assert weights("7.1", 8) == [1, 1, 1, 0, 1, 1, 1.41, 1.41]
    assert weights("stereo", 2) == weights("downmix", 2) == weights("2 channels (FR+FL)", 2) == [1, 1]
    assert weights("11 channels", 11) == [1] * 11
    with pytest.raises(InvalidValue, match="samples have 3"):
        channel_names("stereo", 3)


@pytest.mark.parametrize(
    "name", ["2.1", "quad", "5.1(side)", "6.1(back)", "7.1(wide)", "7.1.4", "9.1.6", "22.2", "cube"]
)
def test_layouts_are_those_of_ffmpeg(name: str) -> None:
    layout = av.AudioLayout(name)
    assert channel_names(name, layout.nb_channels) == tuple(c.name for c in layout.channels)


def test_the_lfe_is_not_heard_and_mono_is_one_channel() -> None:
    surround = np.zeros((8, 2 * RATE), np.float32)
    surround[3] = 0.5 * sine(2.0, channels=1)[0]
    assert of_signal(surround, layout="7.1")[0]["integrated_lufs"] is None
    stereo = of_signal(tones([(-20.0, 2.0)]))[0]["integrated_lufs"]
    mono = of_signal(tones([(-20.0, 2.0)], channels=1), layout="mono")[0]["integrated_lufs"]
    assert stereo - mono == pytest.approx(3.01, abs=0.01)


def test_rates_that_cannot_be_measured_are_refused() -> None:
    with pytest.raises(InvalidValue, match="3000 Hz"):
        of_signal(np.zeros((1, 3000), np.float32), 3000, "mono")


def test_gates_by_hand() -> None:
    quiet, middle, loud = (np.full(10, lufs_to_energy(v)) for v in (-75.0, -30.0, -10.0))
    assert integrated_loudness(quiet) is None and loudness_range(quiet) is None
    assert integrated_loudness(np.concatenate([quiet, middle])) == pytest.approx(-30.0)
    assert integrated_loudness(np.concatenate([middle, loud])) == pytest.approx(-10.0)  # 17 LU below: gated out
    assert loudness_range(np.concatenate([quiet, middle, loud])) == pytest.approx(20.0)


def by_ffmpeg(path: Path) -> tuple[float, float, float, float]:
    """(I, LRA, true peak, sample peak) by an independent ffmpeg's ebur128 filter."""
    exe = pytest.importorskip("imageio_ffmpeg").get_ffmpeg_exe()
    command = [
        exe,
        "-hide_banner",
        "-nostats",
        "-i",
        str(path),
        "-map",
        "0:a:0",
        "-filter:a",
        "ebur128=peak=true+sample",
    ]
    text = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True).stderr
    summary = text[text.rindex("Summary:") :]
    found = [
        re.search(p, summary)
        for p in (r"I:\s+(\S+)", r"LRA:\s+(\S+)", r"True peak:\s+Peak:\s+(\S+)", r"Sample peak:\s+Peak:\s+(\S+)")
    ]
    return tuple(float(m[1]) for m in found if m)  # type: ignore[return-value]


def by_us(path: Path) -> dict:
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        info = AudioStream(
            stream.index, "?", None, stream.rate, stream.channels, stream.layout.name, None, None, None, 0.0, None
        )
        audio = AudioPath(info, AudioView())
        blocks = [b for frame in container.decode(stream) for b in audio.push(frame)] + audio.flush()
    assert all(b.gap or a.start_sample + len(a) == b.start_sample for a, b in pairwise(blocks))
    return measure(blocks)[0]


@pytest.mark.parametrize(
    ("name", "long"),
    [
        ("sample.avi", False),
        ("bbb_960x540_60fps_vp8.webm", False),  # 5.1
        ("sample_portrait.mp4", False),
        ("bbb_2500ms.ts", False),
        ("nasa_13013.mp4", True),  # 8 kHz
        ("nasa_13013.mp4.audio_44100.mp3", True),
    ],
)
def test_agrees_with_ffmpeg_on_real_clips(shared_data: Path, name: str, long: bool) -> None:
    """The range is compared where there are windows enough for its percentiles to mean something."""
    path = next(shared_data.rglob(name))
    integrated, spread, true_peak, sample_peak = by_ffmpeg(path)
    ours = by_us(path)
    assert ours["integrated_lufs"] == pytest.approx(integrated, abs=0.1)
    assert ours["sample_peak_dbfs"] == pytest.approx(sample_peak, abs=0.1)
    assert ours["true_peak_dbtp"] == pytest.approx(true_peak, abs=0.1)
    if long:
        assert ours["loudness_range_lu"] == pytest.approx(spread, abs=0.1)


def test_agrees_with_ffmpeg_over_two_minutes_of_sounds(shared_data: Path, tmp_path: Path) -> None:
    recordings = sorted((shared_data / "audio-tag").rglob("*.ogg"))[::4]
    path = tmp_path / "sounds.wav"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=44100, layout="stereo")
        at = 0
        for recording in recordings:
            fit = av.AudioResampler(format="s16", layout="stereo", rate=44100)
            with av.open(str(recording)) as container:
                for frame in [*container.decode(audio=0), None]:
                    for piece in fit.resample(frame):
                        piece.pts, at = at, at + piece.samples
                        out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    integrated, spread, true_peak, _ = by_ffmpeg(path)
    ours = by_us(path)
    assert ours["integrated_lufs"] == pytest.approx(integrated, abs=0.1)
    assert ours["loudness_range_lu"] == pytest.approx(spread, abs=0.1)
    assert ours["true_peak_dbtp"] == pytest.approx(true_peak, abs=0.2)  # ffmpeg oversamples to 192 kHz, here it is 4x

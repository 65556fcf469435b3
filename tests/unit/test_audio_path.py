"""AudioPath: positions, formats, faults. Frames are built by hand, so that every timestamp is known."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import pairwise
from math import ceil
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.decode.audio import AudioPath
from mediaml.decode.problems import KEPT
from mediaml.decode.samples import mixing_matrix
from mediaml.frames import AudioBlock
from mediaml.media import AudioStream
from mediaml.spec import AudioView
from tests.clips import make_clip, sine

RATE = 48000


def a_stream(rate: int = RATE, layout: str = "stereo") -> AudioStream:
    channels = av.AudioLayout(layout).nb_channels
    return AudioStream(1, "pcm", None, rate, channels, layout, "flt", 32, None, 0.0, None)


def a_frame(
    samples: NDArray,
    pts: int | None,
    *,
    rate: int = RATE,
    layout: str = "stereo",
    fmt: str = "flt",
    base: int | None = None,
) -> av.AudioFrame:
    """`samples` (C, T), already in the number format of `fmt`; packed unless fmt ends in p."""
    array = samples if fmt.endswith("p") else samples.T.reshape(1, -1)
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(array), format=fmt, layout=layout)
    frame.sample_rate = rate
    frame.time_base = Fraction(1, base or rate)
    frame.pts = pts
    return frame


def deliver(path: AudioPath, frames: Iterable[av.AudioFrame]) -> list[AudioBlock]:
    return [b for f in frames for b in path.push(f)] + path.flush()


def joined(blocks: list[AudioBlock]) -> NDArray:
    return torch.cat([b.samples for b in blocks], dim=1).numpy()


def cut(samples: NDArray, size: int, *, start: int = 0, **how) -> list[av.AudioFrame]:
    return [a_frame(samples[:, i : i + size], start + i, **how) for i in range(0, samples.shape[1], size)]


@pytest.mark.parametrize("fmt", ["u8", "u8p", "s16", "s16p", "s32", "s32p", "flt", "fltp", "dbl", "dblp"])
def test_every_sample_format_has_the_same_full_scale(fmt: str) -> None:
    want = np.array([[-1.0, -0.5, 0.0, 0.25, 0.75], [0.5, 0.0, -0.25, -1.0, 0.125]])
    kind = fmt.removesuffix("p")
    scale = {"u8": 128, "s16": 2**15, "s32": 2**31, "flt": 1, "dbl": 1}[kind]
    dtype = {"u8": "u1", "s16": "i2", "s32": "i4", "flt": "f4", "dbl": "f8"}[kind]
    coded = (want * scale + (128 if kind == "u8" else 0)).astype(dtype)
    blocks = deliver(AudioPath(a_stream(), AudioView()), [a_frame(coded, 0, fmt=fmt)])
    assert np.array_equal(joined(blocks), want)


def test_blocks_are_one_second_with_exact_positions() -> None:
    samples = np.random.default_rng(0).uniform(-1, 1, (2, 2 * RATE + 777)).astype(np.float32)
    path = AudioPath(a_stream(), AudioView())
    blocks = deliver(path, cut(samples, 1024, start=RATE // 2))
    assert [len(b) for b in blocks] == [RATE, RATE, 777]
    assert [b.start_sample for b in blocks] == [0, RATE, 2 * RATE]
    assert [b.start_seconds for b in blocks] == [0.5, 1.5, 2.5]  # the stream starts late
    assert not any(b.gap for b in blocks) and {b.layout for b in blocks} == {"stereo"}
    assert np.array_equal(joined(blocks), samples)
    assert path.samples_decoded == samples.shape[1] and path.problems.count == 0


def test_timestamps_rounded_to_milliseconds_are_no_gap() -> None:
    samples = sine(3.0, rate=44100)
    frames = [
        a_frame(samples[:, i : i + 1024], round(i / 44.1), rate=44100, base=1000)
        for i in range(0, samples.shape[1], 1024)
    ]
    path = AudioPath(a_stream(44100), AudioView())
    blocks = deliver(path, frames)
    assert path.problems.count == 0
    assert [b.start_seconds for b in blocks] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("shift", "kind"), [(RATE, "audio_gap"), (-2400, "audio_overlap"), (1024, "audio_gap")])
def test_jumps_in_time_start_a_new_run(shift: int, kind: str) -> None:
    samples = sine(1.0)
    frames = cut(samples[:, : RATE // 2], 1200) + cut(samples[:, RATE // 2 :], 1200, start=RATE // 2 + shift)
    path = AudioPath(a_stream(), AudioView())
    blocks = deliver(path, frames)
    assert [len(b) for b in blocks] == [RATE // 2, RATE // 2]
    assert [b.gap for b in blocks] == [False, True]
    assert blocks[1].start_sample == RATE // 2 + shift
    assert blocks[1].start_seconds == pytest.approx(0.5 + shift / RATE, abs=1e-12)
    (problem,) = path.problems
    assert (problem.kind, problem.stream_index, problem.seconds) == (kind, 1, 0.5)
    assert f"{abs(shift) / RATE:.3f} s" in problem.message


def test_frames_without_timestamps_follow_each_other() -> None:
    frames = [a_frame(sine(0.1), 4800), a_frame(sine(0.1), None)]
    path = AudioPath(a_stream(), AudioView())
    (block,) = deliver(path, frames)
    assert len(block) == 9600 and block.start_seconds == 0.1 and path.problems.count == 0


def test_nan_and_infinity_become_zero_and_are_counted() -> None:
    samples = sine(0.5)
    want = samples.copy()
    samples[0, 5000], samples[1, 9000], samples[0, 9001] = np.nan, np.inf, -np.inf
    want[0, 5000] = want[1, 9000] = want[0, 9001] = 0
    path = AudioPath(a_stream(), AudioView())
    assert np.array_equal(joined(deliver(path, cut(samples, 4800))), want)
    assert [(p.kind, p.seconds, p.message.split()[0]) for p in path.problems] == [("audio_not_finite", 0.1, "3")]


def test_problems_are_capped_but_counted() -> None:
    bad = np.full((2, 10), np.nan, np.float32)
    path = AudioPath(a_stream(), AudioView())
    deliver(path, [a_frame(bad, i * 10) for i in range(150)])
    assert len(path.problems) == KEPT and path.problems.count == 150


def test_mono_is_the_mean_not_the_sum() -> None:
    samples = np.stack([np.full(100, 1.0), np.full(100, 0.5)]).astype(np.float32)
    (block,) = deliver(AudioPath(a_stream(), AudioView(layout="mono")), [a_frame(samples, 0)])
    assert block.layout == "mono" and block.samples.shape == (1, 100)
    assert torch.all(block.samples == 0.75)


@pytest.mark.parametrize(
    ("rate_in", "rate_out"), [(48000, 16000), (44100, 16000), (8000, 16000), (192000, 16000), (44100, 48000)]
)
@pytest.mark.parametrize("count", [1, 997, 30011])
def test_resampled_count_is_exact(rate_in: int, rate_out: int, count: int) -> None:
    samples = sine(count / rate_in, rate=rate_in, channels=1)[:, :count]
    path = AudioPath(a_stream(rate_in, "mono"), AudioView(rate_out, "mono"))
    blocks = deliver(path, cut(samples, 1024, rate=rate_in, layout="mono"))
    assert sum(len(b) for b in blocks) == ceil(count * rate_out / rate_in)
    assert all(a.start_sample + len(a) == b.start_sample for a, b in pairwise(blocks))


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 16000), (44100, 16000), (8000, 16000), (44100, 48000)])
def test_resampling_keeps_time_and_amplitude(rate_in: int, rate_out: int) -> None:
    samples = sine(1.5, hz=1000.0, rate=rate_in, channels=2, amplitude=0.5)
    got = joined(deliver(AudioPath(a_stream(rate_in), AudioView(rate_out)), cut(samples, 1024, rate=rate_in)))
    want = sine(1.5, hz=1000.0, rate=rate_out, channels=2, amplitude=0.5)
    assert got.shape == want.shape
    middle = slice(rate_out // 4, -rate_out // 4)
    assert np.abs(got[:, middle] - want[:, middle]).max() < 2e-4  # one sample late would be 0.4


def test_what_lies_above_the_new_nyquist_is_removed() -> None:
    tone = sine(1.0, hz=9500.0, channels=1, amplitude=1.0)
    got = joined(deliver(AudioPath(a_stream(RATE, "mono"), AudioView(16000)), cut(tone, 1024, layout="mono")))
    assert 20 * np.log10(np.abs(got[:, 2000:-2000]).max()) < -90


def test_a_change_of_rate_and_layout_is_converted_to_the_first() -> None:
    first = sine(0.5, hz=500.0)
    second = sine(0.5, hz=500.0, rate=24000, channels=1)
    frames = [*cut(first, 1200), *cut(second, 1200, start=12000, rate=24000, layout="mono")]
    path = AudioPath(a_stream(), AudioView())
    blocks = deliver(path, frames)
    assert {(b.sample_rate, b.layout, b.samples.shape[0], b.gap) for b in blocks} == {(RATE, "stereo", 2, False)}
    assert [b.start_sample for b in blocks] == [0, RATE // 2] and sum(len(b) for b in blocks) == RATE
    assert [p.kind for p in path.problems] == ["audio_format_change"]
    tail = blocks[1].samples.numpy()[:, 2000:-2000]
    assert (
        np.abs(tail - 2**-0.5 * sine(0.5, hz=500.0)[:, 2000:-2000]).max() < 1e-3
    )  # mono lies 3 dB lower in each channel


@pytest.mark.parametrize(
    ("layout", "other"), [("9 channels", "stereo"), ("stereo", "3 channels"), ("5.1", "5.1(side)")]
)
def test_layouts_without_names_survive_a_change(layout: str, other: str) -> None:
    def tone(name: str) -> NDArray:
        return sine(0.2, channels=av.AudioLayout(name).nb_channels)

    frames = [a_frame(tone(layout), 0, layout=layout), a_frame(tone(other), 9600, layout=other)]
    blocks = deliver(AudioPath(a_stream(RATE, layout), AudioView()), frames)
    assert sum(len(b) for b in blocks) == 19200
    assert {b.samples.shape[0] for b in blocks} == {av.AudioLayout(layout).nb_channels}


def test_one_sample_and_no_sample() -> None:
    (block,) = deliver(AudioPath(a_stream(), AudioView()), [a_frame(np.full((2, 1), 0.5, np.float32), 7)])
    assert len(block) == 1 and block.start_sample == 0 and block.start_seconds == 7 / RATE
    assert AudioPath(a_stream(), AudioView(16000, "mono")).flush() == []


def test_aac_priming_is_not_heard(tmp_path: Path) -> None:
    samples = sine(1.0, hz=1000.0)
    clip = make_clip(tmp_path / "tone.mp4", [], audio=samples)
    path = AudioPath(a_stream(), AudioView())
    with av.open(str(clip)) as container:
        blocks = deliver(path, container.decode(audio=0))
    got = joined(blocks)
    assert blocks[0].start_seconds == 0.0 and path.problems.count == 0
    assert np.abs(got[:, 4800:43200] - samples[:, 4800:43200]).max() < 0.02  # in phase: no sample early or late


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le", "flac"])
def test_eight_channels_stay_in_order(tmp_path: Path, codec: str) -> None:
    levels = np.linspace(0.05, 0.4, 8)[:, None].astype(np.float32)
    packed = (sine(0.5, channels=8, amplitude=1.0) * levels).T.reshape(1, -1)
    clip = tmp_path / "surround.mka"
    with av.open(str(clip), "w") as out:
        stream = out.add_stream(codec, rate=RATE, layout="7.1")
        context = stream.codec_context
        fit = av.AudioResampler(format=context.format, layout="7.1", rate=RATE, frame_size=context.frame_size or 1024)
        frame = a_frame(packed.reshape(-1, 8).T, 0, layout="7.1")
        for piece in [*fit.resample(frame), *fit.resample(None), None]:
            out.mux(stream.encode(piece))
    with av.open(str(clip)) as container:
        got = joined(deliver(AudioPath(a_stream(RATE, "7.1"), AudioView()), container.decode(audio=0)))
    rms = np.sqrt((got[:, 4800:19200] ** 2).mean(axis=1))
    wanted = levels[:, 0] / 2**0.5
    heard = [0, 1, 2, 4, 5, 6, 7] if codec == "aac" else list(range(8))  # AAC filters the LFE channel
    assert np.allclose(rms[heard], wanted[heard], rtol=0.03)


def test_mixing_follows_bs775_and_keeps_named_channels() -> None:
    five_one = ("FL", "FR", "FC", "LFE", "BL", "BR")
    half = 0.5**0.5
    down = mixing_matrix(five_one, ("FL", "FR"))
    assert np.allclose(down, [[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]])
    up = mixing_matrix(("FL", "FR"), five_one)
    assert np.array_equal(np.argwhere(up == 1), [[0, 0], [1, 1]]) and up.sum() == 2
    side = mixing_matrix(("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"), ("FL", "FR", "FC", "LFE", "SL", "SR"))
    assert side[4].tolist() == [0, 0, 0, 0, 1, 0, 1, 0]  # back left joins side left
    assert np.array_equal(mixing_matrix(five_one, (*five_one[:4], "SL", "SR")), np.eye(6))
    assert mixing_matrix(("NONE",) * 3, ("FL", "FR")).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert mixing_matrix(five_one, ("FC",)).tolist() == [[pytest.approx(1 / 6)] * 6]

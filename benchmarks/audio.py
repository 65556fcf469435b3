"""Audio: accuracy on the EBU's signals, the resampler's bands, speed beside ffmpeg's ebur128, memory over an hour.

    OMP_NUM_THREADS=1 python -m benchmarks.audio [memory|accuracy|resampler|decode_path|analyzers|networks ...]

Speeds are seconds of sound a second of CPU, on one thread, best of three.
"""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import torch
from numpy.typing import NDArray

from mediaml.analyzers.audio.clicks import Clicks
from mediaml.analyzers.audio.dc_offset import DcOffset
from mediaml.analyzers.audio.dropouts import Dropouts
from mediaml.analyzers.audio.hum import Hum
from mediaml.analyzers.audio.levels import AudioLevels
from mediaml.analyzers.audio.loudness import Loudness
from mediaml.analyzers.audio.missing_channel import MissingChannel
from mediaml.analyzers.audio.silence import Silence
from mediaml.analyzers.base import Analyzer, AudioAnalyzer, registry
from mediaml.decode.audio import AudioPath
from mediaml.decode.samples import RateConverter
from mediaml.errors import WeightsAbsent
from mediaml.frames import AudioBlock
from mediaml.media import AudioStream
from mediaml.spec import AudioView, Table
from tests import ebu_signals

SECONDS = 120


def noise(seconds: int, rate: int, channels: int) -> NDArray:
    rng = np.random.default_rng(0)
    return (rng.standard_normal((channels, seconds * rate)) * 0.1).astype(np.float32)


def blocks(samples: NDArray, rate: int, layout: str) -> list[AudioBlock]:
    tensor = torch.from_numpy(samples)
    starts = range(0, samples.shape[1], rate)
    return [AudioBlock(tensor[:, i : i + rate], rate, i, i / rate, layout) for i in starts]


def run(analyzer: AudioAnalyzer, given: Iterable[AudioBlock]) -> dict:
    for block in given:
        analyzer.update(block)
    return {k: v[0] for k, v in analyzer.finish().get(Table.FILES, {}).items()}


def speed(seconds: float, work: Callable[[], object]) -> float:
    best = 0.0
    for _ in range(3):
        began = time.process_time()
        work()
        best = max(best, seconds / (time.process_time() - began))
    return best


def accuracy() -> None:
    print("## Greatest deviation from the EBU's expected values (48 kHz)")
    makers = (
        ebu_signals.integrated_cases,
        ebu_signals.window_cases,
        ebu_signals.range_cases,
        ebu_signals.true_peak_cases,
    )
    names = {
        "integrated": "integrated_lufs",
        "max_momentary": "max_momentary_lufs",
        "max_short_term": "max_short_term_lufs",
        "range_lu": "loudness_range_lu",
        "true_peak": "true_peak_dbtp",
    }
    worst = dict.fromkeys(names, 0.0)
    for case in (case for make in makers for case in make()):
        file = run(Loudness(), blocks(case.samples, 48000, case.layout))
        for field, column in names.items():
            if (expected := getattr(case, field)) is not None:
                worst[field] = max(worst[field], file[column] - expected, key=abs)
    for field, deviation in worst.items():
        print(f"{field:16} {deviation:+.3f}")


def resampler() -> None:
    print(
        "\n## Resampler (libswresample, options in mediaml/decode/samples.py): gain in dB at share of the lower Nyquist"
    )
    for rate_in, rate_out in ((48000, 16000), (44100, 16000), (44100, 48000)):
        nyquist = min(rate_in, rate_out) / 2
        shares = [0.5, 0.9, 0.95, 1.0, 1.05, 1.1, 1.5, 1.8]
        gains = [gain(rate_in, rate_out, nyquist * s) for s in shares if nyquist * s < rate_in / 2]
        print(f"{rate_in} -> {rate_out}: " + "  ".join(f"{s:g}: {g:+.2f}" for s, g in zip(shares, gains, strict=False)))


def gain(rate_in: int, rate_out: int, hz: float) -> float:
    tone = np.sin(2 * np.pi * hz * np.arange(2 * rate_in) / rate_in).astype(np.float32)[None]
    converter = RateConverter(rate_in, rate_out, 1)
    out = np.concatenate([converter.push(tone), converter.flush()], axis=1)[0, rate_out // 2 : -rate_out // 2]
    return 10 * np.log10(2 * np.mean(out.astype(np.float64) ** 2) + 1e-30)


def decode_path() -> None:
    print("\n## AudioPath, from decoded frames of 1024 float samples")
    samples = noise(SECONDS, 48000, 2)
    frames = [frame_of(samples[:, i : i + 1024], i) for i in range(0, samples.shape[1], 1024)]
    stream = AudioStream(0, "pcm", None, 48000, 2, "stereo", None, None, None, 0.0, None)
    for view in (AudioView(), AudioView(layout="mono"), AudioView(16000, "mono"), AudioView(16000)):

        def work(view: AudioView = view) -> None:
            path = AudioPath(stream, view)
            for frame in frames:
                path.push(frame)
            path.flush()

        print(f"{view!s:28} {speed(SECONDS, work):7.0f}x")


def frame_of(samples: NDArray, pts: int) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout="stereo")
    frame.sample_rate, frame.time_base, frame.pts = 48000, Fraction(1, 48000), pts
    return frame


def analyzers() -> None:
    print("\n## Analyzers, and ffmpeg's ebur128 (peak=true) on the same samples as 16-bit WAVE")
    for layout, channels, rate in (("stereo", 2, 48000), ("5.1", 6, 48000), ("mono", 1, 8000), ("stereo", 2, 192000)):
        samples = noise(SECONDS, rate, channels)
        given = blocks(samples, rate, layout)
        makers: tuple[type[AudioAnalyzer], ...] = (Loudness, Silence, AudioLevels)
        makers += (DcOffset, Hum, Dropouts, Clicks, MissingChannel) if (layout, rate) == ("stereo", 48000) else ()
        works = {make.spec.name: partial(work_of, make, given) for make in makers}
        figures = [f"{name} {speed(SECONDS, work):.0f}x" for name, work in works.items()]
        print(f"{layout} {rate} Hz:  {'  '.join(figures)}  ffmpeg {by_ffmpeg(samples, rate, layout):.0f}x")


def networks() -> None:
    """Networks on ten seconds of a talk, beside what their makers run them with, where that is installed."""
    import onnxruntime

    from benchmarks import audio_material as material
    from mediaml import weights
    from mediaml.nets.dnsmos import WINDOW, Dnsmos
    from mediaml.nets.silero_vad import SileroVad, SpeechProbability

    talk = torch.from_numpy(material.read(material.DATA / material.TALK, 16000)[:160000])
    net = SileroVad.from_file(weights.resolve("silero_vad_16k_onnx"))
    session = onnxruntime.InferenceSession(str(weights.resolve("silero_vad_16k_onnx")))
    frames = torch.cat([torch.zeros(64), talk]).unfold(0, 576, 512)

    def package() -> list[float]:
        state, out = np.zeros((2, 1, 128), np.float32), []
        for frame in frames:
            value, state = session.run(None, {"input": frame[None].numpy(), "state": state, "sr": np.array(16000)})
            out.append(float(value[0, 0]))
        return out

    with torch.inference_mode():
        ours = SpeechProbability(net).push(talk).numpy()
        apart = np.abs(ours - np.array(package())[: len(ours)]).max()
        print("\n## Networks on ten seconds of speech")
        here, there = speed(10, lambda: SpeechProbability(net).push(talk)), speed(10, package)
        print(f"silero: differs by {apart:.1e} from its ONNX graph; {here:.0f}x, by onnxruntime {there:.0f}x")
        dnsmos = Dnsmos(weights.resolve("dnsmos_p835"), weights.resolve("dnsmos_p808"))
        print(f"dnsmos (a window of 9.01 s): {speed(9.01, lambda: dnsmos(talk[:WINDOW])):.0f}x")
        for name in ("sound_classes", "sound_events", "music_tags", "music_features"):
            analyzer = registry()[name]()
            try:
                analyzer.setup(torch.device("cpu"))
            except WeightsAbsent as absent:
                print(f"{name}: {absent}")
                continue
            given = blocks(talk[None].numpy(), 16000, "mono")
            print(f"{name}: {speed(10, lambda a=analyzer, g=given: played(a, g)):.0f}x")


def played(analyzer: Analyzer, given: list[AudioBlock]) -> None:
    for block in given:
        analyzer.update(block)
    analyzer.finish()


def work_of(make: type[AudioAnalyzer], given: list[AudioBlock]) -> dict:
    return run(make(), given)


def by_ffmpeg(samples: NDArray, rate: int, layout: str) -> float:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.wav"
        packed = (samples.T.clip(-1, 1) * 32767).astype(np.int16).reshape(1, -1)
        with av.open(str(path), "w") as out:
            stream = out.add_stream("pcm_s16le", rate=rate, layout=layout)
            frame = av.AudioFrame.from_ndarray(packed, format="s16", layout=layout)
            frame.sample_rate = rate
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostats", "-threads", "1", "-benchmark", "-i", str(path)]
        command += ["-filter:a", "ebur128=peak=true:framelog=quiet", "-f", "null", "-"]
        done = subprocess.run(command, capture_output=True, check=True)
        found = re.search(rb"utime=([\d.]+)s", done.stderr)
        if found is None:
            raise RuntimeError(f"no utime in: {done.stderr[-300:]!r}")
        return SECONDS / float(found[1])


def memory() -> None:
    print("\n## Memory over an hour of stereo 48 kHz through AudioPath and all three analyzers")
    samples = noise(10, 48000, 2)
    path = AudioPath(AudioStream(0, "pcm", None, 48000, 2, "stereo", None, None, None, 0.0, None), AudioView())
    made = [Loudness(), Silence(), AudioLevels()]
    pts = 0
    for minute in range(60):
        for _ in range(6):
            for i in range(0, samples.shape[1], 4096):
                piece = samples[:, i : i + 4096]
                for block in path.push(frame_of(piece, pts)):
                    for analyzer in made:
                        analyzer.update(block)
                pts += piece.shape[1]
        if minute in (0, 29, 59):
            print(
                f"after {minute + 1:2} min: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most"
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts = {p.__name__: p for p in (memory, accuracy, resampler, decode_path, analyzers, networks)}
    for name in sys.argv[1:] or parts:
        parts[name]()

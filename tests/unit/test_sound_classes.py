"""Voice activity, classes of sound, speech quality, events: networks against their makers' figures, spans without flicker."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml import weights
from mediaml.analyzers.audio.sound_classes import SoundClasses
from mediaml.analyzers.audio.speech_quality import SpeechQuality
from mediaml.errors import InvalidValue, UsageError, WeightsAbsent, WeightsCorrupt
from mediaml.nets.audio_classes import AudioClasses, ClassProbabilities
from mediaml.nets.onnx_tensors import onnx_tensors
from mediaml.nets.silero_vad import SileroVad, SpeechProbability
from mediaml.nets.tflite_tensors import tflite_tensors
from mediaml.nets.yamnet import PATCH, Yamnet
from mediaml.ops.hysteresis import Hysteresis
from mediaml.ops.mel import KaldiFbank, slaney_bank
from mediaml.spec import Table
from tests.audio_blocks import analyzed, noise, spans

TALK = "video/pytorch+torchcodec/test/resources/nasa_13013.mp4.audio_44100.mp3"


def weight(name: str) -> Path:
    try:
        return weights.resolve(name)
    except WeightsAbsent as absent:
        pytest.skip(f"weights: {absent}")


@pytest.fixture(scope="module")
def talk(shared_data: Path) -> np.ndarray:
    """The first ten seconds of a NASA talk, 16 kHz mono."""
    import av

    swr = av.AudioResampler(format="flt", layout="mono", rate=16000)
    with av.open(str(shared_data / TALK)) as container:
        parts = [f.to_ndarray()[0] for frame in container.decode(audio=0) for f in swr.resample(frame)]
    return np.concatenate(parts)[:160000].astype(np.float32)


def test_hysteresis_joins_and_drops() -> None:
    rule = Hysteresis(on=0.6, off=0.4, join=2, minimum=3)
    values = [0, 0.5, 0.7, 0.5, 0.5, 0, 0, 0.7, 0.7, 0, 0, 0, 0, 0.9, 0.9, 0, 0, 0, 0.5, 0.5, 0.5, 0.5]
    assert rule.spans(values) == [(2, 9)]
    assert rule.spans([]) == []
    with pytest.raises(InvalidValue):
        Hysteresis(on=0.3, off=0.5, join=0, minimum=1)


def test_kaldi_features_are_torchaudios() -> None:
    kaldi = pytest.importorskip("torchaudio").compliance.kaldi
    samples = torch.from_numpy(noise(1.0, 16000, 1)[0])
    theirs = kaldi.fbank(samples[None] * 32768, num_mel_bins=80, frame_length=25, frame_shift=10, dither=0.0)
    torch.testing.assert_close(KaldiFbank()(samples), theirs, atol=2e-3, rtol=1e-4)


def test_slaney_bank_is_torchaudios() -> None:
    functional = pytest.importorskip("torchaudio").functional
    theirs = functional.melscale_fbanks(257, 0.0, 8000.0, 96, 16000, norm="slaney", mel_scale="slaney")
    torch.testing.assert_close(slaney_bank(512, 96, 16000), theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.weights
def test_voice_probabilities_do_not_depend_on_blocks(talk: np.ndarray) -> None:
    net = SileroVad.from_file(weight("silero_vad_16k_onnx"))
    samples = torch.from_numpy(talk[:64000])
    with torch.inference_mode():
        whole = SpeechProbability(net)
        a = torch.cat([whole.push(samples), whole.flush()])
        parts = SpeechProbability(net)
        b = torch.cat([*(parts.push(p) for p in samples.split(1777)), parts.flush()])
    torch.testing.assert_close(a, b, atol=1e-6, rtol=0)
    assert float(a[20:].median()) > 0.9 and float(a[:3].max()) < 0.5


@pytest.mark.weights
def test_voice_probabilities_are_those_of_the_graph(talk: np.ndarray) -> None:
    session = pytest.importorskip("onnxruntime").InferenceSession(str(weight("silero_vad_16k_onnx")))
    net = SileroVad.from_file(weight("silero_vad_16k_onnx"))
    state, context, theirs = np.zeros((2, 1, 128), np.float32), np.zeros((1, 64), np.float32), []
    for at in range(0, 32000 - 511, 512):
        given = np.concatenate([context, talk[None, at : at + 512]], axis=1)
        out, state = session.run(None, {"input": given, "state": state, "sr": np.array(16000)})
        context = given[:, -64:]
        theirs.append(float(out[0, 0]))
    with torch.inference_mode():
        ours = SpeechProbability(net).push(torch.from_numpy(talk[:32000]))
    np.testing.assert_allclose(ours.numpy()[: len(theirs)], theirs, atol=1e-5)


@pytest.mark.weights
def test_classes_do_not_depend_on_blocks(talk: np.ndarray) -> None:
    net = AudioClasses.from_file(weight("firered_audio_classes"))
    samples = torch.from_numpy(talk[:96000])
    with torch.inference_mode():
        whole = ClassProbabilities(net, window_frames=10**6)
        a = whole.push(samples).then(whole.flush()).probabilities
        parts = ClassProbabilities(net, window_frames=50)
        b = torch.cat([*(parts.push(p).probabilities for p in samples.split(7000)), parts.flush().probabilities])
    torch.testing.assert_close(a, b, atol=1e-5, rtol=0)
    assert a.shape == (598, 3) and float(a[100:, 0].median()) > 0.8


@pytest.mark.weights
def test_talk_is_speech_and_silence_is_nothing(talk: np.ndarray) -> None:
    weight("silero_vad_16k_onnx"), weight("firered_audio_classes")
    analyzer = SoundClasses()
    analyzer.setup(torch.device("cpu"))
    samples = np.concatenate([np.zeros(48000, np.float32), talk, np.zeros(48000, np.float32)])[None]
    rows = analyzed(analyzer, samples, 16000)
    speech = [s for s in spans(rows) if s[0] == "speech"]
    assert speech[0][1] == pytest.approx(3.5, abs=0.3) and speech[-1][2] <= 13.2
    assert 0.45 < rows[Table.FILES]["speech_share"][0] < 0.65
    assert spans(analyzed(analyzer, np.zeros((1, 64000), np.float32), 16000)) == []


@pytest.mark.weights
def test_speech_quality_falls_with_noise_and_skips_what_is_no_speech(talk: np.ndarray) -> None:
    pytest.importorskip("onnxruntime")
    for name in ("silero_vad_16k_onnx", "dnsmos_p835", "dnsmos_p808"):
        weight(name)
    analyzer = SpeechQuality()
    analyzer.setup(torch.device("cpu"))
    clean = analyzed(analyzer, talk[None], 16000)
    noisy = analyzed(analyzer, talk[None] + noise(10.0, 16000, 1, 0.03), 16000)
    assert clean[Table.FILES]["background_mos"][0] > noisy[Table.FILES]["background_mos"][0] + 0.5
    assert clean[Table.FILES]["speech_mos"][0] == pytest.approx(3.6, abs=0.25)
    assert analyzed(analyzer, noise(10.0, 16000, 1), 16000)[Table.FILES]["speech_windows"] == [0]


def test_yamnet_is_the_supplied_model(shared_data: Path, talk: np.ndarray) -> None:
    """Within what the file's own 8-bit arithmetic moves features and scores."""
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    path = next((shared_data / "tag-weights").rglob("yamnet.tflite"))
    net = Yamnet.from_file(path)
    theirs = litert.Interpreter(
        str(path), experimental_preserve_all_tensors=True,
        experimental_op_resolver_type=litert.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )  # fmt: skip
    theirs.allocate_tensors()
    patch = talk[60000 : 60000 + PATCH]
    theirs.set_tensor(theirs.get_input_details()[0]["index"], patch)
    theirs.invoke()
    with torch.inference_mode():
        features = net.features(torch.from_numpy(patch)[None])[0, 0].numpy()
        scores, vectors = net(torch.from_numpy(patch)[None])
    inside = next(t["index"] for t in theirs.get_tensor_details() if tuple(t["shape"]) == (1, 96, 64, 1))
    log_mel = theirs.get_tensor(inside)[0, ..., 0]
    apart = np.abs(log_mel - features)  # the file's 8-bit filter bank loses bands that are far below the loudest
    assert apart[log_mel > log_mel.max() - 3].max() < 0.1 and apart.mean() < 0.2
    given = theirs.get_tensor(theirs.get_output_details()[0]["index"])[0]
    assert int(given.argmax()) == int(scores.argmax()) == 0  # speech
    assert scores.shape == (1, 521) and vectors.shape == (1, 1024)


def test_files_that_are_no_models_are_refused(tmp_path: Path) -> None:
    bad = tmp_path / "bad.bin"
    for content in (b"", b"\x08\x01", b"OVAD" + bytes(40), b"\x00\x00\x00\x00TFL3", b"\x3a\x05abc"):
        bad.write_bytes(content)
        for read in (onnx_tensors, tflite_tensors, AudioClasses.from_file, SileroVad.from_file, Yamnet.from_file):
            with pytest.raises(WeightsCorrupt, match=r"bad\.bin"):
                read(bad)


def test_absent_onnxruntime_names_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import sys

    from mediaml.nets.onnx_session import OnnxSession

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match=r"mediaml\[audio\]"):
        OnnxSession(tmp_path / "any.onnx")

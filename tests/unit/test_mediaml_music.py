"""The network that hears music: its inputs, exactness over blocks, and the recordings it was made from."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml import weights
from mediaml.errors import WeightsAbsent, WeightsCorrupt
from mediaml.nets.audio_classes import AudioClasses, ClassProbabilities
from mediaml.nets.mediaml_music import INPUTS, MediamlMusic, MusicProbabilities
from mediaml.ops.pitch_salience import HOP, SEMITONES, WINDOW, PitchSalience, with_lasting
from pipelines.training_media.sound_mixtures import Levels, Material, mixture
from pipelines.training_media.sounds import RATE, listed
from tests.audio_blocks import noise


def chord(seconds: float, *semitones: int) -> np.ndarray:
    """Tones so many semitones above C2."""
    t = np.arange(round(seconds * RATE)) / RATE
    return sum(0.1 * np.sin(2 * np.pi * 65.4064 * 2 ** (s / 12) * t) for s in semitones).astype(np.float32)


def test_tones_stand_out_at_their_semitone() -> None:
    salience = PitchSalience()(torch.from_numpy(chord(2.0, 24, 40)))
    assert salience.shape == ((2 * RATE - WINDOW) // HOP + 1, SEMITONES)
    assert set(salience[3].topk(2).indices.tolist()) == {24, 40}
    hiss = PitchSalience()(torch.from_numpy(noise(2.0, RATE, 1)[0]))
    assert float(hiss.amax()) < 0.5 * float(salience[:, 24].amin())


def test_what_lasts_is_what_is_there_before_and_after() -> None:
    salience = torch.zeros(12, SEMITONES)
    salience[2:7, 30] = 1.0
    lasting = with_lasting(salience)[:, SEMITONES:].reshape(12, 3, 6)  # lags 1, 2, 4; octaves
    assert lasting[:, 0, 2].nonzero().flatten().tolist() == [3, 4, 5]
    assert lasting[:, 1, 2].nonzero().flatten().tolist() == [4] and not lasting[:, 2].any()


def test_values_do_not_depend_on_blocks() -> None:
    """With random weights of both networks."""
    torch.manual_seed(0)
    classes, net = AudioClasses().eval(), MediamlMusic().eval()
    samples = torch.from_numpy(chord(9.0, 20, 27) + noise(9.0, RATE, 1)[0])

    def run(window_frames: int, window_steps: int, block: int) -> torch.Tensor:
        frames, music = ClassProbabilities(classes, window_frames), MusicProbabilities(net, window_steps)
        with torch.inference_mode():
            found = [music.push(part, frames.push(part)) for part in samples.split(block)]
            return torch.cat([*found, music.flush(frames.flush())])

    whole = run(10**6, 10**6, samples.shape[0])
    assert whole.shape[0] >= 54
    torch.testing.assert_close(run(50, 3, 7000), whole, atol=1e-5, rtol=0)
    torch.testing.assert_close(run(100, 10, 16384), whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("count", [0, 100, 2000, 5000])
def test_sounds_shorter_than_a_step_give_little_or_nothing(count: int) -> None:
    frames, music = ClassProbabilities(AudioClasses().eval()), MusicProbabilities(MediamlMusic().eval())
    samples = torch.zeros(count)
    with torch.inference_mode():
        found = [music.push(samples, frames.push(samples)), music.flush(frames.flush())]
    assert torch.cat(found).shape[0] <= count // HOP


def test_weights_round_trip_and_others_are_refused(tmp_path: Path) -> None:
    net = MediamlMusic().eval()
    net.save(tmp_path / "a.safetensors")
    again = MediamlMusic.from_file(tmp_path / "a.safetensors")
    inputs = torch.randn(40, INPUTS)
    torch.testing.assert_close(again(inputs), net(inputs), atol=2e-2, rtol=0)
    (tmp_path / "b.safetensors").write_bytes(b"no weights")
    with pytest.raises(WeightsCorrupt, match="mediaml_music"):
        MediamlMusic.from_file(tmp_path / "b.safetensors")


@pytest.mark.weights
def test_chords_are_music_and_noise_is_not() -> None:
    try:
        classes = AudioClasses.from_file(weights.resolve("firered_audio_classes"))
    except WeightsAbsent as absent:
        pytest.skip(f"weights: {absent}")
    net = MediamlMusic.from_file(weights.resolve("mediaml_music"))

    def probability(sound: np.ndarray) -> float:
        frames, music = ClassProbabilities(classes), MusicProbabilities(net)
        samples = torch.from_numpy(sound)
        with torch.inference_mode():
            music.push(samples, frames.push(samples))
            return float(music.flush(frames.flush()).mean())

    beat = np.repeat(np.tile([1.0, 0.4], 8), RATE // 2).astype(np.float32)
    tune = np.concatenate([chord(2.0, *c) for c in ((24, 28, 31), (29, 33, 36), (31, 35, 38), (24, 28, 31))])
    assert probability(tune * beat[: tune.size]) > 0.6
    assert probability(noise(8.0, RATE, 1)[0]) < 0.3


def test_no_package_serves_one_role_in_two_parts() -> None:
    for a, b in combinations(listed(), 2):
        assert a.package != b.package or a.role != b.role
    assert {s.part for s in listed(role="music")} == {"train", "tuning", "held_out"}
    assert all(s.licence for s in listed())


def test_mixtures_say_where_music_plays() -> None:
    sounds = Material([[noise(2.0, RATE, 1)[0]]], [chord(12.0, 24)], [noise(1.0, RATE, 1, seed=2)[0]])
    sound, said, plays = mixture(sounds, 60.0, 3, Levels(over_music=(12.0, 12.0)))
    assert sound.shape == said.shape == plays.shape and 0.2 < plays.mean() < 0.6
    again = mixture(sounds, 60.0, 3, Levels(over_music=(12.0, 12.0)))
    np.testing.assert_array_equal(sound, again[0])
    alone = PitchSalience()(torch.from_numpy(sound))
    at = torch.from_numpy(plays[WINDOW // 2 :: HOP][: alone.shape[0]])
    assert float(alone[at, 24].mean()) > 2 * float(alone[~at, 24].mean())

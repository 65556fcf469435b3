"""Tempo, key, brightness and dynamics of sound whose values are known."""

from __future__ import annotations

import numpy as np
import pytest

from mediaml.analyzers.audio.music_features import MusicFeatures
from mediaml.ops.tonality import KEYS, key, tempo
from mediaml.spec import Table
from tests.audio_blocks import analyzed, noise

RATE = 16000


def beats(bpm: float, seconds: float = 20.0) -> np.ndarray:
    out = noise(seconds, RATE, 1, 1e-3)[0]
    shape = np.exp(-np.arange(RATE // 8) / 400) * np.sin(2 * np.pi * 200 * np.arange(RATE // 8) / RATE)
    for k in range(int(seconds * bpm / 60)):
        at = round(k * 60 / bpm * RATE)
        part = shape[: out.size - at]
        out[at : at + part.size] += (0.5 * part).astype(np.float32)
    return out[None]


def chord(names: list[str], seconds: float = 2.0) -> np.ndarray:
    t = np.arange(round(seconds * RATE)) / RATE
    notes = [261.6256 * 2 ** (KEYS.index(n) / 12) for n in names]
    return sum(np.sin(2 * np.pi * f * h * t) / h**2 for f in notes for h in (1, 2, 3))  # type: ignore[return-value]


@pytest.mark.parametrize("bpm", [72.0, 100.0, 128.0, 150.0])
def test_tempo_of_beats(bpm: float) -> None:
    files = analyzed(MusicFeatures(), beats(bpm), RATE)[Table.FILES]
    assert files["tempo_bpm"][0] == pytest.approx(bpm, rel=0.02) and files["tempo_confidence"][0] > 0.4


@pytest.mark.parametrize(
    ("cadence", "expected"),
    [
        (["C E G", "F A C", "G B D", "C E G"], ("C", "major")),
        (["A C E", "D F A", "E G# B", "A C E"], ("A", "minor")),
        (["F# A# C#", "B D# F#", "C# F G#", "F# A# C#"], ("F#", "major")),
    ],
)
def test_key_of_a_cadence(cadence: list[str], expected: tuple[str, str]) -> None:
    sound = np.concatenate([chord(c.split()) for c in cadence])
    files = analyzed(MusicFeatures(), (0.1 * sound)[None].astype(np.float32), RATE)[Table.FILES]
    assert (files["musical_key"][0], files["musical_mode"][0]) == expected and files["key_confidence"][0] > 0.02


def test_brightness_and_dynamics() -> None:
    t = np.arange(8 * RATE) / RATE
    low, high = (0.1 * np.sin(2 * np.pi * f * t)[None].astype(np.float32) for f in (300.0, 3000.0))
    values = [analyzed(MusicFeatures(), x, RATE)[Table.FILES] for x in (low, high)]
    assert values[0]["brightness_hz"][0] == pytest.approx(300, rel=0.05)
    assert values[1]["brightness_hz"][0] == pytest.approx(3000, rel=0.02)
    assert values[0]["dynamics_db"][0] < 0.5
    loud = np.concatenate([low[:, : 4 * RATE], 10 * low[:, : 4 * RATE]], axis=1)
    assert analyzed(MusicFeatures(), loud, RATE)[Table.FILES]["dynamics_db"][0] == pytest.approx(10.0, abs=1.5)


def test_silence_has_no_features() -> None:
    files = analyzed(MusicFeatures(), np.zeros((1, 5 * RATE), np.float32), RATE)[Table.FILES]
    assert all(v == [None] for v in files.values())
    assert tempo(np.zeros(1000), 62.5) == (None, 0.0) and key(np.ones(12)) == (None, None, 0.0)

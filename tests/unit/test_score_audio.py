"""Alignment of sounds, and what is measured on the aligned pair."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mediaml.engine.score.audio import score_audio
from mediaml.errors import ContentDiffers, InvalidValue, UnknownName
from mediaml.metrics.audio_alignment import align_audio, aligned_copy
from mediaml.metrics.audio_quality import pesq, si_sdr, stoi, visqol
from tests.audio_blocks import noise, write_sound

RATE = 16000


def programme(seconds: float, seed: int = 0) -> np.ndarray:
    """Noise whose colour and level change, so that every moment is its own."""
    rng = np.random.default_rng(seed)
    base = rng.standard_normal(round(seconds * RATE))
    level = np.repeat(10 ** rng.uniform(-1.5, 0, round(seconds * 5) + 1), RATE // 5)[: base.size]
    return (0.1 * level * np.convolve(base, rng.uniform(-1, 1, 9), "same")).astype(np.float32)


def moved(sound: np.ndarray, offset: float, ppm: float) -> np.ndarray:
    """A copy that starts `offset` seconds later on a clock that runs `ppm` slow, between samples by a sinc."""
    from scipy.signal import resample_poly

    fine = resample_poly(sound.astype(np.float64), 16, 1)
    t = (np.arange(sound.size + RATE) / RATE - offset) / (1 + ppm * 1e-6)
    return np.interp(t, np.arange(fine.size) / (16 * RATE), fine, left=0, right=0).astype(np.float32)


@pytest.mark.parametrize(("offset", "ppm"), [(0.0, 0.0), (0.7313, 0.0), (-1.25, 0.0), (0.21, 150.0), (0.05, -400.0)])
def test_offset_and_drift_to_a_millisecond(offset: float, ppm: float) -> None:
    sound = programme(12.0)
    copy = moved(sound, offset, ppm)
    how = align_audio(sound, copy, RATE)
    for t in (1.0, 6.0, 11.0):
        assert how.offset_seconds + how.drift_ppm * 1e-6 * t == pytest.approx(offset + ppm * 1e-6 * t, abs=0.0005)
    assert how.reliable and not how.inverted
    left, right, _ = aligned_copy(sound, copy, RATE, how)
    assert (
        si_sdr(left[RATE:-RATE], right[RATE:-RATE]) > 14
    )  # what the made copy allows: it is linear between 16x samples


def test_noise_and_inverted_polarity_do_not_disturb_alignment() -> None:
    sound = programme(20.0)
    copy = -0.3 * moved(sound, 0.4, 0.0)
    copy = copy + noise(copy.size / RATE, RATE, 1, 0.005)[0]
    how = align_audio(sound, copy, RATE)
    assert how.offset_seconds == pytest.approx(0.4, abs=0.0005) and how.inverted


def test_other_sound_is_not_aligned() -> None:
    assert not align_audio(programme(20.0), programme(20.0, seed=1), RATE).reliable


def test_si_sdr_is_its_definition() -> None:
    reference, error = noise(1.0, RATE, 1)[0], noise(1.0, RATE, 1, seed=5)[0]
    error -= reference * float(error @ reference) / float(reference @ reference)
    error -= error.mean()
    assert si_sdr(reference, 3 * (reference + 0.1 * error)) == pytest.approx(20.0, abs=0.2)
    with pytest.raises(InvalidValue):
        si_sdr(np.zeros(100, np.float32), reference[:100])


def test_packages_give_their_values() -> None:
    pytest.importorskip("pystoi")
    clean = programme(3.0)
    assert stoi(clean, clean, RATE) == pytest.approx(1.0, abs=1e-4)
    worse = stoi(clean, clean + noise(3.0, RATE, 1, 0.2)[0], RATE)
    assert worse is not None and worse < 0.9
    with pytest.raises(InvalidValue, match="16000"):
        pesq(clean, clean, 44100)


def test_two_files(tmp_path: Path) -> None:
    pytest.importorskip("pystoi")
    sound = programme(12.0)
    original = write_sound(tmp_path / "original.wav", sound[None], RATE)
    dub = write_sound(tmp_path / "dub.wav", 0.5 * moved(sound, 0.3, 0.0)[None], RATE)
    result = score_audio(dub, original, ["stoi", "si_sdr_db"])
    assert result.alignment.offset_seconds == pytest.approx(0.3, abs=0.001)
    assert result.loudness_difference_lu == pytest.approx(-6.02, abs=0.3)
    assert result.pooled["stoi"].mean > 0.99 and result.pooled["si_sdr_db"].mean > 14
    assert result.to_dict()["windows"]["start_seconds"] == [0.0]
    with pytest.raises(UnknownName, match="stoi"):
        score_audio(dub, original, ["stio"])
    other = write_sound(tmp_path / "other.wav", programme(12.0, seed=3)[None], RATE)
    with pytest.raises(ContentDiffers, match=r"original\.wav"):
        score_audio(other, original)


def test_command(tmp_path: Path) -> None:
    from mediaml.cli import _register, app

    _register()
    original = write_sound(tmp_path / "a.wav", programme(6.0)[None], RATE)
    out = tmp_path / "score.json"
    run = CliRunner().invoke(
        app,
        [
            "score",
            str(original),
            "-r",
            str(original),
            "-m",
            "si_sdr_db",
            "--json",
            str(out),
            "--fail-under",
            "si_sdr_db=200",
        ],
    )
    assert run.exit_code == 3 and "offset +0.00 ms" in run.output and out.is_file()


def test_visqol_is_its_packages_and_falls_with_noise(tmp_path: Path) -> None:
    package = pytest.importorskip("visqol", reason="visqol-python is not installed: pip install 'mediaml[visqol]'")
    clean = programme(3.0)
    noisy = clean + noise(3.0, RATE, 1, 0.02)[0]
    judge = package.VisqolApi()
    judge.create(mode="speech", use_lattice_model=True)
    wanted = judge.measure_from_arrays(clean.astype(np.float64), noisy.astype(np.float64), RATE).moslqo
    found = visqol(clean, noisy, RATE, speech=True)
    assert found == pytest.approx(wanted, abs=1e-6)
    same = visqol(clean, clean, RATE, speech=True)
    assert same is not None and found is not None and same > found + 0.2
    assert visqol(clean[:100], clean[:100], RATE, speech=True) is None
    with pytest.raises(InvalidValue, match="48000"):
        visqol(clean, clean, RATE, speech=False)
    original = write_sound(tmp_path / "original.wav", clean[None], RATE)
    dub = write_sound(tmp_path / "dub.wav", noisy[None], RATE)
    result = score_audio(dub, original, ["visqol", "visqol_audio"])
    assert 1 < result.pooled["visqol_audio"].mean < 4.8 and result.pooled["visqol"].mean < 4.5

"""Transcripts: stretches of voice, nothing over silence and music, subtitles that a validator takes, words found again."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from mediaml import weights
from mediaml.analyzers.base import select
from mediaml.engine.subtitles import Cue, cues, srt, vtt
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.ops.voice_chunks import VoiceChunk, VoiceChunks
from mediaml.spec import Table
from tests.audio_blocks import analyzed, noise
from tests.clips import make_clip, sine

RATE, STEP = 16000, 512
TALK = "video/pytorch+torchcodec/test/resources/nasa_13013.mp4"


def segment(start: float, words: str, seconds_a_word: float = 0.4) -> tuple[float, float, str, str]:
    timed = [
        [w, start + k * seconds_a_word, start + (k + 0.9) * seconds_a_word, 0.9] for k, w in enumerate(words.split())
    ]
    return start, timed[-1][2], words, json.dumps(timed)


def check_srt(text: str) -> list[tuple[float, float]]:
    """SubRip: number, times with a comma, one to three lines, a blank line; in order, not overlapping."""
    times = []
    for k, block in enumerate(text.rstrip("\n").split("\n\n"), 1):
        number, line, *lines = block.split("\n")
        found = re.fullmatch(r"(\d\d):([0-5]\d):([0-5]\d),(\d{3}) --> (\d\d):([0-5]\d):([0-5]\d),(\d{3})", line)
        assert number == str(k) and found and 1 <= len(lines) <= 3 and all(lines) and "-->" not in "".join(lines)
        a, b = (
            int(h) * 3600 + int(m) * 60 + int(s) + int(ms) / 1000
            for h, m, s, ms in (found.groups()[:4], found.groups()[4:])
        )
        assert a < b and (not times or a >= times[-1][1] - 1e-9)
        times.append((a, b))
    return times


def check_vtt(text: str) -> int:
    """WebVTT: the header, then cues whose text has no bare & or < and no arrow."""
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert head == "WEBVTT"
    for block in blocks:
        line, *lines = block.split("\n")
        assert re.fullmatch(r"\d\d:[0-5]\d:[0-5]\d\.\d{3} --> \d\d:[0-5]\d:[0-5]\d\.\d{3}", line) and lines
        for text_line in lines:
            assert not re.search(r"&(?!amp;|lt;|gt;)|<|-->", text_line)
    return len(blocks)


def test_cues_are_short_and_do_not_overlap() -> None:
    long = "one two three four five six seven eight nine ten " * 6
    made = cues([segment(0.0, long.strip()), segment(23.5, "late & <b> --> yes"), segment(3700.0, "Héllo wörld.")])
    assert all(c.end - c.start <= 7.01 and all(len(line) <= 42 for line in c.text.split("\n")) for c in made)
    times = check_srt(srt(made))
    assert times[-1][0] == 3700.0 and check_vtt(vtt(made)) == len(made)
    spoken = " ".join(" ".join(c.text.split()) for c in made[:-2])
    assert spoken == long.strip()


def test_times_are_rounded_once() -> None:
    assert "00:59:59,999 --> 01:00:00,000" in srt([Cue(3599.9994, 3599.9996, "x")])
    assert srt([]) == "" and vtt([]) == "WEBVTT\n"


def chunks(voice: list[float], block: int = 5000, **settings: float) -> list[VoiceChunk]:
    given = VoiceChunks(RATE, STEP, **settings)  # type: ignore[arg-type]
    samples, values = torch.arange(len(voice) * STEP, dtype=torch.float32), torch.tensor(voice)
    found, told = [], 0
    for at in range(0, len(samples), block):
        part = samples[at : at + block]
        known = (at + len(part)) // STEP
        found += list(given.push(part, values[told:known]))
        told = known
    return [*found, *given.flush()]


def test_chunks_hold_the_speech_and_nothing_twice() -> None:
    voice = [0.0] * 50 + [0.9] * 60 + [0.1] * 20 + [0.9] * 40 + [0.0] * 100 + [0.9] * 30 + [0.0] * 10
    first, second = chunks(voice)
    assert first.voiced == ((50 * STEP, 110 * STEP), (130 * STEP, 170 * STEP))
    assert first.start_sample == 50 * STEP - 3200 and int(first.samples[0]) == first.start_sample
    assert second.voiced == ((270 * STEP, 300 * STEP),)
    whole = chunks(voice, block=10**6)
    assert [c.voiced for c in whole] == [c.voiced for c in (first, second)]


def test_endless_speech_is_cut_and_short_noise_dropped() -> None:
    made = chunks([0.9] * 2000, longest_seconds=10.0)
    assert all(len(c.samples) <= 10.5 * RATE for c in made) and len(made) >= 6
    spans = [s for c in made for s in c.voiced]
    assert spans[0][0] == 0 and all(a[1] == b[0] for a, b in pairwise(spans))
    assert chunks([0.0] * 20 + [0.9] * 4 + [0.0] * 40) == []


def test_folders_that_are_no_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsAbsent, match=r"tiny\.en"):
        select([f"whisper:{tmp_path}"])
    (tmp_path / "model.bin").write_bytes(b"x")
    (cls,) = select([f"whisper:{tmp_path}"])
    pytest.importorskip("faster_whisper")
    with pytest.raises(InvalidValue, match=r"config\.json"):
        cls().check()


def model() -> object:
    pytest.importorskip("faster_whisper")
    (cls,) = select(["whisper:tiny.en"])
    for name in cls.spec.weights:
        try:
            weights.resolve(name)
        except WeightsAbsent as absent:
            pytest.skip(f"weights: {absent}")
    made = cls()
    made.setup(torch.device("cpu"))
    return made


@pytest.mark.weights
def test_nothing_is_invented() -> None:
    """Silence, noise, hum and chords: none of it is a voice, so none of it reaches the recogniser."""
    analyzer = model()
    t = np.arange(12 * RATE) / RATE
    chords = sum(
        np.sin(2 * np.pi * f * t) * (0.6 + 0.4 * np.sin(2 * np.pi * 2 * t)) for f in (220.0, 277.2, 329.6, 440.0)
    )
    sounds = {
        "silence": np.zeros((1, 12 * RATE), np.float32),
        "noise": noise(12.0, RATE, 1),
        "hum": 0.1 * np.sin(2 * np.pi * 50 * t)[None].astype(np.float32),
        "chords": (0.05 * np.asarray(chords))[None].astype(np.float32),
    }
    for name, samples in sounds.items():
        rows = analyzed(analyzer, samples, RATE)  # type: ignore[arg-type]
        assert rows[Table.TRANSCRIPTS]["text"] == [] and rows[Table.FILES]["spoken_words"] == [0], name


@pytest.mark.weights
@pytest.mark.slow
def test_command_writes_words_and_subtitles(shared_data: Path, tmp_path: Path) -> None:
    from mediaml.cli import _register, app
    from mediaml.tables import Lake

    model()
    _register()
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(shared_data / TALK, media / "talk.mp4")
    lake, subtitles = tmp_path / "lake", tmp_path / "subtitles"
    command = ["transcribe", str(media), "-o", str(lake), "-s", str(subtitles), "-w", "0", "-q"]
    run = CliRunner().invoke(app, command)
    assert run.exit_code == 0, run.output
    (text,) = (
        r["text"] for r in Lake.open(lake).query("SELECT string_agg(text, ' ') AS text FROM transcripts").to_pylist()
    )
    for word in ("Webb", "Telescope", "clean", "Goddard", "Maryland"):
        assert word.lower() in text.lower()
    times = check_srt((subtitles / "talk.mp4.srt").read_text(encoding="utf-8"))
    assert times[-1][1] <= 13.1 and check_vtt((subtitles / "talk.mp4.vtt").read_text(encoding="utf-8")) == len(times)
    found = CliRunner().invoke(app, ["search", str(lake), "--text", "space telescope", "--json"])
    assert found.exit_code == 0 and json.loads(found.output)["hits"][0]["path"].endswith("talk.mp4")


@pytest.mark.weights
def test_command_says_which_files_have_no_sound(tmp_path: Path) -> None:
    from mediaml.cli import _register, app

    model()
    _register()
    folder = tmp_path / "media"
    folder.mkdir()
    silent, hum = folder / "silent.mp4", folder / "hum.mkv"
    make_clip(silent, frames=6)
    make_clip(hum, frames=6, audio=sine(1.0, 100.0, amplitude=0.01))
    lake = str(tmp_path / "lake")
    every = CliRunner().invoke(app, ["transcribe", str(folder), "-o", lake, "-w", "0", "-q"])
    assert every.exit_code == 0, every.output
    assert f"no sound, so nothing to transcribe: {silent}" in every.output
    assert "no speech recognised" in every.output and hum.name in every.output
    named = CliRunner().invoke(app, ["transcribe", str(silent), "-o", lake, "-w", "0", "-q", "--json"])
    assert named.exit_code == 1 and json.loads(named.stdout)["without_sound"] == [str(silent)]

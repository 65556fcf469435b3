"""The sample media script: what it makes, what it leaves alone, and what it says when material cannot be had."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from sample_media import assemble, recipes, sources, synthetic
from sample_media.drawing import scene, tone, voice
from sample_media.recipes import RECIPES, Recipe
from sample_media.sources import Distribution, Member, SourceUnavailable

QUIET = Console(quiet=True)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sources, "user_cache_path", lambda name: tmp_path / "cache")
    return tmp_path / "cache"


def only(monkeypatch: pytest.MonkeyPatch, *chosen: Recipe) -> None:
    monkeypatch.setattr(assemble, "RECIPES", chosen)


def test_a_second_run_makes_nothing_and_a_damaged_file_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def make(path: Path) -> dict[str, float]:
        made.append(path.name)
        path.write_bytes(b"clip")
        return {"duration": 1.0}

    only(monkeypatch, Recipe("a/x.mp4", make), Recipe("a/y.mp4", make))
    assert assemble.assemble(tmp_path, QUIET) == []
    assert json.loads((tmp_path / "a/x.truth.json").read_text()) == {"file": "x.mp4", "duration": 1.0}
    assemble.assemble(tmp_path, QUIET)
    assert len(made) == 2
    (tmp_path / "a/y.mp4").write_bytes(b"cl")
    assemble.assemble(tmp_path, QUIET)
    assert made == [".part-x.mp4", ".part-y.mp4", ".part-y.mp4"]
    assert (tmp_path / "a/y.mp4").read_bytes() == b"clip"
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["x.mp4", "x.truth.json", "y.mp4", "y.truth.json"]


def test_material_that_cannot_be_had_is_named_and_the_rest_is_made(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(distribution: Distribution, folder: Path) -> Path:
        raise SourceUnavailable(f"pip download {distribution.name} failed: offline")

    monkeypatch.setattr(sources, "_download", refuse)
    only(monkeypatch, *(r for r in RECIPES if r.path in ("broken/empty.mp4", "real/music_24bit.wav")))
    assert assemble.main([str(tmp_path / "out")]) == 0
    assert "pip download iscc-samples failed: offline" in capsys.readouterr().err.replace("\n", " ")
    assert (tmp_path / "out/broken/empty.mp4").stat().st_size == 0
    assert not (tmp_path / "out/real").exists()
    assert assemble.main([str(tmp_path / "out"), "--strict"]) == 1


def test_a_member_is_checked_and_only_what_was_named_is_unpacked(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = tmp_path / "demo-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as z:
        z.writestr("demo/clip.mp4", b"moving pictures")
        z.writestr("demo/__init__.py", b"raise SystemExit")
    demo = Distribution("demo", "1.0")
    wrong = "8a1e5d2e" + "0" * 56
    monkeypatch.setattr(sources, "_download", lambda distribution, folder: wheel)
    monkeypatch.setattr(sources, "MEMBERS", {"clip": Member(demo, "demo/clip.mp4", wrong)})
    with pytest.raises(SourceUnavailable, match="expected 8a1e5d2e"):
        sources.fetch(demo)
    good = hashlib.sha256(b"moving pictures").hexdigest()
    monkeypatch.setattr(sources, "MEMBERS", {"clip": Member(demo, "demo/clip.mp4", good)})
    sources.fetch(demo)
    assert [p.read_bytes() for p in cache.rglob("*") if p.is_file()] == [b"moving pictures"]
    monkeypatch.setattr(sources, "MEMBERS", {"gone": Member(demo, "demo/gone.mp4", good + "0")})
    with pytest.raises(SourceUnavailable, match=r"has no member demo/gone\.mp4"):
        sources.fetch(demo)


def test_every_recipe_has_its_sources_and_a_name_of_its_own() -> None:
    assert len({r.path for r in RECIPES}) == len(RECIPES)
    assert {n for r in RECIPES for n in r.needs} == set(sources.MEMBERS)
    listed = (Path(recipes.__file__).parent / "SOURCES.md").read_text(encoding="utf-8")
    for member in sources.MEMBERS.values():
        assert f"{member.distribution.name} {member.distribution.version}" in listed


def test_loudness_steps_hold_the_levels_and_silences_that_the_truth_says(tmp_path: Path) -> None:
    truth = synthetic.loudness_steps(tmp_path / "steps.wav")
    with av.open(str(tmp_path / "steps.wav")) as source:
        assert source.streams.audio[0].codec_context.name == "pcm_s24le"
        samples = np.concatenate([f.to_ndarray().reshape(-1, 2) for f in source.decode(audio=0)]) / 2**31
    assert len(samples) == truth["duration"] * 48000
    for span in truth["tones"]:
        part = samples[round((span["start"] + 0.1) * 48000) : round((span["end"] - 0.1) * 48000)]
        assert 20 * np.log10(np.abs(part).max()) == pytest.approx(span["peak_dbfs"], abs=0.01)
    for start, end in truth["silence"]:
        assert np.abs(samples[round(start * 48000) : round(end * 48000)]).max() == 0


def test_scenes_move_without_jumps_and_differ_from_each_other() -> None:
    steps = [np.abs(scene(1, i / 25).astype(int) - scene(1, (i + 1) / 25)).mean() for i in range(0, 300, 3)]
    assert min(steps) > 0 and max(steps) < 8
    assert np.abs(scene(1, 2.0).astype(int) - scene(2, 2.0)).mean() > 25


def test_tone_and_voice_are_as_loud_as_they_say() -> None:
    assert np.abs(tone(0.5, 1000, -20)).max() == pytest.approx(0.1, rel=1e-3)
    sound, envelope = voice(1.0)
    assert sound.shape == (2, 48000) and envelope.shape == (48000,)
    assert 0.2 < np.abs(sound).max() <= 0.3
    assert envelope.min() >= 0 and envelope.max() <= 1

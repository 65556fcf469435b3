"""`mediaml qc` as it is typed: whole and broken files, no sound, one frame, a still; verdicts, exit codes, reruns."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

import mediaml
from mediaml.cli import _register, app
from mediaml.engine.qc.profile import parse_profile
from mediaml.engine.qc.result import QcResult
from tests.clips import gradient, make_clip, sine, solid

HEAD = 'id = "mine"\ntitle = "Mine"\nsummary = "a test"\n'
PROFILE = (
    HEAD
    + """
[[rules]]
id = "black"
level = "fail"
finding = "black"
max_seconds = 0.5
why = "nothing is to be seen"

[[rules]]
id = "silence"
level = "warn"
finding = "silence"
max_seconds = 1.0
why = "nothing is to be heard"

[[rules]]
id = "peak"
level = "info"
measure = "files.sample_peak_dbfs"
max = -12.0
why = "loud"

[[rules]]
id = "whole"
level = "fail"
fault = "media_truncated"
why = "cut off"

[[rules]]
id = "codec"
level = "warn"
fact = "video.codec"
allow = ["h264"]
why = "players"
"""
)
OPTIONS = {"crf": "23", "g": "10"}
HOSTILE = "bad <b>&\"'.mp4"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips of 64x48."""
    folder = tmp_path_factory.mktemp("media")
    make_clip(folder / "good.mp4", 50, options=OPTIONS, audio=sine(2.0, amplitude=0.1))
    sound = sine(3.0, amplitude=0.5)
    sound[:, 48000 : 48000 * 5 // 2] = 0
    make_clip(
        folder / HOSTILE,
        lambda i: solid(0) if 25 <= i < 50 else gradient(i),
        75,
        options=OPTIONS,
        audio=sound,
    )
    make_clip(folder / "mute.mp4", 25, options=OPTIONS)
    make_clip(folder / "one.mp4", 1, options=OPTIONS)
    make_clip(folder / "still.png", 1, codec="png", pix_fmt="rgb24")
    make_clip(folder / "sound.wav", [], audio=sine(2.0, amplitude=0.1), audio_codec="pcm_s16le")
    (folder / "broken.mp4").write_bytes((folder / "good.mp4").read_bytes()[:3000])
    (folder / "text.mp4").write_text("no media at all")
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("profile") / "mine.toml"
    path.write_text(PROFILE)
    return path


@pytest.fixture(scope="module")
def lake(media: Path, profile: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The lake of the first check, with pictures."""
    folder = tmp_path_factory.mktemp("lake")
    mediaml.qc(media, profile, out=folder, pictures=True, workers=0, device="cpu")
    return folder


@pytest.fixture
def command(lake: Path) -> Callable[..., Result]:
    if not app.registered_commands:
        _register()

    def run(*arguments: str | Path) -> Result:
        return CliRunner().invoke(app, ["qc", *map(str, arguments), "-w", "0", "--device", "cpu", "-o", str(lake)])

    return run


def verdicts(result: QcResult) -> dict[str, str]:
    return {Path(f.path).name: f.verdict for f in result.files}


def no_decode(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise AssertionError("a rerun must not decode")

    monkeypatch.setattr("mediaml.engine.work.run_media", refuse)
    monkeypatch.setattr("mediaml.engine.qc.lake.stills", refuse)


def test_verdicts_and_a_rerun_that_decodes_nothing(
    media: Path, profile: Path, lake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_decode(monkeypatch)
    result = mediaml.qc(media, profile, out=lake, pictures=True, workers=0, device="cpu")
    assert verdicts(result) == {
        "good.mp4": "pass",
        HOSTILE: "fail",
        "mute.mp4": "pass",
        "one.mp4": "pass",
        "still.png": "warn",  # its codec is no h264
        "sound.wav": "pass",
        "broken.mp4": "fail",  # its fault is one that a rule names
        "text.mp4": "unreadable",
        "empty.mp4": "unreadable",
    }
    assert set(result.analyzers) == {"black", "loudness", "silence", "waveform"}
    assert (result.exit_code, result.passed) == (3, False)


def test_evidence_lies_where_the_fault_is(media: Path, profile: Path, lake: Path) -> None:
    result = mediaml.qc(media / HOSTILE, profile, out=lake, pictures=True, workers=0, device="cpu")
    by_rule = {o.rule.id: o for o in result.files[0].outcomes}
    black, silence = by_rule["black"].places[0], by_rule["silence"].places[0]
    assert (black.start_seconds, black.end_seconds) == pytest.approx((1.0, 2.0), abs=0.05)
    assert (silence.start_seconds, silence.end_seconds) == pytest.approx((1.0, 2.5), abs=0.05)
    assert by_rule["peak"].outcome == "info"
    place = result.to_dict()["files"][0]["rules"][0]["evidence"][0]
    assert (place["start_timecode"], place["end_timecode"]) == ("00:00:01:00", "00:00:02:00")


def test_verdicts_and_evidence_frames_are_in_the_lake(media: Path, profile: Path, lake: Path) -> None:
    result = mediaml.qc(media / HOSTILE, profile, out=lake, pictures=True, workers=0, device="cpu")
    same = f"media_id = '{result.files[0].media_id}'"
    rows = result.lake.table("quality", where=same).to_pylist()
    assert [(r["rule"], r["outcome"]) for r in rows] == [
        ("black", "fail"), ("silence", "warn"), ("peak", "info"), ("whole", "pass"), ("codec", "pass"),
    ]  # fmt: skip
    assert rows[0]["analyzer"] == "qc_mine@1" and rows[0]["start_seconds"] == pytest.approx(1.0, abs=0.05)
    pictures = result.lake.table("thumbnails", where=f"{same} AND analyzer = 'qc_mine@1'").to_pylist()
    assert [p["pts_seconds"] for p in pictures] == pytest.approx([1.48, 1.72], abs=0.06)
    import cv2

    assert all(np.mean(cv2.imdecode(np.frombuffer(p["jpeg"], np.uint8), 0)) < 20 for p in pictures)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["good.mp4", "mute.mp4", "one.mp4", "sound.wav"], 0),
        (["good.mp4", "text.mp4"], 1),
        (["empty.mp4"], 1),
        (["gone.mp4"], 1),
        (["good.mp4", HOSTILE], 3),
        (["text.mp4", HOSTILE], 3),
        (["still.png"], 0),
    ],
)
def test_exit_codes(
    command: Callable[..., Result], media: Path, profile: Path, names: list[str], expected: int
) -> None:
    done = command(*(media / n for n in names), "--profile", profile, "-q")
    assert done.exit_code == expected, done.output


def test_json_and_csv_say_the_same(command: Callable[..., Result], media: Path, profile: Path, tmp_path: Path) -> None:
    done = command(media, "-p", profile, "-q", "--json", "-", "--csv", tmp_path / "qc.csv")
    said = json.loads(done.stdout)
    assert said["counts"] == {"fail": 2, "unreadable": 2, "incomplete": 0, "warn": 1, "pass": 4}
    rows = list(csv.DictReader((tmp_path / "qc.csv").read_text(encoding="utf-8").splitlines()))
    assert {r["path"]: r["verdict"] for r in rows} == {f["path"]: f["verdict"] for f in said["files"]}
    fault = next(r for r in rows if r["rule"] == "black" and r["outcome"] == "fail")
    assert fault["start_timecode"] == "00:00:01:00"


def test_the_table_says_what_and_where(command: Callable[..., Result], media: Path, profile: Path) -> None:
    done = command(media / HOSTILE, "-p", profile)
    assert "00:00:01:00" in done.output.replace("\n", "")
    assert "1 fail" in done.output


def test_profiles_are_listed(command: Callable[..., Result], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    listed = command("--profiles")
    assert listed.exit_code == 0
    assert all(name in listed.output for name in ("streaming", "broadcast-ebu", "archive", "ugc"))
    rules = command("--profiles", "--profile", "broadcast-ebu").output
    assert "EBU R 128" in rules and "true-peak" in rules


def test_a_profile_of_facts_alone_decodes_nothing(media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_decode(monkeypatch)
    facts = parse_profile(
        HEAD + '[[rules]]\nid = "c"\nlevel = "fail"\nwhy = "w"\nfact = "video.codec"\nallow = ["h264"]', "facts"
    )
    for _ in range(2):
        result = mediaml.qc(media, facts, out=tmp_path / "lake")
        found = verdicts(result)
        assert found["good.mp4"] == "pass" and found["still.png"] == "fail"
        assert found["text.mp4"] == found["empty.mp4"] == found["broken.mp4"] == "unreadable"
        assert result.analyzers == () and result.summary is None


def test_checksums_beside_files(media: Path, tmp_path: Path) -> None:
    rules = parse_profile(HEAD + '[[rules]]\nid = "c"\nlevel = "fail"\nwhy = "w"\nfixity = "sha256"', "facts")
    clip = tmp_path / "clip.mp4"
    clip.write_bytes((media / "mute.mp4").read_bytes())
    note = clip.with_name("clip.mp4.sha256")
    note.write_text(hashlib.sha256(clip.read_bytes()).hexdigest())
    assert mediaml.qc(clip, rules, out=tmp_path / "lake").passed
    note.write_text("00" * 32)
    assert mediaml.qc(clip, rules, out=tmp_path / "lake").exit_code == 3


def test_the_cached_lake_is_used_where_none_is_named(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    rules = parse_profile(HEAD + '[[rules]]\nid = "c"\nlevel = "fail"\nwhy = "w"\nfixity = "sha256"', "facts")
    assert mediaml.qc(media / "mute.mp4", rules).lake.path == tmp_path / "mediaml" / "qc"


def test_errors_of_use(command: Callable[..., Result], media: Path) -> None:
    from mediaml.errors import UsageError

    for arguments in ((), (media, "--profile", "streeming")):
        done = command(*arguments)
        assert isinstance(done.exception, UsageError), done.output


def test_the_page_shows_frames_waveform_and_timecodes(
    command: Callable[..., Result], media: Path, profile: Path, tmp_path: Path
) -> None:
    page = tmp_path / "qc.html"
    assert command(media, "-p", profile, "-q", "--html", page).exit_code == 3
    text = page.read_text(encoding="utf-8")
    assert "bad &lt;b&gt;&amp;&#34;&#39;.mp4" in text and "<b>&" not in text
    assert text.count("data:image/jpeg;base64,") == 2  # one of black, one of silence
    assert "00:00:01:00" in text and "momentary_lufs" in text and ">waveform<" in text
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def test_the_quality_gate_sorts_a_folder(media: Path, profile: Path, tmp_path: Path) -> None:
    from pipelines.quality_gate import gate

    incoming = tmp_path / "incoming"
    incoming.mkdir()
    for name in ("good.mp4", "text.mp4", "still.png"):
        (incoming / name).symlink_to(media / name)
    assert gate(incoming, str(profile), tmp_path / "gate") == 1
    passed, rejected = ({p.name[5:] for p in (tmp_path / "gate" / d).iterdir()} for d in ("passed", "rejected"))
    assert passed == {"good.mp4", "still.png"}
    assert rejected == {"text.mp4", "text.mp4.txt"}
    assert "text" in next((tmp_path / "gate" / "rejected").glob("*.txt")).read_text()
    assert (tmp_path / "gate" / "qc.html").stat().st_size > 10_000

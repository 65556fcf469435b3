"""Hostile names, metadata and content from the file to every place that shows them; the lines of SECURITY.md."""

from __future__ import annotations

import csv
import gc
import os
import stat
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import av
import pytest

from mediaml.analyzers.base import registry
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import SilentProgress
from mediaml.engine.settings import Settings
from mediaml.errors import WeightsCorrupt
from mediaml.tables import Lake
from tests.clips import make_clip

ROOT = Path(__file__).parents[2]
TITLE = '=HYPERLINK("http://evil")\x1b[2J\x1b]0;owned\x07<script>alert(1)</script>\'; DROP TABLE media; --'
NAME = "=1+1\x1b[31m<img src=x onerror=alert(1)>'\"; drop table x; --\n.mkv"


@pytest.fixture(autouse=True)
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("MEDIAML_PLUGINS", "tests.plugins")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    registry.cache_clear()
    yield
    registry.cache_clear()


def analyze(media: Path, lake: Path, **given: object) -> list[dict]:
    """The errors of a run with one cheap analyzer."""
    base: dict = {"analyzers": ("test_mean",), "device": "cpu", "workers": 0} | given
    run_analysis(discover(media), Settings(lake=lake, **base), derive=False, progress=SilentProgress())
    return Lake.open(lake).table("errors").to_pylist()


def hostile(folder: Path) -> Path:
    """A clip whose name, title and language are attacks."""
    plain = make_clip(folder / "plain.mkv", 4)
    path = folder / NAME
    with av.open(str(plain)) as source, av.open(f"file:{folder}/out.mkv", "w") as target:
        target.metadata["title"] = TITLE
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    (folder / "out.mkv").rename(path)
    plain.unlink()
    return path


class Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.scripts, self.events = 0, []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.scripts += tag == "script"
        self.events += [name for name, _ in attrs if name.startswith("on")]


@pytest.mark.slow
def test_a_hostile_file_is_harmless_wherever_it_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    path = hostile(folder)
    lake = tmp_path / "lake"
    assert analyze(folder, lake) == []
    opened = Lake.open(lake)
    assert opened.table("media", ["path"]).to_pylist() == [{"path": str(path)}]  # kept as it is, bound as a value
    assert opened.known_path(str(path), path.stat().st_size, path.stat().st_mtime_ns)
    for command in (["probe", path], ["tables", "query", lake, "select path, tags from media"],
                    ["analyze", folder, "-o", lake, "-a", "test_mean", "-w", 0, "--retry-errors"]):  # fmt: skip
        out = mediaml(*command)
        assert "\x1b" not in out and "\x07" not in out, command
    mediaml("report", lake, "--out", tmp_path / "report.html")
    page = Page()
    page.feed((tmp_path / "report.html").read_text())
    assert (page.scripts, page.events) == (1, [])
    mediaml("tables", "export", lake, "media", "--out", tmp_path / "media.csv")
    with (tmp_path / "media.csv").open(newline="") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    assert not [c for c in cells if c.startswith(("=", "+", "@", "\t", "\r"))]


def mediaml(*arguments: object) -> str:
    """Standard output and error of a command that must succeed."""
    environment = os.environ | {"COLUMNS": "200", "FORCE_COLOR": "", "NO_COLOR": "1", "TERM": "dumb"}
    command = [sys.executable, "-m", "mediaml", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def bomb(path: Path, side: int) -> Path:
    """A PNG of `side` x `side` black pixels, one bit each: a few kilobytes that would become gigabytes."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes((side // 8 + 1) * side), 9)
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [9000, 20_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(tmp_path: Path, side: int) -> None:
    path = bomb(tmp_path / "bomb.png", side)
    assert path.stat().st_size < 100_000
    (error,) = analyze(path, tmp_path / "lake")
    assert error["kind"] in ("limit_exceeded", "media_unreadable", "nothing_decoded", "not_media")
    assert error["kind"] == "limit_exceeded" or side == 20_000


def test_max_pixels_is_the_limit_and_is_named(tmp_path: Path) -> None:
    make_clip(tmp_path / "a.mp4", 3)
    (error,) = analyze(tmp_path / "a.mp4", tmp_path / "lake", max_pixels=64 * 48 - 1)
    assert error["kind"] == "limit_exceeded" and "3071" in error["message"].replace(",", "")
    assert analyze(tmp_path / "a.mp4", tmp_path / "other", max_pixels=64 * 48) == []


@pytest.mark.slow
def test_a_worker_that_takes_too_much_memory_costs_its_file_alone(tmp_path: Path) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    make_clip(folder / "gorges.mp4", 5)
    make_clip(folder / "fine.mp4", 6)
    given = {"workers": 1, "max_memory_bytes": 1_400_000_000}
    (error,) = analyze(folder, tmp_path / "lake", analyzers=("test_trouble",), **given)
    assert error["kind"] == "limit_exceeded" and "--max-memory" in error["message"]
    assert Lake.open(tmp_path / "lake").table("frames").num_rows == 6


def test_temporary_folders_are_private_and_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.tables import storage

    made: list[Path] = []
    whole = storage.tempfile.mkdtemp
    monkeypatch.setattr(storage.tempfile, "mkdtemp", lambda **k: made.append(Path(whole(**k))) or str(made[-1]))
    analyze(make_clip(tmp_path / "a.mp4", 3), tmp_path / "lake")
    lake = Lake.open(tmp_path / "lake")
    assert lake.table("frames").num_rows == 3
    assert made and stat.S_IMODE(made[-1].stat().st_mode) == 0o700
    del lake
    gc.collect()
    assert not made[-1].exists()


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    import pickle

    from mediaml.weights import read_plain_pickle

    class Evil:
        def __reduce__(self) -> tuple:
            return os.system, (f"touch {tmp_path}/owned",)

    path = tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"a": Evil()}))
    with pytest.raises(WeightsCorrupt, match="plain pickle"):
        read_plain_pickle(path)
    assert not (tmp_path / "owned").exists()


def test_security_md_names_only_tests_and_files_that_exist() -> None:
    import re

    text = (ROOT / "SECURITY.md").read_text()
    named = re.findall(r"`((?:tests|mediaml)/[\w/.]+)`", text)
    assert len(named) > 20
    assert [n for n in named if not (ROOT / n).exists()] == []

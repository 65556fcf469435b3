"""Finding media files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mediaml.decode.discover import find_media
from mediaml.errors import MediaMissing, MediaUnreadable


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "b.mp4",
        "a.MKV",
        "notes.txt",
        ".hidden.mp4",
        "sub/c.wav",
        "sub/deep/d.png",
        ".git/x.mp4",
        "raw/e.mov",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def names(found: Iterator[Path] | object, root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() for p in found]  # type: ignore[attr-defined]


def test_order_extensions_and_hidden_names(tree: Path) -> None:
    found = find_media([tree])
    assert names(found, tree) == ["a.MKV", "b.mp4", "raw/e.mov", "sub/c.wav", "sub/deep/d.png"]
    assert (len(found), found.skipped, found.excluded, found.errors) == (5, 1, 0, ())
    assert names(find_media([tree], recursive=False), tree) == ["a.MKV", "b.mp4"]
    assert names(find_media([tree], extensions=["txt", ".WAV"]), tree) == ["notes.txt", "sub/c.wav"]


def test_include_and_exclude(tree: Path) -> None:
    assert names(find_media([tree], include=["*.mp4", "raw/*"]), tree) == ["b.mp4", "raw/e.mov"]
    found = find_media([tree], exclude=["sub", "b.*"])
    assert names(found, tree) == ["a.MKV", "raw/e.mov"]
    assert found.excluded == 1
    assert names(find_media([tree], include=["*.mov"], exclude=["raw/*"]), tree) == []


def test_a_named_file_is_taken_whatever_its_name(tree: Path) -> None:
    roots = [tree / "notes.txt", tree / ".hidden.mp4", tree / "b.mp4", tree]
    assert names(find_media(roots), tree)[:4] == ["notes.txt", ".hidden.mp4", "b.mp4", "a.MKV"]


def test_nothing_is_given_twice(tree: Path) -> None:
    found = find_media([tree, tree / "sub", tree / "sub" / ".." / "b.mp4", tree])
    assert len(found) == len({p.resolve() for p in found}) == 5


def test_loops_of_links_end(tree: Path) -> None:
    (tree / "sub" / "up").symlink_to(tree)
    (tree / "self").symlink_to(tree / "self")
    (tree / "self.mp4").symlink_to(tree / "self.mp4")
    (tree / "again").symlink_to(tree / "raw")
    (tree / "link.mp4").symlink_to(tree / "b.mp4")
    found = find_media([tree])
    assert names(found, tree) == [
        "a.MKV",
        "b.mp4",
        "link.mp4",
        "self.mp4",
        "again/e.mov",
        "sub/c.wav",
        "sub/deep/d.png",
    ]
    assert found.errors == ()


def test_a_dangling_link_is_given_so_that_its_failure_is_recorded(tree: Path) -> None:
    (tree / "z.mp4").symlink_to(tree / "gone.mp4")
    assert "z.mp4" in names(find_media([tree]), tree)


def test_roots_that_are_gone_do_not_stop_the_others(tree: Path) -> None:
    found = find_media([tree / "gone", tree / "sub"])
    assert names(found, tree) == ["sub/c.wav", "sub/deep/d.png"]
    assert [type(e) for e in found.errors] == [MediaMissing]
    assert "gone" in str(found.errors[0])


def test_directories_that_cannot_be_read_or_vanish(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: the superuser may read everything."""
    scandir = os.scandir
    failures = {"raw": PermissionError(13, "Permission denied"), "deep": FileNotFoundError(2, "No such file")}

    def failing(path: Path) -> object:
        if Path(path).name in failures:
            raise failures[Path(path).name]
        return scandir(path)

    monkeypatch.setattr("mediaml.decode.discover.os.scandir", failing)
    found = find_media([tree])
    assert names(found, tree) == ["a.MKV", "b.mp4", "sub/c.wav"]
    assert [(type(e), Path(e.path).name) for e in found.errors] == [(MediaUnreadable, "raw"), (MediaMissing, "deep")]


def test_strange_names(tmp_path: Path) -> None:
    odd = ["new\nline.mp4", "-dash.mp4", "[1].mp4", "ünï.mp4", os.fsdecode(b"\xff.mp4")]
    for name in odd:
        (tmp_path / name).write_bytes(b"x")
    found = find_media([tmp_path])
    assert sorted(p.name for p in found) == sorted(odd)
    named = find_media([tmp_path / "new\nline.mp4"])
    assert "\n" not in named.roots_text and "new" in named.roots_text

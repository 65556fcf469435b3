"""Commits: all or nothing, under SIGKILL, by several processes at once, across checkpoints, on a full disk."""

from __future__ import annotations

import errno
import itertools
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mediaml.errors import LakeError, LakeUnwritable, LakeVersionError
from mediaml.tables import Lake, PathRow
from mediaml.tables import lake as lake_module
from mediaml.tables.local_storage import LocalStorage
from mediaml.tables.manifest import Manifest
from tests.unit.lakes import luma, media_id, tags, vectors

ROOT = Path(__file__).resolve().parents[2]
KILLED = """
import itertools, os, signal, sys
import numpy as np
from mediaml.tables import Lake, PathRow
from tests.unit.lakes import luma, media_id, vectors

lake = Lake.open(sys.argv[1])
for i in itertools.count():
    rows = [luma(), vectors(np.ones((2, 4), np.float32), "e@1", "m")]
    staged = lake.stage(media_id(f"{os.getpid()} {i}"), analyzers=rows, path=PathRow(f"/{os.getpid()}/{i}", 1, 1))
    if len(sys.argv) > 2:
        os.kill(os.getpid(), signal.SIGKILL)
    lake.commit([staged])
    print(i, flush=True)
"""


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(tmp_path / "lake", create=True)


def commit_many(path: str, name: str, count: int) -> None:
    lake = Lake.open(path)
    for i in range(count):
        lake.commit([lake.stage(media_id(f"{name}{i}"), analyzers=[luma(1)], path=PathRow(f"/{name}/{i}", 1, 1))], name)


def test_one_commit_for_several_media(lake: Lake) -> None:
    staged = [lake.stage(media_id(str(i)), analyzers=[luma()]) for i in range(4)]
    assert lake.commit(staged) == 1
    assert lake.table("frames").num_rows == 12
    assert lake.commit([]) == 1


def test_killed_between_part_and_commit_nothing_is_visible(lake: Lake) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(lake.path), "now"], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list(lake.path.glob("frames/*/*.parquet"))) == 1
    again = Lake.open(lake.path)
    assert sum(t.rows for t in again.tables()) == 0
    again.commit([again.stage(media_id("x"), analyzers=[luma()])])
    assert again.table("frames").num_rows == 3
    assert again.collect_garbage(older_than_seconds=0)[0] == 2
    assert again.table("frames").num_rows == 3


@pytest.mark.slow
def test_killed_at_any_moment_every_media_is_there_whole_or_not_at_all(lake: Lake) -> None:
    chance = random.Random(7)
    acknowledged = 0
    for _ in range(6):
        command = [sys.executable, "-c", KILLED, str(lake.path)]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            acknowledged += bool(process.stdout.readline())
            time.sleep(chance.random() / 3)
            process.kill()
            acknowledged += len(process.stdout.read().split())
    again = Lake.open(lake.path)
    counts = {t.name: t.rows for t in again.tables()}
    media = counts["paths"]
    assert acknowledged <= media <= acknowledged + 6
    assert (counts["frames"], counts["embeddings"]) == (3 * media, 2 * media)
    assert again.vectors().values.shape == (2 * media, 4)


@pytest.mark.slow
def test_two_processes_write_at_once_and_nothing_is_lost(lake: Lake) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=commit_many, args=(str(lake.path), name, 50)) for name in "ab"]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0]
    found = lake.table("paths", ["path"]).column(0).to_pylist()
    assert sorted(found) == sorted(f"/{name}/{i}" for name in "ab" for i in range(50))
    assert lake.table("frames").num_rows == 100
    assert len(list(lake.path.glob("manifest/commits/*/*.json"))) == 100
    assert Manifest(LocalStorage(lake.path)).newest_checkpoint() is not None


def history(lake: Lake, commits: int) -> None:
    """Commits that replace, raise versions, derive, fail and move, over and over."""
    chance = random.Random(3)
    for i in range(commits):
        media = media_id(str(chance.randrange(5)))
        match chance.randrange(5):
            case 0:
                lake.replace_derived(f"tags:{chance.randrange(2)}", [tags([media], [f"t{i}"])])
            case 1:
                lake.commit([lake.stage(media, path=PathRow(f"/{chance.randrange(3)}", i, i))])
            case 2:
                both = [luma(2, 1 + chance.randrange(3)), vectors(np.full((1, 3), i, np.float32), "e@1", "m")]
                lake.commit([lake.stage(media, analyzers=both)])
            case 3:
                lake.commit([lake.stage(media, analyzers=[vectors(np.full((2, 3), i, np.float32), "e@1", "m")])])
            case _:
                lake.commit([lake.stage(media, analyzers=[luma(1 + i % 3, 1 + chance.randrange(2), parameters="p")])])


def contents(lake: Lake) -> dict[str, list]:
    names = [t.name for t in lake.tables()]
    found = {name: lake.table(name).to_pylist() for name in names}
    found |= {
        f"all {name}": lake.table(name, all_versions=True).to_pylist() for name in ("frames", "embeddings", "tags")
    }
    return found | {"sizes": [(t.name, t.rows) for t in lake.tables()]}


def test_checkpoints_change_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manifest, "checkpoint_due", staticmethod(lambda head, last: head - last >= 7))
    history(lake, 40)
    kept = sorted(p.name for p in lake.path.glob("manifest/checkpoints/*"))
    assert kept == [f"{28:012d}", f"{35:012d}"]
    folded = contents(Lake.open(lake.path))
    assert contents(lake) == folded
    assert len(folded["frames"]) == next(rows for name, rows in folded["sizes"] if name == "frames") > 0
    shutil.rmtree(lake.path / "manifest" / "checkpoints")
    (lake.path / "manifest" / "checkpoints").mkdir()
    replayed = contents(Lake.open(lake.path))
    assert replayed == folded


def test_a_checkpoint_spares_reading_what_lies_before_it(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Manifest, "checkpoint_due", staticmethod(lambda head, last: head - last >= 5))
    for i in range(12):
        lake.commit([lake.stage(media_id(str(i)), path=PathRow(f"/{i}", 1, 1))])
    read: list[int] = []
    whole = Manifest.read
    monkeypatch.setattr(Manifest, "read", lambda self, number: read.append(number) or whole(self, number))
    assert Lake.open(lake.path).known_path("/3", 1, 1) == media_id("3")
    assert read == [11, 12, 13]


def test_the_distance_of_checkpoints_grows_with_the_log() -> None:
    made, head = [], 0
    while head < 100_000:
        head += 1
        if Manifest.checkpoint_due(head, made[-1] if made else 0):
            made.append(head)
    assert made[:2] == [64, 128]
    assert len(made) < 90
    assert max(b - a for a, b in itertools.pairwise(made)) <= 2048


def test_compaction_keeps_every_visible_row(lake: Lake) -> None:
    history(lake, 30)
    before = contents(lake)
    parts = {t.name: t.parts for t in lake.tables()}
    assert lake.compact() > 0
    assert contents(lake) == before
    after = {t.name: t.parts for t in lake.tables()}
    assert after["frames"] < parts["frames"]
    assert lake.collect_garbage(older_than_seconds=0)[0] > 0
    assert contents(Lake.open(lake.path)) == before
    lake.commit([lake.stage(media_id("1"), analyzers=[luma(9, version=50)])])
    assert lake.table("frames", where=f"media_id = '{media_id('1')}'").num_rows == 9


def test_a_compaction_that_comes_too_late_changes_nothing(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    history(lake, 20)
    before = contents(lake)
    slow = Lake.open(lake.path)
    merge_parts = lake_module.merge_parts

    def merge_while_another_compacts(*args: Any) -> Any:
        monkeypatch.setattr(lake_module, "merge_parts", merge_parts)
        merged = merge_parts(*args)
        assert lake.compact() > 0
        return merged

    monkeypatch.setattr(lake_module, "merge_parts", merge_while_another_compacts)
    assert slow.compact() == 0
    assert contents(slow) == contents(lake) == before


def test_no_space_is_a_typed_error_and_leaves_the_lake_whole(lake: Lake) -> None:
    lake.commit([lake.stage(media_id("a"), analyzers=[luma()])])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        with pytest.raises(LakeUnwritable, match="File too large"):
            lake.stage(media_id("b"), analyzers=[luma()])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list((lake.path / ".tmp").iterdir())
    assert Lake.open(lake.path).table("frames").num_rows == 3


@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EACCES])
def test_a_commit_that_cannot_be_written_says_why(lake: Lake, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    staged = lake.stage(media_id("a"), analyzers=[luma()])

    def refuse(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", refuse)
        with pytest.raises(LakeUnwritable, match=os.strerror(code)):
            lake.commit([staged])
    assert lake.table("frames").num_rows == 0
    assert lake.commit([staged]) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_can_be_read_and_not_written(lake: Lake) -> None:
    lake.commit([lake.stage(media_id("a"), analyzers=[luma()])])
    for folder, _, _ in os.walk(lake.path):
        Path(folder).chmod(0o555)
    try:
        again = Lake.open(lake.path, create=True)
        assert again.table("frames").num_rows == 3
        with pytest.raises(LakeUnwritable, match="Permission denied"):
            again.stage(media_id("b"), analyzers=[luma()])
    finally:
        for folder, _, _ in os.walk(lake.path):
            Path(folder).chmod(0o755)


def test_a_newer_or_damaged_commit_is_named(lake: Lake) -> None:
    lake.commit([lake.stage(media_id("a"), analyzers=[luma()])])
    following = lake.path / "manifest" / "commits" / "000000" / "000000000002.json"
    following.write_text(json.dumps({"format": 2}))
    with pytest.raises(LakeVersionError, match="format 2"):
        Lake.open(lake.path).tables()
    following.write_text('{"format": 1, "units": [{}]}')
    with pytest.raises(LakeError, match="commit 2 is damaged"):
        Lake.open(lake.path).tables()
    following.write_text("{")
    with pytest.raises(LakeError, match=r"000000000002\.json"):
        Lake.open(lake.path).tables()

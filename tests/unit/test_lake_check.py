"""`mediaml lake`: what is wrong with a lake is found and named; an early version's lake opens and is brought up to date."""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from mediaml.cli.lake import app as lake_app
from mediaml.errors import LakeError
from mediaml.tables import Lake
from mediaml.tables.check import check_lake, migrate_lake
from tests.unit.lakes import luma, media_id

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "old_lake.tar.xz"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake.open(tmp_path / "lake", create=True)
    for name in "abc":
        lake.commit([lake.stage(media_id(name), analyzers=[luma()])])
    return lake


@pytest.fixture
def old(tmp_path: Path) -> Path:
    with tarfile.open(GOLDEN) as tar:
        tar.extractall(tmp_path, **({"filter": "data"} if sys.version_info >= (3, 11, 4) else {}))
    return tmp_path / "old_lake"


@pytest.fixture
def call() -> Callable[..., Result]:
    return lambda *given: CliRunner().invoke(lake_app, [str(g) for g in given])


def kinds(lake: Lake, **given: object) -> list[str]:
    return [p.kind for p in check_lake(Lake.open(lake.path), **given)]  # type: ignore[arg-type]


def a_part(lake: Lake) -> Path:
    return sorted(lake.path.glob("frames/*/*.parquet"))[1]


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0x10
    path.write_bytes(data)


def test_a_whole_lake_has_no_problem(lake: Lake, call: Callable[..., Result]) -> None:
    assert kinds(lake) == []
    done = call("check", lake.path)
    assert (done.exit_code, "3 parts" in done.output) == (0, True)


def test_a_missing_part_is_named_and_the_exit_code_says_so(lake: Lake, call: Callable[..., Result]) -> None:
    a_part(lake).unlink()
    done = call("check", lake.path, "--json")
    (problem,) = json.loads(done.output)
    assert (done.exit_code, problem["kind"], "3 rows" in problem["message"]) == (3, "part_missing", True)


def test_one_flipped_bit_in_a_page_is_found(lake: Lake) -> None:
    flip(a_part(lake), 40)
    assert kinds(lake, quick=True) == []
    assert kinds(lake) == ["part_corrupt"]
    with pytest.raises(LakeError, match="lake check"):
        Lake.open(lake.path).compact()


@pytest.mark.parametrize("damage", [lambda p: flip(p, -2), lambda p: p.write_bytes(p.read_bytes()[:-9])])
def test_a_damaged_footer_or_size_is_found_quickly(lake: Lake, damage: Callable[[Path], None]) -> None:
    damage(a_part(lake))
    assert kinds(lake, quick=True) == ["part_corrupt"]


def test_a_part_in_the_place_of_another_is_found(lake: Lake) -> None:
    lake.commit([lake.stage(media_id("d"), analyzers=[luma(7)])])
    part = next(p for p in lake.path.glob("frames/*/*.parquet") if p.name.startswith(media_id("d")[:16]))
    other = a_part(lake)
    other.write_bytes(part.read_bytes())
    assert set(kinds(lake)) & {"part_corrupt", "part_differs"}


def test_schemas_gaps_and_orphans(lake: Lake) -> None:
    lake.stage(media_id("z"), analyzers=[luma()])
    assert kinds(lake, orphan_age_seconds=0) == ["orphan"]
    assert kinds(lake) == []
    schema = next(lake.path.glob("schemas/*.json"))
    kept = schema.read_bytes()
    schema.write_bytes(kept.replace(b"mean luma", b"mean LUMA"))
    assert kinds(lake) == ["schema_missing"]
    schema.write_bytes(kept)
    commit = lake.path / lake.commit_name(2)
    commit.unlink()
    assert "log_gap" in kinds(lake)


def test_rows_of_one_key_that_come_twice_are_found(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.spec import Column, Table
    from mediaml.tables import AnalyzerRows

    column = Column("loud", "float32", "LUFS", "loudness", Table.FILES)
    rows = AnalyzerRows("loud@1", "", {Table.FILES: (column,)}, {Table.FILES: {"loud": [1.0, 2.0]}})
    lake.commit([lake.stage(media_id("a"), analyzers=[rows])])
    assert kinds(lake) == ["keys_not_unique"]


def test_compact_and_gc_by_command(lake: Lake, call: Callable[..., Result]) -> None:
    assert json.loads(call("compact", lake.path, "--json").output) == {"parts_merged_away": 2}
    assert json.loads(call("gc", lake.path, "--json").output)["files"] == 0
    assert json.loads(call("gc", lake.path, "--older-than", "0", "--json").output)["files"] == 3
    assert kinds(lake) == []
    assert Lake.open(lake.path).table("frames").num_rows == 9


def test_a_lake_of_the_first_version_shows_only_rows_that_count(old: Path) -> None:
    lake = Lake.open(old)
    found = lake.query("select media_id, analyzer, luma_mean, count(*) as n from frames where luma_mean is not null "
                       "group by all order by all").to_pylist()  # fmt: skip
    assert [(r["analyzer"], r["luma_mean"], r["n"]) for r in found] == [
        ("luma@2", 1.0, 4),
        ("luma@1", 0.75, 4),
        ("luma@1", 0.5, 4),
    ]
    assert lake.vectors().values.shape == (6, 3)
    assert [t.rows for t in lake.tables() if t.name in ("tags", "errors", "paths", "runs")] == [1, 3, 1, 1]
    versions = lake.table("frames", ["analyzer"], where="luma_mean is not null", all_versions=True)
    assert versions.num_rows == 16


def test_migrate_renews_the_checkpoint_once(old: Path, call: Callable[..., Result]) -> None:
    before = Lake.open(old).table("frames").to_pylist()
    assert [p.kind for p in check_lake(Lake.open(old))] == ["checkpoint"]
    assert "70 commits" in call("migrate", old).output
    assert "up to date" in call("migrate", old).output
    assert list(check_lake(Lake.open(old))) == []
    assert Lake.open(old).table("frames").to_pylist() == before
    shutil.rmtree(old / "manifest" / "commits" / "000000")
    assert Lake.open(old).table("frames").to_pylist() == before


def test_an_old_lake_goes_on(old: Path) -> None:
    lake = Lake.open(old)
    lake.commit([lake.stage(media_id("new"), analyzers=[luma()])])
    assert lake.compact() > 0
    assert Lake.open(old).table("frames").num_rows == 3 + 12 + 12
    assert migrate_lake(Lake.open(old)) == []


def test_a_damaged_checkpoint_is_named_and_made_anew(old: Path) -> None:
    file = next(old.glob("manifest/checkpoints/*/parts.parquet"))
    file.write_bytes(b"PAR1")
    with pytest.raises(LakeError, match="lake migrate"):
        Lake.open(old).tables()
    assert len(migrate_lake(Lake.open(old))) == 1
    assert Lake.open(old).table("frames").num_rows == 24

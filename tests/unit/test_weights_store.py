"""Finding, verifying and registering files: the parts of the door that fetch nothing."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest

from mediaml import weights
from mediaml.errors import (
    InvalidValue,
    LicenceNotAccepted,
    WeightsAbsent,
    WeightsCorrupt,
    WeightsUnavailable,
)
from mediaml.weights import store as store_module
from mediaml.weights.catalogue import Catalogue
from mediaml.weights.pulling import pull
from tests.weights_lab import CONTENT, Listener, bring, catalogue, entry, leftovers, sha256

OWN = 'type = "path"'


def take(where: Catalogue, name: str, file: Path, accept: bool = False) -> Path:
    return pull(where, [name], accept_licence=accept, progress=Listener(), from_path=file)[0].path


@pytest.fixture
def original(tmp_path: Path) -> Path:
    path = tmp_path / "original.bin"
    path.write_bytes(CONTENT)
    return path


def test_absent_says_the_command(tmp_path: Path) -> None:
    where = catalogue(tmp_path, {"one": entry('type = "url", url = "https://example.org/x"'), "two": entry(OWN)})
    with pytest.raises(WeightsAbsent, match=r"run: mediaml weights pull one$"):
        where.resolve("one")
    with pytest.raises(WeightsAbsent, match=r"run: mediaml weights pull two --from FILE$"):
        where.resolve("two")
    with pytest.raises(WeightsUnavailable, match="pull two --from FILE"):
        bring(where, "two")


def test_a_registered_file_is_copied_checked_and_found_again(tmp_path: Path, original: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    path = take(where, "one", original)
    original.unlink()
    assert where.resolve("one") == path and path.read_bytes() == CONTENT
    assert where.sha256("one") == sha256(CONTENT)
    assert [v.state for v in where.verify(["one"])] == ["right"]


def test_a_wrong_registered_file_is_refused_and_nothing_kept(tmp_path: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(WeightsCorrupt, match=sha256(CONTENT)):
        take(where, "one", wrong)
    wrong.write_bytes(CONTENT + b"?")
    with pytest.raises(WeightsCorrupt, match="1024001 bytes, the manifest allows 1024000"):
        take(where, "one", wrong)
    with pytest.raises(WeightsUnavailable, match="is not a file"):
        take(where, "one", tmp_path)
    assert not where.store.is_present(where.describe("one")) and not leftovers(where)


def test_the_file_is_read_once_until_it_changes(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    path = take(where, "one", original)
    readings: list[Path] = []
    real = store_module.sha256_file
    monkeypatch.setattr(store_module, "sha256_file", lambda p: readings.append(p) or real(p))
    where.resolve("one")
    where.resolve("one")
    assert readings == []
    os.utime(path, ns=(1, 1))
    where.resolve("one")
    where.resolve("one")
    assert readings == [path]
    where.verify(["one"])
    assert readings == [path, path]


@pytest.mark.parametrize("damaged", [CONTENT[:-1], CONTENT[:-1] + b"?", b""])
def test_damage_is_found_and_a_pull_mends_it(tmp_path: Path, original: Path, damaged: bytes) -> None:
    where = catalogue(tmp_path, {"one": entry(f'type = "path", path = "{original}"')})
    path = bring(where, "one")[0].path
    path.write_bytes(damaged)
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsCorrupt, match=r"expected .*mediaml weights pull one"):
        where.resolve("one")
    assert [v.state for v in where.verify(["one"])] == ["corrupt"]
    assert bring(where, "one")[0].fetched
    assert where.resolve("one").read_bytes() == CONTENT
    assert not bring(where, "one")[0].fetched


def test_verify_finds_a_change_that_kept_size_and_time(tmp_path: Path, original: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    path = take(where, "one", original)
    before = path.stat()
    path.write_bytes(CONTENT[:-1] + b"?")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [v.state for v in where.verify(["one"])] == ["corrupt"]


def test_two_versions_live_side_by_side(tmp_path: Path, original: Path) -> None:
    newer = tmp_path / "newer.bin"
    newer.write_bytes(b"newer")
    old = catalogue(tmp_path, {"one": entry(OWN)})
    old_path = take(old, "one", original)
    new = catalogue(tmp_path, {"one": entry(OWN, b"newer")})
    with pytest.raises(WeightsAbsent):
        new.resolve("one")
    assert take(new, "one", newer) != old_path
    assert old.resolve("one").read_bytes() == CONTENT and new.resolve("one").read_bytes() == b"newer"


def test_licence_gate(tmp_path: Path, original: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN, commercial_use=False, licence="CC-BY-NC-4.0")})
    with pytest.raises(WeightsAbsent, match="--accept-licence"):
        where.resolve("one")
    with pytest.raises(LicenceNotAccepted, match=r"one \(CC-BY-NC-4.0\).*--accept-licence"):
        take(where, "one", original)
    take(where, "one", original, accept=True)
    assert not bring(where, "one")[0].fetched  # accepted once, here already


def test_from_takes_exactly_one_weight(tmp_path: Path, original: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN), "two": entry(OWN)})
    with pytest.raises(InvalidValue, match="name one weight"):
        pull(where, ["all"], accept_licence=False, progress=Listener(), from_path=original)


def test_a_file_of_the_repository_is_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_bytes(CONTENT)
    where = catalogue(tmp_path, {"ours": entry('type = "repo", file = "net.safetensors"')})
    assert where.resolve("ours") == tmp_path / "net.safetensors"
    assert not bring(where, "ours")[0].fetched
    (tmp_path / "net.safetensors").write_bytes(b"cut")
    with pytest.raises(WeightsCorrupt, match="restore it from the repository"):
        bring(where, "ours")
    (tmp_path / "net.safetensors").unlink()
    with pytest.raises(WeightsAbsent, match="restore it from the repository"):
        where.resolve("ours")


def test_the_users_own_file_by_reference(tmp_path: Path, original: Path) -> None:
    reference = f"@{original}"
    assert weights.resolve(reference) == original
    described = weights.describe(reference)
    assert (described.sha256, described.size, described.name) == (sha256(CONTENT), len(CONTENT), "original")
    original.write_bytes(b"changed")
    assert weights.weights_sha256(reference) == sha256(b"changed")
    with pytest.raises(WeightsAbsent, match="check the path after '@'"):
        weights.resolve(f"@{tmp_path / 'gone'}")


def test_an_unwritable_store_says_what_to_set(tmp_path: Path, original: Path) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    where.store.root.write_text("a file where the folder should be")
    with pytest.raises(WeightsUnavailable, match="set MEDIAML_WEIGHTS to a writable folder"):
        take(where, "one", original)


def test_no_room_is_refused_before_anything_is_written(
    tmp_path: Path, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = catalogue(tmp_path, {"one": entry(OWN)})
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda _: _Full())
    with pytest.raises(WeightsUnavailable, match=r"needs 1.0 MB .* set MEDIAML_WEIGHTS"):
        take(where, "one", original)


class _Full:
    free = 1000


def test_store_root_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAML_WEIGHTS", str(tmp_path / "elsewhere"))
    assert weights.store_root() == tmp_path / "elsewhere"
    monkeypatch.delenv("MEDIAML_WEIGHTS")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert weights.store_root().parts[-2:] == ("mediaml", "weights")


def test_plain_pickle_reads_data_and_refuses_code(tmp_path: Path) -> None:
    path = tmp_path / "p.pickle"
    path.write_bytes(pickle.dumps({"min_": [0.5, -1.0], "n": 36}))
    assert weights.read_plain_pickle(path) == {"min_": [0.5, -1.0], "n": 36}
    path.write_bytes(pickle.dumps(OrderedDict(a=1)))
    with pytest.raises(WeightsCorrupt, match=r"collections\.OrderedDict"):
        weights.read_plain_pickle(path)
    path.write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    with pytest.raises(WeightsCorrupt, match=r"os\.system"):
        weights.read_plain_pickle(path)
    path.write_bytes(b"\x80\x04")
    with pytest.raises(WeightsCorrupt, match="not a plain pickle"):
        weights.read_plain_pickle(path)

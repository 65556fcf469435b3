"""`mediaml weights`, run in this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from mediaml.cli.weights import app
from mediaml.errors import LicenceNotAccepted, UnknownName, WeightsAbsent, WeightsCorrupt
from tests.weights_lab import CONTENT, catalogue, entry, serving, sha256


@pytest.fixture(autouse=True)
def _own_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = entry('type = "path"', licence="CC-BY-NC-4.0", commercial_use=False)
    catalogue(tmp_path, {"my_net": entry('type = "path"'), "my_barred_net": own})
    monkeypatch.setenv("MEDIAML_WEIGHTS_MANIFEST", str(tmp_path / "manifest.toml"))
    monkeypatch.setenv("MEDIAML_WEIGHTS", str(tmp_path / "store"))
    (tmp_path / "net.bin").write_bytes(CONTENT)


def mediaml_weights(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def listed(name: str) -> dict[str, object]:
    result = mediaml_weights("list", name, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)[0]


def test_list_says_what_is_here_and_who_uses_it(tmp_path: Path) -> None:
    assert listed("my_net")["here"] is False
    assert mediaml_weights("pull", "my_net", "--from", str(tmp_path / "net.bin")).exit_code == 0
    record = listed("my_net")
    assert record["here"] is True and Path(str(record["path"])).read_bytes() == CONTENT
    result = mediaml_weights("list")
    assert result.exit_code == 0 and "transnetv2" in result.stdout and "Apache-2.0" in result.stdout
    assert "shots_transnetv2" in str(listed("transnetv2")["used_by"])


def test_list_of_one_shows_everything() -> None:
    result = mediaml_weights("list", "transnetv2")
    assert result.exit_code == 0
    assert "arXiv:2008.04838" in result.stdout and "mediaml weights pull transnetv2" in result.stdout


def test_pull_says_what_came_and_what_was_here(tmp_path: Path) -> None:
    with serving() as server:
        catalogue(tmp_path, {"far_net": entry(f'type = "url", url = "{server.url}"')})
        again = tmp_path / "again.toml"
        (tmp_path / "manifest.toml").rename(again)
        first = CliRunner().invoke(app, ["pull", "far_net"], env={"MEDIAML_WEIGHTS_MANIFEST": str(again)})
        second = CliRunner().invoke(app, ["pull", "far_net"], env={"MEDIAML_WEIGHTS_MANIFEST": str(again)})
    assert first.stdout.startswith("pulled  far_net  1.0 MB") and second.stdout.startswith("present far_net")


def test_errors_reach_the_command_as_typed_errors(tmp_path: Path) -> None:
    assert isinstance(mediaml_weights("pull", "transnet").exception, UnknownName)
    barred = mediaml_weights("pull", "my_barred_net", "--from", str(tmp_path / "net.bin"))
    assert isinstance(barred.exception, LicenceNotAccepted)
    accepted = mediaml_weights("pull", "my_barred_net", "--accept-licence", "--from", str(tmp_path / "net.bin"))
    assert accepted.exit_code == 0


def test_verify_speaks_of_what_is_here_and_of_what_was_named(tmp_path: Path) -> None:
    ours = mediaml_weights("verify").stdout  # the repository's own are always here
    assert "right   mediaml_sr_x2\n" in ours and "my_net" not in ours
    assert isinstance(mediaml_weights("verify", "my_net").exception, WeightsAbsent)
    mediaml_weights("pull", "my_net", "--from", str(tmp_path / "net.bin"))
    assert sorted(mediaml_weights("verify").stdout.splitlines()) == sorted([*ours.splitlines(), "right   my_net"])
    Path(str(listed("my_net")["path"])).write_bytes(CONTENT[::-1])
    broken = mediaml_weights("verify")
    assert isinstance(broken.exception, WeightsCorrupt) and "corrupt my_net" in broken.stdout
    assert sha256(CONTENT[::-1]) in str(broken.exception)

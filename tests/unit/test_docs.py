"""The documentation says what is true: its analyzer runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from mediaml.cli import _register, app
from mediaml.derive.vocabulary import load_vocabulary
from tests.clips import make_clip, solid
from tests.report_lake import make_lake

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.fixture(scope="module")
def commands() -> set[tuple[str, ...]]:
    """Every command of the CLI: ("analyze",), ("tables", "list"), ..."""
    if not app.registered_commands:
        _register()
    found: set[tuple[str, ...]] = set()
    for name, command in get_command(app).commands.items():  # type: ignore[attr-defined]
        found.add((name,))
        found |= {(name, sub) for sub in getattr(command, "commands", {})}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_commands_in_the_text_exist(page: Path, commands: set[tuple[str, ...]]) -> None:
    groups = {c[0] for c in commands if len(c) == 2}
    text = page.read_text()
    blocks = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text, re.DOTALL))
    for line in re.findall(r"^mediaml ([a-z].*)", blocks, re.MULTILINE) + re.findall(r"`mediaml ([a-z][^`\n]*)`", text):
        words = line.split()
        name = tuple(words[:2]) if words[0] in groups and len(words) > 1 else (words[0],)
        assert name in commands, f"{page.name}: mediaml {line}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_analyzer_of_the_walk_through_is_one_file_and_no_other_edit(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "adding_an_analyzer.md").read_text()
    code = re.search(r"```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    (tmp_path / "clipped_luma.py").write_text(code[1])
    clip = make_clip(tmp_path / "white.mp4", lambda i: solid(255), 30, options={"crf": "0"})
    environment = os.environ | {"MEDIAML_PLUGINS": "clipped_luma", "PYTHONPATH": str(tmp_path)}

    def mediaml(*arguments: str) -> str:
        command = [sys.executable, "-m", "mediaml", *arguments]
        return subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True).stdout

    assert "luma_at_white" in mediaml("analyzers", "clipped_luma", "--json")
    lake = str(tmp_path / "lake")
    mediaml("analyze", str(clip), "-o", lake, "-a", "clipped_luma", "-w", "0", "-q", "--no-derive")
    answer = mediaml(
        "tables", "query", lake, "select max(luma_at_white) w, max(luma_at_black) b from frames", "--format", "csv"
    )
    assert answer.split()[-1] == "1.0,0.0"


def test_the_queries_of_the_guide_run(tmp_path: Path) -> None:
    """On a lake of another test: all tables are there, whatever rows they hold."""
    lake = make_lake(tmp_path / "lake", 2)
    columns = {column.name for name in ("frames", "files") for column in lake.describe(name)}
    asked = re.findall(r"`(select [^`]+)`", (ROOT / "docs" / "guide.md").read_text())
    assert len(asked) >= 6
    for sql in asked:
        if {"brisque", "true_peak_dbtp"} & set(re.findall(r"\w+", sql)) <= columns:
            lake.query(sql)


def test_the_vocabulary_of_the_guide_is_one(tmp_path: Path) -> None:
    text = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "guide.md").read_text(), re.DOTALL)
    assert text is not None
    (tmp_path / "mine.toml").write_text(text[1])
    assert load_vocabulary(tmp_path / "mine.toml").id == "mine"

"""The report in a real browser: it draws, its filter works, and nothing that a file says is ever run."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from mediaml.report import build_report
from mediaml.tables import Lake
from tests.report_lake import make_lake, stage_file

pytestmark = pytest.mark.browser

CHROMIUM = next((p for n in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(n))), None)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--enable-logging=stderr",
    "--virtual-time-budget=3000",
)
HOSTILE = "\"'><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">.mp4"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The page after its script ran, and what it wrote to the console."""

    dom: str
    console: list[str]

    @property
    def shown(self) -> list[str]:
        """Names of the cards that are not hidden, in the order of the page."""
        cards = re.findall(r'<details class="card"[^>]*>', self.dom)
        names = [(re.search(r'data-name="([^"]*)"', c), re.search(r'\shidden(=""|[\s>])', c)) for c in cards]
        return [name[1] for name, hidden in names if name and not hidden]

    def value(self, pattern: str) -> str:
        found = re.search(pattern, self.dom)
        assert found, pattern
        return found[1]


def load(page: Path, fragment: str, profile: Path) -> Loaded:
    if CHROMIUM is None:
        pytest.skip("Chromium absent: apt-get install chromium")
    url = page.resolve().as_uri() + fragment
    done = subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", url],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return Loaded(done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line])


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    return build_report(make_lake(folder / "lake", 6), folder / "report.html", "Six clips")


def test_the_page_loads_without_a_word_on_the_console(report: Path, tmp_path: Path) -> None:
    page = load(report, "", tmp_path)
    assert page.console == []
    assert page.shown == [f"clip_{i:03d}.mp4" for i in range(6)]
    assert page.value(r'id="count"[^>]*>([^<]*)<') == "6 files"
    assert page.dom.count("data:image/jpeg") == 6 * 6 + 6  # the script gave every card its poster


@pytest.mark.parametrize(
    ("fragment", "expected"),
    [
        ("#q=clip_003", ["clip_003.mp4"]),
        ("#q=vfr", ["clip_001.mp4"]),
        ("#q=hdr+-clip_00", []),
        ("#q=niqe%3E4.5+pixels%3C%3D921600", ["clip_002.mp4", "clip_003.mp4"]),
        ("#q=errors%3E0", ["clip_000.mp4"]),
        ("#sort=name&up=1", [f"clip_{i:03d}.mp4" for i in reversed(range(6))]),
        ("#q=clip_00+h264&sort=integrated_lufs&up=1", ["clip_004.mp4", "clip_000.mp4"]),
    ],
)
def test_the_address_fills_in_filter_and_order(
    report: Path, tmp_path: Path, fragment: str, expected: list[str]
) -> None:
    page = load(report, fragment, tmp_path)
    assert page.console == []
    assert page.shown == expected
    assert ("6 files" if "q=" not in fragment else f"{len(expected)} of 6 files") in page.dom


def test_hostile_names_are_text(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path / "lake", create=True)
    lake.commit([stage_file(lake, f"/media/{HOSTILE}", 0, container_long=HOSTILE, tags={HOSTILE: HOSTILE})])
    out = build_report(lake, tmp_path / "report.html", "<i>safe</i>")
    page = load(out, "#q=script", tmp_path / "profile")
    assert page.console == []
    assert page.value(r"<title>([^<]*)</title>") == "&lt;i&gt;safe&lt;/i&gt;"
    assert len(page.shown) == 1
    assert page.dom.count("<script") == 1


def test_a_script_that_got_in_would_not_run(report: Path, tmp_path: Path) -> None:
    injected = tmp_path / "injected.html"
    html = report.read_text(encoding="utf-8")
    injected.write_text(html.replace("<main>", "<main><script>document.title='owned'</script><img src=//127.0.0.1/x>"))
    page = load(injected, "", tmp_path / "profile")
    assert page.value(r"<title>([^<]*)</title>") == "Six clips"
    assert sum("Content Security Policy" in line for line in page.console) == 2

"""The report of a score in a real browser: the wipe shows what it says, and the page draws without a word on the console."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from mediaml.engine.score.pair import score
from mediaml.report.score import build_score_report
from tests.clips import make_clip, solid
from tests.pipeline.test_report_browser import CHROMIUM, FLAGS, load

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A green encode of a red source, so that a screenshot tells which of the two is seen."""
    folder = tmp_path_factory.mktemp("score")
    clips = []
    for name, colour in (("green.mkv", (0, 160, 0)), ("red.mkv", (160, 0, 0))):
        pictures = [solid(0, 320, 240) + np.array(colour, np.uint8) for _ in range(8)]
        clips.append(make_clip(folder / name, pictures, codec="ffv1", pix_fmt="yuv444p"))
    result = score(*clips, ["psnr_y"], align=False, device="cpu")
    result.worst = result.worst[:1]
    return build_score_report(result, folder / "score.html")


def test_the_page_loads_without_a_word_on_the_console(report: Path, tmp_path: Path) -> None:
    page = load(report, "", tmp_path)
    assert page.console == []
    assert page.value(r'class="wipe" style="--at: ([0-9.]+)%;"') == "50"
    assert page.value(r"<title>([^<]*)</title>") == "green.mkv against red.mkv"


def test_the_wipe_moves_between_the_two(report: Path, tmp_path: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert len(re.findall(r'step="0.1" value="50"', html)) == 1
    green, red = np.array([shares(html, at, tmp_path) for at in (0, 25, 100)], float).T
    whole = red[0] - red[2]  # the picture under the wipe; the details do not change
    assert whole > 20_000
    assert green[2] - green[0] == pytest.approx(whole, rel=0.03)
    assert green[1] - green[0] == pytest.approx(whole / 4, rel=0.06)


def shares(html: str, at: int, folder: Path) -> tuple[int, int]:
    """(green, red) pixels on the screen with the wipe at `at` percent."""
    if CHROMIUM is None:
        pytest.skip("Chromium absent: apt-get install chromium")
    page, shot = folder / f"{at}.html", folder / f"{at}.png"
    page.write_text(html.replace('step="0.1" value="50"', f'step="0.1" value="{at}"'), encoding="utf-8")
    subprocess.run(
        [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--hide-scrollbars", "--window-size=1200,3000",
         f"--screenshot={shot}", page.as_uri()],
        capture_output=True, timeout=120, check=True,
    )  # fmt: skip
    picture = cv2.imread(str(shot))
    assert picture is not None
    blue, green, red = (picture[..., i].astype(int) for i in range(3))
    return int(((green > 130) & (red < 60) & (blue < 60)).sum()), int(((red > 130) & (green < 60) & (blue < 60)).sum())

"""The report of a check in a real browser: it draws, says nothing on the console, and hostile names stay text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mediaml
from mediaml.engine.qc.profile import parse_profile
from tests.clips import gradient, make_clip, sine, solid
from tests.pipeline.test_report_browser import load

pytestmark = pytest.mark.browser

HOSTILE = "\"'><script>document.title='owned'<&script><img src=x onerror=\"document.title='owned'\">.mp4"
PROFILE = """
id = "mine"
title = "<i>Mine</i>"
summary = "<b>hostile</b> words"

[[rules]]
id = "black"
level = "fail"
finding = "black"
why = "<script>document.title='owned'</script>"

[[rules]]
id = "silence"
level = "warn"
finding = "silence"
max_seconds = 0.5
why = "quiet"
"""


def test_the_page_draws_and_runs_nothing_of_a_files_own(tmp_path: Path) -> None:
    media = tmp_path / "media"
    media.mkdir()
    sound = sine(3.0, amplitude=0.3)
    sound[:, 48000:96000] = 0
    pictures = [solid(0) if 25 <= i < 50 else gradient(i) for i in range(75)]
    make_clip(tmp_path / "plain.mp4", pictures, audio=sound).rename(media / HOSTILE)
    (media / "empty.mp4").touch()
    profile = parse_profile(PROFILE, "hostile")
    result = mediaml.qc(media, profile, out=tmp_path / "lake", pictures=True, workers=0, device="cpu")
    page = mediaml.build_qc_report(result, tmp_path / "qc.html")
    shown = load(page, "", tmp_path / "profile")
    assert shown.console == []
    assert shown.value(r"<title>([^<]*)</title>") == "&lt;i&gt;Mine&lt;/i&gt;: 2 files"
    assert shown.dom.count("<script") == 1
    assert shown.dom.count('src="data:image/jpeg') == 2
    assert len(re.findall(r'<svg[^>]*class="plot"', shown.dom)) == 2  # waveform, loudness
    assert "00:00:01:00" in shown.dom
    assert re.findall(r'<span class="mark \w+">(\w+)</span></td>', shown.dom) == ["fail", "unreadable"]

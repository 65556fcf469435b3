"""Fixtures that every test may use: shared data, pulled weights, tiny clips."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", ROOT.parent / "shared" / "data"))
_skips: Counter[str] = Counter()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real media and golden scores; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"shared test data absent: {SHARED}")
    return SHARED


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2]
        for key in ("shared test data", "weights", "CUDA", "Chromium"):
            if key in reason:
                _skips[key] += 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for key, count in sorted(_skips.items()):
        terminalreporter.write_line(f"{count} skipped because of: {key} absent")

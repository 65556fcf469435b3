"""The public surface, pinned: a name that comes or goes is a decision, not an accident."""

from __future__ import annotations

import subprocess
import sys

import mediaml

PUBLIC = [
    "AudioAnalyzer",
    "AudioBlock",
    "AudioView",
    "Column",
    "FrameAnalyzer",
    "FrameBatch",
    "Lake",
    "MediaInfo",
    "MediamlError",
    "Need",
    "Spec",
    "Table",
    "Upscaler",
    "View",
    "analyze",
    "build_qc_report",
    "build_report",
    "derive",
    "embed",
    "probe",
    "qc",
    "score",
    "search",
]


def test_the_public_names_are_these() -> None:
    assert mediaml.__all__ == PUBLIC
    for name in PUBLIC:
        assert getattr(mediaml, name).__doc__, f"{name} has no docstring"


def test_importing_the_package_or_asking_for_help_does_not_import_torch() -> None:
    program = "import sys, mediaml, mediaml.cli; mediaml.cli._register(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

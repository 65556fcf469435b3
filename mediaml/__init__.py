"""mediaml: media in, content characterization tables out.

>>> import mediaml
>>> lake = mediaml.analyze("movies", out="lake")
>>> lake.table("shots").to_pandas()

The names below are the public surface; they are loaded on first use, so that `import mediaml` is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mediaml.analyzers.base import AudioAnalyzer as AudioAnalyzer
    from mediaml.analyzers.base import FrameAnalyzer as FrameAnalyzer
    from mediaml.decode.probe import probe as probe
    from mediaml.derive import derive as derive
    from mediaml.engine.analyze import analyze as analyze
    from mediaml.engine.embedding import embed as embed
    from mediaml.engine.qc.check import qc as qc
    from mediaml.engine.score.pair import score as score
    from mediaml.errors import MediamlError as MediamlError
    from mediaml.frames import AudioBlock as AudioBlock
    from mediaml.frames import FrameBatch as FrameBatch
    from mediaml.media import MediaInfo as MediaInfo
    from mediaml.report import build_report as build_report
    from mediaml.report.qc import build_qc_report as build_qc_report
    from mediaml.restore.upscaler import Upscaler as Upscaler
    from mediaml.retrieval.search import search as search
    from mediaml.spec import AudioView as AudioView
    from mediaml.spec import Column as Column
    from mediaml.spec import Need as Need
    from mediaml.spec import Spec as Spec
    from mediaml.spec import Table as Table
    from mediaml.spec import View as View
    from mediaml.tables import Lake as Lake

__version__ = "0.1.0"

_HOME = {
    "AudioAnalyzer": "mediaml.analyzers.base",
    "AudioBlock": "mediaml.frames",
    "AudioView": "mediaml.spec",
    "Column": "mediaml.spec",
    "FrameAnalyzer": "mediaml.analyzers.base",
    "FrameBatch": "mediaml.frames",
    "Lake": "mediaml.tables",
    "MediaInfo": "mediaml.media",
    "MediamlError": "mediaml.errors",
    "Need": "mediaml.spec",
    "Spec": "mediaml.spec",
    "Table": "mediaml.spec",
    "Upscaler": "mediaml.restore.upscaler",
    "View": "mediaml.spec",
    "analyze": "mediaml.engine.analyze",
    "build_qc_report": "mediaml.report.qc",
    "build_report": "mediaml.report",
    "derive": "mediaml.derive",
    "embed": "mediaml.engine.embedding",
    "probe": "mediaml.decode.probe",
    "qc": "mediaml.engine.qc.check",
    "score": "mediaml.engine.score.pair",
    "search": "mediaml.retrieval.search",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'mediaml' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

"""The report of a lake: every file with its pictures, curves, findings and facts."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from mediaml.report import cards
from mediaml.report.overview import headline_metrics, overview
from mediaml.report.page import write_page
from mediaml.report.queries import read_catalogue
from mediaml.tables import Lake


def build_report(lake: Lake | str | PathLike[str], out: str | PathLike[str], title: str | None = None) -> Path:
    """Write the HTML report of a lake to `out` and return its path.

    Only the tables are read; a report that is there stays whole if this one fails. Raises LakeMissing, LakeVersionError;
    InvalidValue where `out` cannot be written.
    """
    opened = lake if isinstance(lake, Lake) else Lake.open(lake)
    context = _context(opened, title)
    return write_page(Path(out), "report.html.j2", context, styles=["style.css"], scripts=["plots.js", "report.js"])


def _context(lake: Lake, title: str | None) -> dict[str, Any]:
    catalogue = read_catalogue(lake)
    return {
        "title": title or f"Media report: {lake.path.resolve().name}",
        "catalogue": catalogue,
        "overview": overview(catalogue),
        "cards": cards.cards(catalogue),
        "example": next((m.name for m in headline_metrics(catalogue)), "size"),
        "sort_choices": cards.sort_choices(catalogue),
    }

"""Writes the report: one HTML file with everything inside, readable without a network, that runs no code but its own."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mediaml import __version__
from mediaml.errors import InvalidValue, printable
from mediaml.report import cards, text
from mediaml.report.overview import headline_metrics, overview
from mediaml.report.queries import read_catalogue
from mediaml.tables import Lake

_HERE = Path(__file__).parent


def build_report(lake: Lake | str | PathLike[str], out: str | PathLike[str], title: str | None = None) -> Path:
    """Write the HTML report of a lake to `out` and return its path.

    Only the tables are read. The file is written under another name and renamed, so that a report that is there stays whole
    if this one fails. Raises LakeMissing, LakeVersionError; InvalidValue where `out` cannot be written.
    """
    opened = lake if isinstance(lake, Lake) else Lake.open(lake)
    target = Path(out)
    context = _context(opened, title)
    stream = _environment().get_template("report.html.j2").stream(context)
    stream.enable_buffering(64)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".report-", suffix=".html", dir=target.parent)
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                stream.dump(file, encoding="utf-8", errors="backslashreplace")
            part.chmod(0o644)
            part.replace(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InvalidValue(
            f"report {printable(target)} cannot be written: {error.strerror or error}; choose another file with --out"
        ) from error
    return target


def _context(lake: Lake, title: str | None) -> dict[str, Any]:
    catalogue = read_catalogue(lake)
    style, script = ((_HERE / name).read_text(encoding="utf-8") for name in ("style.css", "report.js"))
    return {
        "title": title or f"Media report: {lake.path.resolve().name}",
        "made_at": text.moment(datetime.now(UTC)),
        "version": __version__,
        "policy": f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        "style": Markup(style),
        "script": Markup(script),
        "catalogue": catalogue,
        "overview": overview(catalogue),
        "cards": cards.cards(catalogue),
        "example": next((m.name for m in headline_metrics(catalogue)), "size"),
        "sort_choices": cards.sort_choices(catalogue),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("mediaml.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=text.safe,
    )
    environment.filters |= {
        "timecode": text.timecode,
        "duration": text.duration,
        "brief": text.brief,
        "moment": text.moment,
        "number": text.number,
    }
    return environment


def _digest(content: str) -> str:
    """The content's hash as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")

"""A report as one HTML file: everything inside, readable without a network, and no code but its own ever runs in it."""

from __future__ import annotations

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mediaml import __version__
from mediaml.errors import InvalidValue, printable
from mediaml.report import text

_HERE = Path(__file__).parent


def write_page(
    target: Path,
    template: str,
    context: Mapping[str, Any],
    *,
    styles: Sequence[str],
    scripts: Sequence[str],
    option: str = "--out",
) -> Path:
    """Fills `template` and writes it to `target`, which is returned.

    `styles` and `scripts` are files beside this module: the template prints them as `style` and `script` and states
    `policy`, a content security policy that lets nothing else run. Also given: `made_at`, `version`. `option` is the command
    line's that names the file, for the error message.

    The file is written under another name and renamed, so that a report that is there stays whole if this one fails.
    Raises InvalidValue where `target` cannot be written.
    """
    stream = _environment().get_template(template).stream({**context, **_frame(styles, scripts)})
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
            f"report {printable(target)} cannot be written: {error.strerror or error}; choose another file with {option}"
        ) from error
    return target


def _frame(styles: Sequence[str], scripts: Sequence[str]) -> dict[str, Any]:
    style, script = ("".join((_HERE / n).read_text(encoding="utf-8") for n in names) for names in (styles, scripts))
    return {
        "made_at": text.moment(datetime.now(UTC)),
        "version": __version__,
        "policy": f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "base-uri 'none'; form-action 'none'",
        "style": Markup(style),
        "script": Markup(script),
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
        "score": text.score,
    }
    return environment


def _digest(content: str) -> str:
    """The content's hash as a content security policy names it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode("utf-8")).digest()).decode("ascii")

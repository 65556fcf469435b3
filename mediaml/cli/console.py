"""Where commands print: results on stdout, progress and errors on stderr."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from mediaml.errors import printable

_NUMBER = re.compile(r"-?\d+\.\d+")


@cache
def output_console() -> Console:
    return Console(soft_wrap=False)


@cache
def errors_console() -> Console:
    return Console(stderr=True)


def print_json(value: Any) -> None:
    """Machine output: plain JSON on stdout, never wrapped or coloured."""
    output_console().out(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False), highlight=False)


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]], title: str | None = None) -> None:
    """A table for people; numbers are right-aligned, foreign text is escaped."""
    table = RichTable(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    rows = [list(r) for r in rows]
    for i, heading in enumerate(headings):
        numeric = bool(rows) and all(_is_number(r[i]) for r in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(v) for v in row))
    output_console().print(table)


def _is_number(value: object) -> bool:
    """Also one that is written out already."""
    return (
        value is None or isinstance(value, (int, float)) or (isinstance(value, str) and bool(_NUMBER.fullmatch(value)))
    )


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return f"{value:,}"
    return escape("\n".join(printable(line) for line in str(value).split("\n")))

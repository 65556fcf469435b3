"""`mediaml report`: one HTML file from the tables."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console


def register(app: typer.Typer) -> None:
    app.command("report")(report)


def report(
    lake: Annotated[Path, typer.Argument(help="The lake that `mediaml analyze` wrote.", show_default=False)],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file; default: report.html in the lake.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the report; default: the lake's name.")] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Write the report of a lake: one HTML file with pictures, charts, findings and errors, readable without a network.

    Examples:

        mediaml report lake/ --open

        mediaml report lake/ --out /srv/www/report.html --title "Season 2 masters"
    """
    from mediaml.report import build_report

    written = build_report(lake.expanduser(), (out or lake / "report.html").expanduser(), title)
    size = written.stat().st_size / 1e6
    errors_console().print(f"{written} ({size:.1f} MB)", markup=False, highlight=False, soft_wrap=True)
    if open_browser and not webbrowser.open(written.resolve().as_uri()):
        errors_console().print("no browser was found; open the file yourself", style="yellow")

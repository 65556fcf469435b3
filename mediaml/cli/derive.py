"""`mediaml derive`: bring tags, shot summaries and derived embeddings up to date."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import output_console, print_json, print_table


def register(app: typer.Typer) -> None:
    app.command("derive")(derive)


def derive(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    vocabulary: Annotated[
        list[Path] | None,
        typer.Option("--vocabulary", help="TOML file of tags to look for, beside the shipped ones; repeatable."),
    ] = None,
    only: Annotated[str, typer.Option(help="Comma-separated derivations or groups: tags, embeddings, shots.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Compute tags, shot summaries and label-space embeddings from stored columns; nothing is decoded.

    Only media whose source rows, vocabulary or settings changed are computed again.

    Exit codes: 0 all well, 1 some media failed (see `mediaml tables query LAKE "select * from errors"`), 2 bad use.

    Example: mediaml derive lake/ --vocabulary mine.toml
    """
    from mediaml.derive import derive as derive_tables

    names = [n.strip() for n in only.split(",") if n.strip()]
    summary = derive_tables(lake.expanduser(), vocabularies=vocabulary or (), only=names or None)
    if as_json:
        print_json(asdict(summary))
    elif not any([*summary.computed.values(), *summary.unchanged.values(), *summary.failed.values()]):
        output_console().print("Nothing to derive from: analyze some media first.", highlight=False)
    else:
        counts = (summary.computed, summary.unchanged, summary.failed, summary.rows)
        headings = ("derivation", "media computed", "up to date", "failed", "rows written")
        print_table(headings, [(name, *(c[name] for c in counts)) for name in summary.computed])
    raise typer.Exit(int(any(summary.failed.values())))

"""`mediaml duplicates`: the same content again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import printable


def register(app: typer.Typer) -> None:
    app.command("duplicates")(duplicates)


def duplicates(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Space to compare in.", show_default="lite0")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """List media that show the same content re-encoded, cropped or trimmed, from stored vectors; nothing is decoded.

    "same": each covers the other; "part": one is a trim of the other; "shared": both hold the same stretch.
    Byte-identical files are one media already.

    Exit codes: 0 all well (whether or not there are any), 2 bad use.

    Example: mediaml duplicates lake/ --json
    """
    from rich.progress import Progress

    from mediaml.cli.search import timecode
    from mediaml.retrieval.duplicates import duplicates as find

    with Progress(console=errors_console(), transient=True, disable=quiet) as bars:
        task = bars.add_task("comparing media", total=None)
        found = find(
            lake.expanduser(), model=model, progress=lambda done, total: bars.update(task, completed=done, total=total)
        )
    if as_json:
        print_json(
            [
                {
                    "kind": d.match.kind,
                    "similarity": round(d.match.similarity, 4),
                    "covered": round(d.match.covered, 4),
                    "offset_seconds": round(d.match.offset_seconds, 3),
                    "a": {"media_id": d.media_a, "path": printable(d.path_a), "start_end_seconds": list(d.match.a)},
                    "b": {"media_id": d.media_b, "path": printable(d.path_b), "start_end_seconds": list(d.match.b)},
                }
                for d in found
            ]
        )
        return
    if not found:
        output_console().print("No two media of this lake show the same content.", highlight=False)
        return
    headings = ("", "a", "from", "to", "b", "from", "to", "alike", "covered")
    rows = []
    for d in found:
        a, b = ([timecode(t) for t in span] for span in (d.match.a, d.match.b))
        names = Path(d.path_a).name, Path(d.path_b).name
        rows.append((d.match.kind, names[0], *a, names[1], *b, d.match.similarity, d.match.covered))
    print_table(headings, rows)

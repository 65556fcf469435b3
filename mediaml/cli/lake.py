"""`mediaml lake`: keep a lake healthy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table

app = typer.Typer(
    help="Keep a lake healthy: check, compact, gc, migrate.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
LakeArgument = Annotated[Path, typer.Argument(help="The lake: a folder, or s3://bucket/lake.", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]
FAILED = 3


@app.command()
def check(
    lake: LakeArgument,
    quick: Annotated[bool, typer.Option("--quick", help="Sizes and footers only, not every page.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Read every part that the lake names and report what is missing, damaged, orphaned or there twice.

    Nothing is changed. Exit codes: 0 whole (warnings may be listed), 2 no lake there, 3 something is at fault.

    Example: mediaml lake check lake/
    """
    from rich.progress import Progress

    from mediaml.tables import Lake
    from mediaml.tables.check import check_lake

    opened = Lake.open(lake.expanduser())
    with Progress(console=errors_console(), transient=True, disable=as_json) as bar:
        task = bar.add_task("parts", total=None)
        found = list(check_lake(opened, quick, progress=lambda n, total: bar.update(task, completed=n, total=total)))
    if as_json:
        print_json([{"kind": p.kind, "severity": p.severity, "where": p.where, "message": p.message} for p in found])
    elif found:
        print_table(["severity", "kind", "where", "what"], [(p.severity, p.kind, p.where, p.message) for p in found])
    else:
        parts = sum(t.parts for t in opened.tables())
        output_console().print(f"whole: {parts:,} parts, no problem found", highlight=False)
    raise typer.Exit(FAILED if any(p.severity == "error" for p in found) else 0)


@app.command()
def compact(lake: LakeArgument, as_json: JsonOption = False) -> None:
    """Merge small parts into larger ones, so that queries and reports open fewer files.

    Readers that are open keep working: the merged files stay until `mediaml lake gc`. `mediaml analyze`
    does this itself when a lake has many parts.
    """
    from mediaml.tables import Lake

    gone = Lake.open(lake.expanduser()).compact()
    if as_json:
        print_json({"parts_merged_away": gone})
    else:
        output_console().print(f"{gone:,} parts fewer", highlight=False)


@app.command()
def gc(
    lake: LakeArgument,
    older_than: Annotated[
        float, typer.Option(min=0, help="Hours; must be longer than any run takes from a file's end to its commit.")
    ] = 24.0,
    as_json: JsonOption = False,
) -> None:
    """Delete files that no commit names: what killed runs and compaction left behind."""
    from mediaml.tables import Lake

    count, size = Lake.open(lake.expanduser()).collect_garbage(older_than * 3600)
    if as_json:
        print_json({"files": count, "bytes": size})
    else:
        output_console().print(f"{count:,} files deleted, {size:,} bytes", highlight=False)


@app.command()
def migrate(lake: LakeArgument, as_json: JsonOption = False) -> None:
    """Bring a lake of an earlier version up to this one, so that it opens quickly; every version can be read as it is."""
    from mediaml.tables import Lake
    from mediaml.tables.check import migrate_lake

    done = migrate_lake(Lake.open(lake.expanduser()))
    if as_json:
        print_json({"steps": done})
    else:
        output_console().print("\n".join(done) or "up to date, nothing to do", highlight=False)

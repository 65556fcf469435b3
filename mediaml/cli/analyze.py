"""`mediaml analyze`: the main job."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table


def register(app: typer.Typer) -> None:
    app.command("analyze")(analyze)


def analyze(
    paths: Annotated[list[Path], typer.Argument(help="Media files and directories.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lake: a folder of Parquet tables, made if absent.")],
    analyzers: Annotated[
        str, typer.Option("--analyzers", "-a", help="Comma-separated names or groups; -NAME leaves one out.")
    ] = "",
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Processes, one file each; default: one a core.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    include: Annotated[list[str] | None, typer.Option(help="Only files that match this glob; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No files that match this glob; repeatable.")] = None,
    recursive: Annotated[bool, typer.Option(help="Search folders below the ones named.")] = True,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Try again what failed before.")] = False,
    file_timeout: Annotated[float | None, typer.Option(help="Seconds after which a file is given up.")] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Largest coded picture that is decoded, in pixels.")] = None,
    derive: Annotated[bool, typer.Option(help="Derive tags and shot summaries afterwards.")] = True,
    explain: Annotated[bool, typer.Option("--explain", help="Print each file's decode plan; decode nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; decode nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The run's summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Analyze media into tables: each file is decoded once, and what is known already is not computed again.

    Exit codes: 0 all well, 1 some files failed (see `mediaml tables query LAKE "select * from errors"`), 2 bad use.

    Examples:

        mediaml analyze ~/movies --out lake/

        mediaml analyze clip.mp4 -o lake/ --analyzers quality,-niqe --workers 1

        mediaml analyze ~/movies -o lake/ --explain
    """
    from mediaml.analyzers.base import select
    from mediaml.engine.analyze import discover, run_analysis
    from mediaml.engine.progress import RichProgress, SilentProgress
    from mediaml.engine.settings import Settings

    given: dict[str, Any] = {"workers": workers, "max_pixels": max_pixels}
    settings = Settings(
        lake=out.expanduser(),
        analyzers=tuple(c.spec.name for c in select([n.strip() for n in analyzers.split(",") if n.strip()])),
        device=device,  # type: ignore[arg-type]  # checked by Settings
        file_timeout_seconds=file_timeout,
        retry_errors=retry_errors,
        **{k: v for k, v in given.items() if v is not None},
    )
    discovery = discover(paths, include or (), exclude or (), recursive)
    if explain or dry_run:
        _preview(discovery, settings, explain)
        return
    progress = SilentProgress() if quiet else RichProgress(errors_console())
    _, summary = run_analysis(discovery, settings, derive=derive, progress=progress)
    if as_json:
        print_json(summary.to_dict())
    else:
        _print_summary(summary, out)
    raise typer.Exit(summary.exit_code)


def _preview(discovery: Any, settings: Any, explain: bool) -> None:
    from mediaml.engine.preview import explain_plans, pending_work

    if explain:
        for text in explain_plans(discovery, settings):
            output_console().print(text, markup=False, highlight=False, soft_wrap=True)
        return
    rows = [
        (str(p), size, ", ".join(names) or "nothing: known already")
        for p, size, names in pending_work(discovery, settings)
    ]
    print_table(["file", "bytes", "would compute"], rows)


def _print_summary(summary: Any, out: Path) -> None:
    console = errors_console()
    rate = summary.frames / summary.wall_seconds if summary.wall_seconds else 0.0
    console.print(
        f"{summary.files} files: {summary.analyzed} analyzed, {summary.unchanged} unchanged, "
        f"{summary.failed} failed; {summary.frames:,} frames in {summary.wall_seconds:.1f} s ({rate:,.0f} frames/s)",
        highlight=False,
    )
    if summary.errors:
        rows = [(e.path, e.analyzer or "file", e.kind, e.message) for e in summary.errors]
        print_table(["file", "where", "kind", "what"], rows, title="[bold]errors")
    if summary.interrupted:
        console.print("interrupted: the lake is valid; run the same command to go on", highlight=False)
    console.print(
        f"tables: mediaml tables list {out}    report: mediaml report {out} --open", highlight=False, markup=False
    )

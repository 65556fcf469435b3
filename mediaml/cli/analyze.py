"""`mediaml analyze`: the main job."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import printable


def register(app: typer.Typer) -> None:
    app.command("analyze")(analyze)


def analyze(
    paths: Annotated[
        list[Path], typer.Argument(help="Media files, directories, s3://bucket/prefix.", show_default=False)
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="The lake: a folder of tables or s3://bucket/lake, made if absent.")
    ],
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
    max_memory: Annotated[
        float | None, typer.Option(help="GB a worker may hold; more costs the file. Default: 4/5 of the machine.")
    ] = None,
    derive: Annotated[bool, typer.Option(help="Derive tags and shot summaries afterwards.")] = True,
    explain: Annotated[bool, typer.Option("--explain", help="Print each file's decode plan; decode nothing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done; decode nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The run's summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
    log_json: Annotated[
        str | None, typer.Option("--log-json", metavar="FILE", help="Append one JSON object a line; - for stderr.")
    ] = None,
    metrics_file: Annotated[
        Path | None, typer.Option("--metrics-file", help="Keep Prometheus metrics here (textfile collector).")
    ] = None,
    engine: Annotated[str, typer.Option(help="local (processes) or ray (pip install 'mediaml[ray]').")] = "local",
    address: Annotated[
        str | None, typer.Option(help="Ray cluster: auto or ray://host:10001; none: one of its own.")
    ] = None,
) -> None:
    """Analyze media into tables: each file is decoded once, and what is known already is not computed again.

    Exit codes: 0 all well, 1 some files failed (see `mediaml tables query LAKE "select * from errors"`), 2 bad use.

    Examples:

        mediaml analyze ~/movies --out lake/

        mediaml analyze clip.mp4 -o lake/ --analyzers quality,-niqe --workers 1

        mediaml analyze ~/movies -o lake/ --explain

        mediaml analyze s3://bucket/movies -o s3://bucket/lake --engine ray --address auto --log-json run.jsonl
    """
    from mediaml.analyzers.base import select, wanted_name
    from mediaml.engine.analyze import discover, run_analysis
    from mediaml.engine.oplog import listeners
    from mediaml.engine.progress import RichProgress, SilentProgress
    from mediaml.engine.settings import Settings

    memory = None if max_memory is None else round(max_memory * 1e9)
    given: dict[str, Any] = {"workers": workers, "max_pixels": max_pixels, "max_memory_bytes": memory}
    settings = Settings(
        lake=out.expanduser(),
        analyzers=tuple(wanted_name(c) for c in select([n.strip() for n in analyzers.split(",") if n.strip()])),
        device=device,  # type: ignore[arg-type]  # checked by Settings
        file_timeout_seconds=file_timeout,
        retry_errors=retry_errors,
        engine=engine,  # type: ignore[arg-type]  # checked by Settings
        ray_address=address,
        **{k: v for k, v in given.items() if v is not None},
    )
    discovery = discover(paths, include or (), exclude or (), recursive)
    if explain or dry_run:
        _preview(discovery, settings, explain)
        return
    shown = SilentProgress() if quiet or log_json == "-" else RichProgress(errors_console())
    progress = listeners(shown, log_json, metrics_file, sys.stderr)
    _, summary = run_analysis(discovery, settings, derive=derive, progress=progress)
    if as_json:
        print_json(summary.to_dict())
    else:
        print_summary(summary, out)
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


def print_summary(summary: Any, out: Path) -> None:
    console = errors_console()
    rate = summary.frames / summary.wall_seconds if summary.wall_seconds else 0.0
    console.print(
        f"{summary.files} files: {summary.analyzed} analyzed, {summary.unchanged} unchanged, "
        f"{summary.failed} failed; {summary.frames:,} frames in {summary.wall_seconds:.1f} s ({rate:,.0f} frames/s)",
        highlight=False,
    )
    if summary.analyzed > 1 and summary.slowest:
        slow = ", ".join(f"{Path(name).name} {seconds:.1f} s" for seconds, name in summary.slowest[:3] if seconds)
        console.print(f"slowest: {printable(slow)}", highlight=False, markup=False, soft_wrap=True)
    if summary.errors:
        rows = [(e.path, e.analyzer or "file", e.kind, e.message) for e in summary.errors]
        print_table(["file", "where", "kind", "what"], rows, title="[bold]errors")
    if summary.interrupted:
        console.print("interrupted: the lake is valid; run the same command to go on", highlight=False)
    console.print(
        f"tables: mediaml tables list {out}    report: mediaml report {out} --open", highlight=False, markup=False
    )

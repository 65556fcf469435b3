"""`mediaml qc`: files against a delivery profile."""

from __future__ import annotations

import csv as csv_module
import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    from mediaml.engine.qc.profile import Profile
    from mediaml.engine.qc.result import QcResult

SHOWN_PLACES = 3


def register(app: typer.Typer) -> None:
    app.command("qc")(qc)


def qc(
    paths: Annotated[list[Path] | None, typer.Argument(help="Media files and directories.", show_default=False)] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile", "-p", help="A shipped profile's name, or a TOML file of your own; default: streaming."
        ),
    ] = None,
    profiles: Annotated[
        bool, typer.Option("--profiles", help="List the shipped profiles; with --profile NAME: its rules.")
    ] = False,
    names: Annotated[
        bool, typer.Option("--names", help="List what rules may name: measures, findings, facts, faults.")
    ] = False,
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures and waveforms, one file.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write every verdict with its evidence; - for stdout.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row a rule of every file; - for stdout.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Keep findings and verdicts in this lake; default: a cached one.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Processes, one file each; default: one a core.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    include: Annotated[list[str] | None, typer.Option(help="Only files that match this glob; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No files that match this glob; repeatable.")] = None,
    recursive: Annotated[bool, typer.Option(help="Search folders below the ones named.")] = True,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Try again what failed before.")] = False,
    file_timeout: Annotated[float | None, typer.Option(help="Seconds after which a file is given up.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, and no table.")] = False,
) -> None:
    """Pass or fail files by a delivery profile: each rule with what was found, where, and why it matters.

    Only the analyzers that the profile needs are run. Running again decodes nothing that was decoded before.

    Exit codes: 0 all pass, 1 some files could not be read or judged whole, 2 bad use, 3 a file fails.

    Examples:

        mediaml qc incoming/ --profile streaming --html qc.html

        mediaml qc --profiles

        mediaml qc master.mxf --profile mine.toml --json - --quiet
    """
    if names:
        _print_names()
        return
    if profiles:
        from mediaml.engine.qc.profile import find_profile, shipped_profiles

        _print_profiles([find_profile(profile)] if profile else shipped_profiles(), rules=bool(profile))
        return
    if not paths:
        raise InvalidValue("name files or directories: mediaml qc DIR --profile streaming (or --profiles for a list)")
    from mediaml.engine.progress import RichProgress, SilentProgress
    from mediaml.engine.qc.check import qc as check

    result = check(
        paths,
        profile or "streaming",
        out=out,
        pictures=html is not None,
        workers=workers,
        device=device,  # type: ignore[arg-type]  # checked by Settings
        include=include or (),
        exclude=exclude or (),
        recursive=recursive,
        retry_errors=retry_errors,
        file_timeout_seconds=file_timeout,
        progress=SilentProgress() if quiet else RichProgress(errors_console()),
    )
    _write(result, html, json, csv)
    if not quiet and "-" not in (str(json), str(csv)):  # what programs read stays alone on stdout
        _print(result)
    raise typer.Exit(result.exit_code)


def _write(result: QcResult, html: Path | None, json: Path | None, csv: Path | None) -> None:
    if html is not None:
        from mediaml.report.qc import build_qc_report

        build_qc_report(result, html.expanduser())
    if json is not None:
        if str(json) == "-":
            print_json(result.to_dict())
        else:
            text = json_module.dumps(result.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
            _save(json, text + "\n")
    if csv is not None:
        _save(csv, _csv(result), newline="")


def _csv(result: QcResult) -> str:
    import io

    from mediaml.engine.qc.result import CSV_COLUMNS

    text = io.StringIO()
    writer = csv_module.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_harmless(row[c]) for c in CSV_COLUMNS] for row in result.csv_rows())
    return text.getvalue()


def _harmless(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula gets a quote in front."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "@", "\t", "\r") else value


def _save(path: Path, text: str, newline: str | None = None) -> None:
    if str(path) == "-":
        output_console().out(text, highlight=False, end="")
        return
    try:
        with path.expanduser().open("w", encoding="utf-8", errors="backslashreplace", newline=newline) as file:
            file.write(text)
    except OSError as error:
        raise InvalidValue(f"{printable(path)} cannot be written: {error.strerror}; choose another file") from error


def _print(result: QcResult) -> None:
    """The verdicts, and under each file what is wrong with it."""
    console = errors_console()
    rows = []
    for file in result.files:
        said = [f"{o.outcome}: {o.rule.id}: {o.message}{_where(file, o)}" for o in file.broken]
        unmeasured = [o for o in file.outcomes if o.outcome == "not_measured"]
        if unmeasured:
            first = unmeasured[0]
            more = f" and {len(unmeasured) - 1} more rules" if len(unmeasured) > 1 else ""
            said.append(f"not measured: {first.rule.id}{more}: {first.message}")
        said += [e for e in file.errors if not any(e in line for line in said)]
        rows.append((file.verdict, Path(file.path).name, "\n".join(said) or "all rules kept"))
    print_table(["verdict", "file", "what"], rows, title=f"[bold]{result.profile.id}")
    counts = ", ".join(f"{n} {verdict}" for verdict, n in sorted(result.counts.items()))
    console.print(f"{len(result.files)} files: {counts or 'none'}", highlight=False)
    if result.interrupted:
        console.print("interrupted: run the same command to go on", highlight=False)
    console.print(f"findings and verdicts: {printable(result.lake.path)}", highlight=False, markup=False)


def _where(file: Any, outcome: Any) -> str:
    shown = [file.place(p)["start_timecode"] for p in outcome.places[:SHOWN_PLACES]]
    more = outcome.place_count - len(shown)
    return f" at {', '.join(shown)}{f' and {more} more' if more > 0 else ''}" if shown else ""


def _print_profiles(chosen: list[Profile], *, rules: bool) -> None:
    from mediaml.engine.qc.measures import check_names, needed_analyzers

    for profile in chosen:
        check_names(profile)
    if not rules:
        rows = [(p.id, len(p.rules), p.summary, ", ".join(needed_analyzers(p))) for p in chosen]
        print_table(["profile", "rules", "for", "runs"], rows)
        return
    for profile in chosen:
        rows = [(r.id, r.level, _limits(r), r.why, r.source or None) for r in profile.rules]
        print_table(["rule", "level", "limits", "why", "source"], rows, title=f"[bold]{profile.title}")


def _limits(rule: Any) -> str:
    given = rule.model_dump(exclude_unset=True, exclude={"id", "level", "why", "source"})
    return ", ".join(f"{k} {', '.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in given.items())


def _print_names() -> None:
    from mediaml.engine.qc import measures as rule_names

    groups = {
        "measure": rule_names.measures(),
        "finding": rule_names.kinds(),
        "fact": rule_names.facts(),
    }
    rows = [(what, k.name, k.unit or None, k.description) for what, known in groups.items() for k in known.values()]
    rows += [("fault", name, None, "an error of the file itself") for name in sorted(rule_names.faults())]
    print_table(["rule", "name", "unit", "what it is"], rows)

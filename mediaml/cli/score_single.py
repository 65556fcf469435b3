"""`mediaml score` without a reference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from mediaml.cli.console import errors_console, output_console, print_table
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    from mediaml.engine.score.single import SingleOutcome, SingleScore

SHOWN_ARTIFACTS = 20


def only_encode(files: list[Path] | None) -> Path | None:
    """The one file or directory that a reference is for. Raises InvalidValue for several."""
    if files and len(files) > 1:
        raise InvalidValue(
            f"--reference and --pairs take one file or directory, {len(files)} were named; name a directory, or use --pairs"
        )
    return files[0] if files else None


def refuse_pair_options(*, metrics: str, out: Path | None, size: str, fail_over: str) -> None:
    """Raises InvalidValue for an option that means nothing without a reference."""
    given = {"--metrics": metrics, "--out": out, "--size": size, "--fail-over": fail_over}
    wrong = [name for name, value in given.items() if value]
    if wrong:
        raise InvalidValue(
            f"{', '.join(wrong)}: only with a source; add --reference SOURCE. Without one, quality is predicted; to keep "
            "predictions in a lake: mediaml analyze FILE --analyzers mediaml_nr --out LAKE"
        )


def score_without_reference(
    files: list[Path],
    *,
    json: Path | None,
    csv: Path | None,
    parquet: Path | None,
    html: Path | None,
    fail_under: str,
    device: str,
    quiet: bool,
) -> NoReturn:
    """Judges files one after the other, prints and writes what was asked for, and exits with the code of the worst."""
    from mediaml.engine.runner import limit_threads
    from mediaml.engine.score.single import exit_code, parse_limits

    if html is not None and (len(files) > 1 or files[0].expanduser().is_dir()):
        raise InvalidValue("--html writes the report of one file; name one, or use `mediaml qc --html` for many")
    limits = parse_limits(fail_under)
    limit_threads(1)  # one file at a time: a second thread for torch costs more than it gives
    outcomes = _judge(files, limits, device, quiet)
    _write(outcomes, json, csv, parquet, html)
    if not quiet:
        _print(outcomes)
    raise typer.Exit(exit_code(outcomes))


def _judge(files: list[Path], limits: Any, device: str, quiet: bool) -> list[SingleOutcome]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from mediaml.engine.score.single import score_files

    columns = TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn()
    outcomes = []
    with Progress(*columns, console=errors_console(), transient=True, disable=quiet) as bars:
        bar = bars.add_task("looking", total=None)

        def begin(path: Path) -> Any:
            bars.reset(bar, description=printable(path.name), total=None)
            return lambda _frames, seconds: bars.update(bar, completed=seconds)

        for outcome in score_files(files, limits, device=device, progress=begin):  # type: ignore[arg-type]  # checked there
            outcomes.append(outcome)
            if outcome.error is not None:
                errors_console().print(
                    f"failed: {outcome.error}", style="red", markup=False, highlight=False, soft_wrap=True
                )
    return outcomes


def _write(
    outcomes: list[SingleOutcome], json: Path | None, csv: Path | None, parquet: Path | None, html: Path | None
) -> None:
    from mediaml.engine.score.output import write_json
    from mediaml.engine.score.single_output import single_dict, write_tables

    if json is not None:
        found = [single_dict(o) for o in outcomes]
        write_json(found[0] if len(found) == 1 else found, json.expanduser())
    for path, kind in ((csv, "csv"), (parquet, "parquet")):
        if path is not None:
            write_tables(outcomes, path.expanduser(), kind)  # type: ignore[arg-type]
    if html is not None and outcomes[0].result is not None:
        from mediaml.report.score_single import build_single_report

        build_single_report(outcomes[0].result, html.expanduser(), missed=outcomes[0].missed)


def _print(outcomes: list[SingleOutcome]) -> None:
    if len(outcomes) == 1 and outcomes[0].result is not None:
        _print_one(outcomes[0].result)
    elif len(outcomes) > 1:
        headings = ["file", "predicted VMAF", "95 % interval", "worst", "at s", "artifacts", ""]
        print_table(headings, [_row(o) for o in outcomes])
    for outcome in outcomes:
        for limit, reached in outcome.missed:
            got = "no value" if reached is None else f"{reached:.2f}"
            errors_console().print(
                f"missed: {outcome.path.name}: {limit} reached {got}",
                style="red", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip


def _row(outcome: SingleOutcome) -> tuple[object, ...]:
    result = outcome.result
    if result is None:
        why = "" if outcome.error is None else getattr(outcome.error, "reason", str(outcome.error))
        return outcome.path.name, None, "", None, None, None, f"failed: {why}"
    low, middle, high = result.mean
    worst = result.worst[0]
    state = "below the limit" if outcome.missed else ""
    interval = f"{low:.1f} to {high:.1f}"
    return outcome.path.name, middle, interval, worst.quality, worst.pts_seconds, len(result.artifacts), state


def _print_one(result: SingleScore) -> None:
    low, middle, high = result.mean
    rows = [
        (
            name,
            p.mean,
            p.percentiles[5],
            p.min,
            p.max,
            f"{p.worst_second.value:.1f} at {p.worst_second.start_seconds:.2f} s",
        )
        for name, p in result.pooled.items()
    ]
    print_table(["predicted VMAF", "mean", "p5", "min", "max", "worst second"], rows)
    lines = [
        f"quality {middle:.1f}, interval {low:.1f} to {high:.1f} (made for 95 %; measured: weights/cards/mediaml_nr.md)"
    ]
    lines.append(
        "worst moments: "
        + ", ".join(f"{w.quality:.1f} ({w.low:.0f} to {w.high:.0f}) at {w.pts_seconds:.2f} s" for w in result.worst)
    )
    lines += [*_artifact_lines(result), *(f"note: {n}" for n in result.notes)]
    for line in lines:
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _artifact_lines(result: SingleScore) -> list[str]:
    if not result.artifacts:
        return ["no artifacts found"]
    counts = ", ".join(f"{kind} {n}" for kind, n in Counter(a.kind for a in result.artifacts).most_common())
    shown = sorted(result.artifacts, key=lambda a: -a.severity)[:SHOWN_ARTIFACTS]
    lines = [f"artifacts: {counts}"]
    for a in sorted(shown, key=lambda a: a.start_seconds):
        span = f"{a.start_seconds:9.2f} to {a.end_seconds:.2f} s"
        lines.append(f"  {span}  {a.kind}, severity {a.severity:.2f}: {printable(a.message)}")
    return lines

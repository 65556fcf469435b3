"""`mediaml tables`: look into a lake, query it, take tables out of it."""

from __future__ import annotations

import io
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaml.cli.console import errors_console, print_json, print_table
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    import pyarrow as pa

    from mediaml.tables.export import ExportFormat

app = typer.Typer(
    help="Look into a lake: list, describe, query and export its tables.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Format(StrEnum):
    """How results are printed or written."""

    TABLE = "table"
    JSON = "json"
    CSV = "csv"
    PARQUET = "parquet"


LakeArgument = Annotated[Path, typer.Argument(help="Folder of the lake.")]
FormatOption = Annotated[
    Format | None, typer.Option("--format", "-f", help="Default: from the name of --out, else table.")
]
OutOption = Annotated[Path | None, typer.Option("--out", "-o", help="Write to this file instead of the terminal.")]
LimitOption = Annotated[int, typer.Option(min=1, help="Most rows to print as a table; other formats give all.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


@app.command("list")
def list_tables(lake: LakeArgument, as_json: JsonOption = False) -> None:
    """List the tables with their rows, parts and bytes."""
    from mediaml.tables import Lake

    infos = Lake.open(lake).tables()
    if as_json:
        print_json([{"name": t.name, "rows": t.rows, "parts": t.parts, "bytes": t.bytes} for t in infos])
    else:
        print_table(["table", "rows", "parts", "bytes"], [(t.name, t.rows, t.parts, t.bytes) for t in infos])


@app.command()
def describe(
    lake: LakeArgument,
    table: Annotated[str, typer.Argument(help="Table, or a view such as frames_wide.")],
    as_json: JsonOption = False,
) -> None:
    """Show a table's columns: type, unit, range, meaning and who computes them."""
    from mediaml.tables import Lake

    columns = Lake.open(lake).describe(table)
    if as_json:
        names = ("name", "dtype", "unit", "minimum", "maximum", "description", "source")
        print_json([{name: getattr(c, name) for name in names} for c in columns])
        return
    rows = [(c.name, c.dtype, c.unit, _range(c.minimum, c.maximum), c.description, c.source) for c in columns]
    print_table(["column", "type", "unit", "range", "meaning", "source"], rows)


@app.command()
def query(
    lake: LakeArgument,
    sql: Annotated[
        str, typer.Argument(help="One SELECT in DuckDB's SQL. Views: frames_wide, all_versions.frames, ...")
    ],
    format: FormatOption = None,
    out: OutOption = None,
    limit: LimitOption = 100,
) -> None:
    """Run one SELECT over the tables. No other file and no network can be reached from it."""
    from mediaml.tables import Lake

    _give(Lake.open(lake).query(sql), format, out, limit)


@app.command()
def export(
    lake: LakeArgument,
    table: Annotated[str, typer.Argument(help="Table or view.")],
    column: Annotated[list[str] | None, typer.Option("--column", "-c", help="Only these columns; repeat it.")] = None,
    where: Annotated[str | None, typer.Option(help="An SQL condition on the rows.")] = None,
    all_versions: Annotated[bool, typer.Option(help="Also rows that a newer analyzer version replaced.")] = False,
    format: FormatOption = None,
    out: OutOption = None,
    limit: LimitOption = 100,
) -> None:
    """Give a table as JSON, CSV or Parquet."""
    from mediaml.tables import Lake

    _give(Lake.open(lake).table(table, column, where, all_versions), format, out, limit)


def _give(found: pa.Table, format: Format | None, out: Path | None, limit: int) -> None:
    """Prints a result, or writes it to a file."""
    from mediaml.tables import export as exporting

    if out is None and (format is None or format is Format.TABLE):
        _print_rows(found, limit)
    elif out is not None:
        if format is Format.TABLE:
            raise InvalidValue("--format table is for the terminal; --out takes json, csv or parquet")
        exporting.export(found, out, None if format is None else format.value)
        errors_console().print(f"{found.num_rows} rows written to {out}", markup=False, highlight=False, soft_wrap=True)
    elif format is Format.PARQUET and sys.stdout.isatty():
        raise InvalidValue("Parquet is not for a terminal; name a file with --out, or pipe it")
    elif format is not None and format is not Format.TABLE:
        if sys.stdout.isatty():
            _show(found, format.value)
        else:
            exporting.dump(found, sys.stdout.buffer, format.value)
            sys.stdout.buffer.flush()


def _show(found: pa.Table, format: ExportFormat) -> None:
    """JSON or CSV on a terminal: as in a file, but control characters in it stay text."""
    from mediaml.tables import export as exporting

    buffer = io.BytesIO()
    exporting.dump(found, buffer, format)
    for line in buffer.getvalue().decode().splitlines():
        typer.echo(printable(line))


def _print_rows(found: pa.Table, limit: int) -> None:
    shown = found.slice(0, limit)
    columns = [[_short(v) for v in c.to_pylist()] for c in shown.columns]
    print_table(found.column_names, list(zip(*columns, strict=True)) if columns else [])
    if found.num_rows > limit:
        errors_console().print(
            f"{limit} of {found.num_rows} rows; --limit shows more, --out writes all", highlight=False
        )


def _short(value: Any) -> Any:
    """A value as a cell: vectors and binaries by their size."""
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    if isinstance(value, list) and len(value) > 8:
        return (
            f"[{', '.join(f'{v:.4g}' if isinstance(v, float) else str(v) for v in value[:4])}, ... {len(value)} values]"
        )
    if isinstance(value, float):
        return f"{value:.9g}"
    return value if value is None or isinstance(value, int) else str(value)


def _range(minimum: float | None, maximum: float | None) -> str:
    if minimum is None and maximum is None:
        return "any"
    return f"{'' if minimum is None else f'{minimum:g}'}..{'' if maximum is None else f'{maximum:g}'}"

"""`mediaml analyzers`: what there is to run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table as RichTable

from mediaml.cli.console import output_console, print_json, print_table
from mediaml.spec import Spec, Table


def register(app: typer.Typer) -> None:
    app.command("analyzers")(analyzers)


def analyzers(
    names: Annotated[list[str] | None, typer.Argument(help="Analyzers or groups to show in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A table for documentation.")] = False,
) -> None:
    """List the analyzers: what each needs and gives (with units), its cost, licence and source."""
    from mediaml.analyzers.base import select

    specs = [c.spec for c in select(names or ["all"])]
    if as_json:
        print_json([spec_record(s) for s in specs])
    elif as_markdown:
        output_console().out(markdown_table(specs), highlight=False)
    elif names:
        for spec in specs:
            _print_whole(spec)
    else:
        for spec in specs:
            _print_block(spec)


def spec_record(spec: Spec) -> dict[str, object]:
    """The spec as plain JSON types."""
    record = asdict(spec)
    record["id"] = spec.id
    record["need"] = str(spec.need) if spec.need else None
    return record


def markdown_table(specs: list[Spec]) -> str:
    """All analyzers as a Markdown table: what a documentation page shows."""
    lines = ["| analyzer | what | needs | gives | weights | source |", "|---|---|---|---|---|---|"]
    for s in specs:
        cells = (s.id, s.summary, str(s.need or ""), _gives(s), ", ".join(s.weights) or "none", s.cite)
        lines.append("| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |")
    return "\n".join(lines)


def _gives(spec: Spec) -> str:
    tables = dict.fromkeys(c.table for c in spec.outputs)
    return "; ".join(f"{t.value}: {', '.join(c.name for c in spec.columns(t))}" for t in tables)


def _print_block(spec: Spec) -> None:
    """An analyzer in a few lines that fit any terminal."""
    a_unit = "a second of sound" if spec.need is not None and spec.need.is_audio else "a frame looked at"
    facts = [
        ("needs", str(spec.need or "stored rows") + (", with its reference" if spec.needs_reference else "")),
        *(
            (f"gives {table.value}", _with_units(spec, table))
            for table in Table
            if spec.columns(table) or _spans(spec, table)
        ),
        ("cost", f"{spec.cost_ms:g} ms of one core {a_unit}"),
        ("weights", ", ".join(spec.weights) or "none"),
        ("licence", spec.licence),
        ("source", spec.cite),
    ]
    head = f"[bold]{spec.id}[/] {'' if spec.default else '[dim](not by default)[/] '}{escape(spec.summary)}"
    output_console().print(head, highlight=False)
    grid = RichTable.grid(padding=(0, 2))
    for name, text in facts:
        grid.add_row(f"  [dim]{name}", escape(text))
    output_console().print(grid, highlight=False)


def _spans(spec: Spec, table: Table) -> bool:
    return table is Table.SPANS and bool(spec.kinds)


def _with_units(spec: Spec, table: Table) -> str:
    columns = [f"{c.name} ({c.unit})" for c in spec.columns(table)]
    return ", ".join([*spec.kinds, *columns] if table is Table.SPANS else columns)


def _print_whole(spec: Spec) -> None:
    facts = [
        ("what", spec.summary),
        ("needs", str(spec.need)),
        ("runs by default", "yes" if spec.default else "no"),
        ("groups", ", ".join(spec.groups)),
        ("weights", ", ".join(spec.weights) or "none"),
        ("licence", spec.licence),
        ("cost", f"{spec.cost_ms:g} ms a frame or second of sound"),
        ("source", spec.cite),
    ]
    print_table(["", ""], facts, title=f"[bold]{spec.id}")
    rows = [
        (c.table.value, c.name, _dtype(c.dtype, c.length), c.unit, _range(c.minimum, c.maximum), c.description)
        for table in Table
        for c in spec.columns(table)
    ]
    print_table(["table", "column", "type", "unit", "range", "meaning"], rows)


def _dtype(dtype: str, length: int | None) -> str:
    return f"{dtype}[{length}]" if length else dtype


def _range(low: float | None, high: float | None) -> str:
    if low is None and high is None:
        return "any"
    return f"{'' if low is None else f'{low:g}'}..{'' if high is None else f'{high:g}'}"

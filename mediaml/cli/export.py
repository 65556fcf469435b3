"""`mediaml export`: title features for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.choices import one_of
from mediaml.cli.console import output_console
from mediaml.cli.join import ColumnOption, QueryOption, UnitOption, ZoneOption, settings_of


def register(app: typer.Typer) -> None:
    app.command("export")(export)


def export(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    to: Annotated[str, typer.Option(help="parquet, torch, mmrec, cornac or feast.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to make.", show_default=False)],
    behaviour: Annotated[str | None, typer.Option(help="A log, for mmrec (needed) and cornac.")] = None,
    feature_set: Annotated[str, typer.Option("--set", help="Name of the feature set.")] = "default",
    query: QueryOption = None,
    column: ColumnOption = None,
    time_zone: ZoneOption = None,
    time_unit: UnitOption = None,
) -> None:
    """Write the title features as known now, with stable item numbers and card.json, which says what every column means.

    Example: mediaml export lake/ --to torch --out features/
    """
    from mediaml.rec.behaviour import read_events
    from mediaml.rec.export import TARGETS, export_features
    from mediaml.tables import Lake

    target = one_of("export target", to, TARGETS)
    opened = Lake.open(lake.expanduser())
    events = None
    if behaviour is not None:
        events = read_events(behaviour, settings_of(column, time_zone, time_unit, "drop", False), query=query)
    report = export_features(opened, target, out, feature_set=feature_set, events=events)
    for line in report.lines():
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)

"""`mediaml join`: behaviour events with what was known of their titles at the time."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mediaml.cli.choices import one_of
from mediaml.cli.console import output_console, print_json, print_table
from mediaml.errors import InvalidValue

if TYPE_CHECKING:
    from mediaml.rec.behaviour import BehaviourSettings
    from mediaml.rec.joining import Explanation

BehaviourOption = Annotated[
    str, typer.Option("--behaviour", help="Parquet, CSV, a DuckDB file or a postgresql:// address.", show_default=False)
]
QueryOption = Annotated[str | None, typer.Option(help="One SELECT, where --behaviour is a database.")]
ColumnOption = Annotated[
    list[str] | None, typer.Option("--column", help="OURS=THEIRS where the log's name differs; repeatable.")
]
ZoneOption = Annotated[str | None, typer.Option(help="Of event times that state none, e.g. UTC or Europe/Berlin.")]
UnitOption = Annotated[str | None, typer.Option(help="Of numeric times since 1970: s, ms or us.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Refuse a log with any row that would be left out.")]


def register(app: typer.Typer) -> None:
    app.command("join")(join)


def settings_of(
    columns: list[str] | None, time_zone: str | None, time_unit: str | None, duplicates: str, strict: bool
) -> BehaviourSettings:
    """Settings for reading a log from what was given on the command line."""
    from mediaml.rec.behaviour import DUPLICATES, BehaviourSettings
    from mediaml.rec.times import TIME_UNITS

    unit = None if time_unit is None else one_of("time unit", time_unit, TIME_UNITS)
    policy = one_of("way with duplicates", duplicates, DUPLICATES)
    pairs = dict(_pair(c) for c in columns or ())
    return BehaviourSettings(columns=pairs, time_zone=time_zone, time_unit=unit, strict=strict, duplicates=policy)


def _pair(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"(\w+)=(.+)", text)
    if not match:
        raise InvalidValue(f"--column {text!r} must be OURS=THEIRS, e.g. title=item_id")
    return match[1], match[2]


def join(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    behaviour: BehaviourOption,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Parquet file to write.")] = None,
    asof: Annotated[str, typer.Option(help="known: true and computed by then; valid: true by then.")] = "known",
    max_age: Annotated[str | None, typer.Option(help="Oldest features to use, e.g. 90d.")] = None,
    explain: Annotated[
        int | None, typer.Option(help="Show for this row of the log where each value comes from.")
    ] = None,
    feature: Annotated[list[str] | None, typer.Option("--feature", help="Only these features; repeatable.")] = None,
    drop_unmatched: Annotated[
        bool, typer.Option("--drop-unmatched", help="Leave out events without features.")
    ] = False,
    windows: Annotated[str, typer.Option(help="Add behaviour features over these windows, e.g. 7d,28d.")] = "",
    feature_set: Annotated[str, typer.Option("--set", help="Name of the feature set.")] = "default",
    query: QueryOption = None,
    column: ColumnOption = None,
    time_zone: ZoneOption = None,
    time_unit: UnitOption = None,
    duplicates: Annotated[str, typer.Option(help="Equal events: drop, keep or error.")] = "drop",
    strict: StrictOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Give each event the title features that were true and known at its time; nothing from its future.

    Example: mediaml join lake/ --behaviour events.parquet --out train.parquet --max-age 90d
    """
    from mediaml.rec.behaviour import read_events
    from mediaml.rec.behaviour_features import WindowSettings, parse_duration
    from mediaml.rec.joining import explain as explain_row
    from mediaml.rec.joining import join_events
    from mediaml.tables import Lake
    from mediaml.tables.asof import MODES, AsOfRule

    mode = one_of("as-of mode", asof, MODES)
    if (out is None) == (explain is None):
        raise InvalidValue("give either --out FILE to write a training file, or --explain ROW to look at one event")
    rule = AsOfRule(mode, None if max_age is None else parse_duration(max_age))
    opened = Lake.open(lake.expanduser())
    events = read_events(behaviour, settings_of(column, time_zone, time_unit, duplicates, strict), query=query)
    if explain is not None:
        _print_explanation(explain_row(opened, events, explain, rule, feature_set), as_json)
    elif out is not None:
        names = tuple(w.strip() for w in windows.split(",") if w.strip())
        report = join_events(
            opened,
            events,
            out,
            rule,
            feature_set=feature_set,
            columns=feature,
            unmatched="drop" if drop_unmatched else "keep",
            windows=WindowSettings(names) if names else None,
        )
        if as_json:
            print_json({"rows_written": report.rows_written, "statuses": report.statuses, "report": report.lines()})
        for line in () if as_json else report.lines():
            output_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _print_explanation(found: Explanation, as_json: bool) -> None:
    event = {n: v.isoformat() if hasattr(v, "isoformat") else v for n, v in found.event.items()}
    versions = [(c.valid_from.isoformat(), c.computed_at.isoformat(), c.verdict) for c in found.candidates]
    if as_json:
        print_json(
            {
                "event": event,
                "status": found.status,
                "versions": [dict(zip(("valid_from", "computed_at", "verdict"), v, strict=True)) for v in versions],
                "values": dict(found.values),
                "sources": dict(found.sources),
                "media_ids": list(found.media_ids),
            }
        )
        return
    print_table(("event", "value"), [(n, str(v)) for n, v in event.items() if v is not None])
    output_console().print(f"\n{found.status}\n", markup=False, highlight=False)
    print_table(
        ("valid from", "known from", "verdict"), versions, title="versions of the title's features, newest first"
    )
    if found.sources:
        rows = [(m, ", ".join(s["analyzers"]), s["media"], s["computed_at"]) for m, s in found.sources.items()]
        print_table(("modality", "from", "media", "its newest row computed at"), rows, title="\nsources")
        print_table(("feature", "value"), [(n, v) for n, v in found.values.items() if v is not None], title="\nvalues")

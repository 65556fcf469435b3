"""`mediaml features`: title features of a lake."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.choices import one_of
from mediaml.cli.console import output_console, print_json, print_table
from mediaml.errors import InvalidValue

app = typer.Typer(
    help="Title features: build them, list the builds, see what drifted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

LakeArgument = Annotated[Path, typer.Argument(help="The lake.", show_default=False)]
SetOption = Annotated[str, typer.Option("--set", help="Name of the feature set.")]
JsonOption = Annotated[bool, typer.Option("--json", help="As JSON.")]


def register(app_above: typer.Typer) -> None:
    app_above.add_typer(app, name="features")


@app.command()
def build(
    lake: LakeArgument,
    titles: Annotated[Path, typer.Option(help="CSV: title_id, media, valid_from, valid_to.", show_default=False)],
    feature_set: SetOption = "default",
    pooling: Annotated[str, typer.Option(help="From shots to a title: gem or mean.")] = "gem",
    time_zone: Annotated[str | None, typer.Option(help="Of times in titles.csv that state none, e.g. UTC.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Write one row a title: pooled vectors, tag shares, picture, sound, rhythm, and a mask of what is missing.

    Only rows that are new or changed are written, so that a join can tell what was known when.

    Example: mediaml features build lake/ --titles titles.csv
    """
    from mediaml.rec.features import build_features
    from mediaml.rec.pooling import POOLINGS, PoolingSettings
    from mediaml.tables import Lake

    settings = PoolingSettings(one_of("pooling", pooling, POOLINGS))
    opened = Lake.open(lake.expanduser())
    found = build_features(opened, titles, feature_set=feature_set, pooling=settings, time_zone=time_zone)
    if as_json:
        print_json(asdict(found) | {"computed_at": found.computed_at.isoformat()})
        return
    for line in found.report.lines():
        output_console().print(line, markup=False, highlight=False)
    print_table(("modality", "titles", "of"), [(m, n, found.titles) for m, n in found.present.items()])
    output_console().print(
        f"{found.written} rows written, {found.unchanged} unchanged; {found.features} features; "
        f"{found.deleted} titles deleted",
        highlight=False,
    )


@app.command()
def builds(lake: LakeArgument, feature_set: SetOption = "default", as_json: JsonOption = False) -> None:
    """List when features were built; builds that changed nothing leave no trace."""
    from mediaml.rec.drift import builds as list_builds
    from mediaml.tables import Lake

    found = [t.isoformat() for t in list_builds(Lake.open(lake.expanduser()), feature_set)]
    if as_json:
        print_json(found)
    else:
        print_table(["built at"], [[t] for t in found])


@app.command()
def drift(
    lake: LakeArgument,
    before: Annotated[
        str | None, typer.Option(help="Time of the first state; default: the last build but one.")
    ] = None,
    after: Annotated[str | None, typer.Option(help="Time of the second state; default: the last build.")] = None,
    feature_set: SetOption = "default",
    as_json: JsonOption = False,
) -> None:
    """Show what changed between two builds, most changed first.

    PSI below 0.1 is little, above 0.25 much; cosine is that of a title's vector before and after.
    """
    from mediaml.rec.drift import feature_drift
    from mediaml.tables import Lake

    found = feature_drift(Lake.open(lake.expanduser()), _time(before), _time(after), feature_set)
    if as_json:
        print_json([asdict(d) for d in found])
        return
    headings = ("feature", "had before", "had after", "changed", "PSI", "shift / std", "cosine")
    rows = [(d.feature, d.presence_before, d.presence_after, d.changed, d.psi, d.shift, d.cosine) for d in found]
    print_table(headings, rows)


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidValue(f"time {text!r} is not ISO 8601, e.g. 2024-05-01T12:00:00Z") from None
    if found.tzinfo is None:
        raise InvalidValue(f"time {text!r} states no time zone; write e.g. {text}Z for UTC")
    return found

"""`mediaml search` and `mediaml index`: find shots by words, picture or example."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    from mediaml.retrieval.search import SearchResult

_COLUMNS = ("rank", "score", "path", "timecode", "start_seconds", "end_seconds", "scope", "media_id", "picture_seconds")


def register(app: typer.Typer) -> None:
    app.command("search")(search)
    app.command("index")(index)


def search(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    words: Annotated[str | None, typer.Argument(help="What to look for, in words.", show_default=False)] = None,
    image: Annotated[Path | None, typer.Option(help="A picture (or clip) to find the like of.")] = None,
    like: Annotated[str | None, typer.Option(help="MEDIA@TIME in the lake: a shot to find the like of.")] = None,
    text: Annotated[str | None, typer.Option(help="Words that are spoken, in the table transcripts.")] = None,
    top: Annotated[int, typer.Option("--top", "-n", help="Hits.")] = 20,
    where: Annotated[str | None, typer.Option(help="SQL condition over any column of any table.")] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model", "-m", help="label_space, lite0, open_clip:... or clap:@FOLDER; default: the best here."
        ),
    ] = None,
    template: Annotated[
        list[str] | None, typer.Option(help='Sentence for the words, "a photo of {}"; repeat it to average.')
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Also as a page with pictures.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV on stdout.")] = False,
    exact: Annotated[
        bool, typer.Option("--exact", help="Compare with every vector, even where there is an index.")
    ] = False,
) -> None:
    """Find shots by words, by a picture, or by another shot of the lake. Nothing of the lake's media is decoded.

    Words need a joint space: an open_clip model (`mediaml embed --model open_clip:...`), or the label space, which knows
    objects only; for sound, a CLAP model of your own. A column in --where is looked for in the hit, then in media, files,
    shots, tags, spans, frames, streams.

    Exit codes: 0 all well, 2 bad use.

    Examples:

        mediaml search lake/ "a red car in the rain" --top 20 --html hits.html

        mediaml search lake/ --like interview.mp4@00:01:23 --where "duration_seconds > 600 AND height >= 1080"

        mediaml search lake/ --image still.jpg --csv > hits.csv

        mediaml search lake/ --text "solar panel"

        mediaml search lake/ "dog barking" --model clap:@my/clap-htsat-unfused
    """
    from mediaml.retrieval.search import search as find

    if text is not None:
        from mediaml.cli.transcribe import print_spoken

        print_spoken(lake.expanduser(), text, top, as_json)
        return
    if as_json and as_csv:
        raise InvalidValue("--json and --csv both write to stdout; choose one")
    found = find(
        lake.expanduser(),
        words,
        image=image,
        like=like,
        top=top,
        where=where,
        model=model,
        templates=template or ("{}",),
        use_index=not exact,
    )
    if html is not None:
        from mediaml.report.hits import write_hits

        written = write_hits(found, html.expanduser())
        errors_console().print(printable(written), markup=False, highlight=False, soft_wrap=True)
    _print(found, as_json, as_csv)


def _print(found: SearchResult, as_json: bool, as_csv: bool) -> None:
    rows = records(found)
    if as_json:
        facts = {"query": found.query, "model": found.model, "weights_sha256": found.weights_sha256}
        facts |= {"candidates": found.candidates, "method": found.method, "notes": list(found.notes)}
        print_json(facts | {"hits": rows})
        return
    for note in found.notes:
        errors_console().print(f"note: {note}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if as_csv:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows([[_csv_safe(row[c]) for c in _COLUMNS] for row in rows])
        output_console().out(text.getvalue(), end="", highlight=False)
        return
    print_table(
        ("", "score", "file", "at", "to", ""),
        [
            (r["rank"], r["score"], Path(r["path"]).name, r["timecode"], timecode(r["end_seconds"]), r["scope"])
            for r in rows
        ],
    )
    errors_console().print(
        f"{len(rows)} of {found.candidates} in the space {found.model} ({found.method})", highlight=False, markup=False
    )


def records(found: SearchResult) -> list[dict[str, Any]]:
    """The hits as plain values, in the columns of the CSV."""
    return [
        {
            "rank": h.rank,
            "score": round(h.score, 6),
            "path": printable(h.path),
            "timecode": timecode(h.start_seconds),
            "start_seconds": h.start_seconds,
            "end_seconds": h.end_seconds,
            "scope": h.scope,
            "media_id": h.media_id,
            "picture_seconds": h.picture_seconds,
        }
        for h in found.hits
    ]


def timecode(seconds: float) -> str:
    """00:01:23.50, as --like takes it."""
    hundredths = round(max(0.0, seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 100:02d}.{rest % 100:02d}"


def _csv_safe(value: Any) -> Any:
    """A spreadsheet takes text that begins so for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in "=+-@\t\r" else value


def index(
    lake: Annotated[Path, typer.Argument(help="The lake.", show_default=False)],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="label_space, lite0 or open_clip:...; default: every space.")
    ] = None,
) -> None:
    """Build or rebuild the index that makes searches of large lakes fast. It holds nothing that the tables do not.

    Up to 200,000 vectors searches are exact and need none. Exit codes: 0 all well, 2 bad use.

    Example: mediaml index lake/ --model open_clip:ViT-B-32/laion2b_s34b_b79k
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from mediaml.retrieval.index import SMALLEST, build_index
    from mediaml.retrieval.spaces import choose, spaces_of
    from mediaml.tables import Lake

    opened = Lake.open(lake.expanduser())
    spaces = [s for s in spaces_of(opened) if s.pooled >= SMALLEST]
    if model is not None:
        spaces = [choose(opened, "example", model)]
    if not spaces:
        raise InvalidValue(
            f"no space of this lake has {SMALLEST} vectors of shots or files; searches are exact without an index"
        )
    for space in spaces:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=errors_console()) as bars:
            task = bars.add_task(f"{space.model}", total=None)
            folder = build_index(
                opened,
                space,
                lambda what, done, total, b=bars, t=task, s=space: b.update(
                    t, description=f"{s.model}: {what}", completed=done, total=total
                ),
            )
        output_console().print(f"{space.model}  {printable(folder)}", markup=False, highlight=False, soft_wrap=True)

"""`mediaml tag`: put a vocabulary to what a lake holds."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table


def register(app: typer.Typer) -> None:
    app.command("tag")(tag)


def tag(
    lake: Annotated[Path | None, typer.Argument(help="The lake.", show_default=False)] = None,
    vocabulary: Annotated[
        list[str] | None, typer.Option("--vocabulary", "-v", help="A shipped name or a TOML file; repeatable.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="label_space or open_clip:...; default: every space that fits.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also in spaces that the vocabulary is not meaningful for.")
    ] = False,
    names: Annotated[bool, typer.Option("--list", help="List the shipped vocabularies.")] = False,
    top: Annotated[int, typer.Option(help="Tags of files to print; 0 for none.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON on stdout.")] = False,
) -> None:
    """Tag shots and files with a vocabulary, from stored vectors; nothing is decoded.

    Exit codes: 0 all well, 1 some media failed, 2 bad use.

    Examples:

        mediaml tag --list

        mediaml tag lake/ --vocabulary places365

        mediaml tag lake/ -v mine.toml --model open_clip:ViT-B-32/laion2b_s34b_b79k
    """
    from mediaml.errors import InvalidValue
    from mediaml.retrieval.tagging import tag as put

    if names:
        _list(as_json)
        return
    if lake is None:
        raise InvalidValue("name the lake, as in: mediaml tag lake/ --vocabulary places365")
    done = put(lake.expanduser(), vocabulary or (), model=model, force=force)
    for one in done:
        for warning in one.warnings:
            errors_console().print(f"warning: {warning}", style="yellow", markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json([asdict(one) for one in done])
    else:
        headings = ("vocabulary", "space", "score is a", "media tagged", "up to date", "failed", "rows written")
        counts = [
            (d.vocabulary, _short(d.model), d.scale, d.media_computed, d.media_unchanged, d.media_failed, d.rows)
            for d in done
        ]
        print_table(headings, counts)
        _print_tags(lake, [d.vocabulary for d in done], top)
    raise typer.Exit(int(any(one.media_failed for one in done)))


def _list(as_json: bool) -> None:
    from mediaml.derive.vocabulary import find_vocabulary, shipped_names

    found = [find_vocabulary(name) for name in shipped_names()]
    if as_json:
        print_json(
            [
                {
                    "id": v.id,
                    "title": v.title,
                    "tags": len(v.tags),
                    "embedders": list(v.embedders),
                    "calibrated_in": list(v.calibrated_in),
                }
                for v in found
            ]
        )
        return
    print_table(
        ("vocabulary", "title", "tags", "meaningful for", "scores are probabilities in"),
        [
            (v.id, v.title, len(v.tags), ", ".join(v.embedders), ", ".join(map(_short, v.calibrated_in)) or "no space")
            for v in found
        ],
    )


def _short(model: str) -> str:
    from mediaml.derive.label_space import MODEL

    return "label_space" if model == MODEL else model


def _print_tags(lake: Path, vocabularies: list[str], top: int) -> None:
    from mediaml.derive.score_scale import MEANING
    from mediaml.tables import Lake
    from mediaml.tables.reader import literal

    if not top:
        return
    opened = Lake.open(lake.expanduser())
    if "share_of_time" not in {c.name for c in opened.describe("tags")}:
        output_console().print("No tag reached its threshold.", highlight=False)
        return
    rows = opened.query(
        "SELECT parse_filename(m.path) AS file, vocabulary, label, score, scale, share_of_time FROM tags JOIN media m "  # noqa: S608
        f"USING (media_id) WHERE scope = 'file' AND vocabulary IN ({', '.join(map(literal, vocabularies))}) "
        f"ORDER BY scale <> 'probability', scale, score DESC, file, label LIMIT {int(top)}"
    ).to_pylist()
    if not rows:
        output_console().print("No tag reached its threshold.", highlight=False)
        return
    print_table(
        ("file", "vocabulary", "tag", "score", "which is a", "share of time"),
        [(r["file"], r["vocabulary"], r["label"], r["score"], r["scale"], r["share_of_time"]) for r in rows],
    )
    for scale in dict.fromkeys(r["scale"] for r in rows):
        errors_console().print(f"{scale}: {MEANING[scale]}", highlight=False, markup=False)

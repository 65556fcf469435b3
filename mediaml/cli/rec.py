"""`mediaml rec`: what content is worth to a recommender."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table

app = typer.Typer(name="rec", help="What content is worth to a recommender.", no_args_is_help=True)


@app.callback()
def rec() -> None:
    """What content is worth to a recommender."""


@app.command("evaluate")
def evaluate(
    behaviour: Annotated[str, typer.Option(help="The log: Parquet, CSV, DuckDB or postgresql://.", show_default=False)],
    content: Annotated[
        Path, typer.Option(help="A lake with features, or Parquet with a row a title.", show_default=False)
    ],
    html: Annotated[Path | None, typer.Option(help="Write the proof report to this file.")] = None,
    json_out: Annotated[Path | None, typer.Option("--json-out", help="Write all figures to this file.")] = None,
    feature_set: Annotated[str, typer.Option(help="Of the lake's features.")] = "default",
    splits: Annotated[int, typer.Option(min=1, help="Random choices of hidden titles.")] = 5,
    hidden: Annotated[float, typer.Option(help="Share of the titles that are hidden.")] = 0.2,
    k: Annotated[int, typer.Option("-k", min=1, help="Length of the lists.")] = 10,
    permutations: Annotated[int, typer.Option(help="Shuffles of the content; at least 100, or 0 for none.")] = 100,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    ials: Annotated[bool, typer.Option(help="Run iALS too; needs the package implicit.")] = True,
    query: Annotated[str | None, typer.Option(help="SELECT for a log in a database.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of times that state none.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All figures as JSON on stdout.")] = False,
) -> None:
    """Measure cold and warm titles with and without content: intervals, permutation test, baselines, one report.

    Example: mediaml rec evaluate --behaviour events.parquet --content lake/ --html proof.html
    """
    from mediaml.rec.behaviour import BehaviourSettings
    from mediaml.rec.proof import ProofSettings, evaluate_files
    from mediaml.report.proof import proof_tables, write_proof

    settings = ProofSettings(splits, hidden, k, permutations, seed=seed, with_ials=ials)
    proof = evaluate_files(
        behaviour,
        content,
        settings,
        query=query,
        reading=BehaviourSettings(time_zone=time_zone),
        feature_set=feature_set,
        on_step=lambda step: errors_console().print(step, style="dim", markup=False, highlight=False),
    )
    if html is not None:
        written = write_proof(proof, html)
        errors_console().print(str(written), markup=False, highlight=False, soft_wrap=True)
    if json_out is not None:
        proof.write_json(json_out)
    if as_json:
        print_json(proof.to_dict())
        return
    for note in proof.notes:
        output_console().print(note, markup=False, highlight=False)
    for table in proof_tables(proof):
        print_table(table.head, table.rows, table.title)
        output_console().print()

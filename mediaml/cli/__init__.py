"""The command line: one subcommand is one public function. Exit codes: 0 well, 1 some files failed, 2 bad use."""

from __future__ import annotations

import sys

import typer

from mediaml.cli.console import errors_console
from mediaml.errors import LakeError, MediaError, MediamlError, UsageError, WeightsError

app = typer.Typer(
    name="mediaml",
    help=(
        "Turn media into tables: quality, shots, embeddings, tags, loudness.\n\n"
        "Start with [bold]mediaml weights pull defaults[/], then [bold]mediaml analyze DIR --out lake/[/] "
        "and [bold]mediaml report lake/ --open[/].\n\n"
        "Exit codes: 0 all well, 1 some files failed, 2 bad use, 130 interrupted."
    ),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def exit_code(error: MediamlError) -> int:
    """2 for what the caller can mend by asking differently, 1 for a file's own fault."""
    return 2 if isinstance(error, (UsageError, WeightsError, LakeError)) else int(isinstance(error, MediaError)) or 1


def main() -> None:
    """The `mediaml` command: errors of ours are one line on stderr, never a traceback."""
    _register()
    try:
        app()
    except MediamlError as error:
        errors_console().print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


def _register() -> None:
    """Adds the subcommands. They import what they need when they run, so that `--help` is quick."""
    from mediaml.cli import (
        analyze,
        analyzers,
        derive,
        doctor,
        duplicates,
        embed,
        export,
        features,
        join,
        lake,
        probe,
        qc,
        rec,
        report,
        score,
        search,
        tables,
        tag,
        transcribe,
        upscale,
        weights,
    )

    for module in (
        analyze, embed, search, tag, duplicates, report, score, qc,
        derive, probe, analyzers, features, join, export, doctor,
    ):  # fmt: skip
        module.register(app)
    upscale.register(app)
    transcribe.register(app)
    app.add_typer(rec.app, name="rec")
    app.add_typer(tables.app, name="tables")
    app.add_typer(lake.app, name="lake")
    app.add_typer(weights.app, name="weights")

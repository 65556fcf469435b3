"""`mediaml embed`: vectors of frames, shots and files into a lake."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mediaml.cli.console import errors_console, print_json


def register(app: typer.Typer) -> None:
    app.command("embed")(embed)


def embed(
    paths: Annotated[list[Path], typer.Argument(help="Media files and directories.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lake: a folder of Parquet tables, made if absent.")],
    model: Annotated[
        str,
        typer.Option(
            "--model", "-m", help="lite0, open_clip:MODEL/TAG, open_clip:MODEL/@FILE, @FILE, or clap:@FOLDER (sound)."
        ),
    ] = "lite0",
    precision: Annotated[
        str,
        typer.Option(
            help="fp32, bf16 or fp16, of an open_clip model; bf16 is twice as fast where the processor has it.",
            show_default="fp32",
        ),
    ] = "",
    fps: Annotated[float | None, typer.Option(help="Frames a second, of an open_clip model.", show_default="1")] = None,
    vectors_only: Annotated[
        bool, typer.Option("--vectors-only", help="No shots and thumbnails, which search shows.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Processes, one file each; default: one a core.")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    include: Annotated[list[str] | None, typer.Option(help="Only files that match this glob; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No files that match this glob; repeatable.")] = None,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Try again what failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The run's summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Embed media: one vector a second, pooled a shot and a file; what the lake holds already is not computed again.

    A new model is added beside the old ones. `mediaml search` and `mediaml tag` work on what is stored.

    Exit codes: 0 all well, 1 some files failed, 2 bad use.

    Examples:

        mediaml embed ~/movies --out lake/

        mediaml embed ~/movies -o lake/ --model open_clip:ViT-B-32/laion2b_s34b_b79k --precision bf16

        mediaml embed ~/movies -o lake/ --model open_clip:ViT-B-32/@my/checkpoint.safetensors

        mediaml embed ~/sounds -o lake/ --model clap:@my/clap-htsat-unfused
    """
    from mediaml.cli.analyze import print_summary
    from mediaml.engine.analyze import discover, run_analysis
    from mediaml.engine.embedding import SHOTS, embedder_name
    from mediaml.engine.progress import RichProgress, SilentProgress
    from mediaml.engine.settings import Settings

    names = [embedder_name(with_settings(model, precision, fps))]
    if not vectors_only:
        names += [SHOTS, "thumbnails"]
    given: dict[str, Any] = {} if workers is None else {"workers": workers}
    settings = Settings(
        lake=out.expanduser(),
        analyzers=tuple(names),
        device=device,  # type: ignore[arg-type]  # checked by Settings
        retry_errors=retry_errors,
        **given,
    )
    discovery = discover(paths, include or (), exclude or ())
    progress = SilentProgress() if quiet else RichProgress(errors_console())
    _, summary = run_analysis(discovery, settings, derive=True, progress=progress)
    if as_json:
        print_json(summary.to_dict())
    else:
        print_summary(summary, out)
    raise typer.Exit(summary.exit_code)


def with_settings(model: str, precision: str = "", fps: float | None = None) -> str:
    """A model's address with the settings that options gave. Raises InvalidValue for a model that takes none."""
    from mediaml.errors import InvalidValue

    given = {"precision": precision, "fps": "" if fps is None else f"{fps:g}"}
    settings = "&".join(f"{k}={v}" for k, v in given.items() if v)
    if not settings:
        return model
    if not model.startswith(("open_clip:", "@")):
        raise InvalidValue(f"--precision and --fps are for open_clip models; {model} has neither setting")
    return model + ("&" if "?" in model else "?") + settings

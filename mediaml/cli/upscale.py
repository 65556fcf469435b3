"""`mediaml upscale`: larger video and photos."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_table
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    from mediaml.engine.upscale.plan import UpscaleSettings


def register(app: typer.Typer) -> None:
    app.command("upscale")(upscale)


def upscale(
    source: Annotated[Path, typer.Argument(help="A video, a picture, or a directory of pictures.")],
    out: Annotated[
        Path | None, typer.Argument(help="The file or directory to write (not with --evaluate).", show_default=False)
    ] = None,
    scale: Annotated[int, typer.Option(help="2 or 4.")] = 2,
    model: Annotated[
        str,
        typer.Option(
            help="mediaml_sr_x2, realesr-animevideov3, realesrgan-x4plus, realesrgan-x4plus-anime, or a checkpoint's path."
        ),
    ] = "mediaml_sr_x2",
    codec: Annotated[
        str,
        typer.Option(
            help="libx264, libx265, libsvtav1, libvpx-vp9, ffv1; on a GPU with an encoder h264_nvenc, hevc_nvenc, av1_nvenc."
        ),
    ] = "libx264",
    crf: Annotated[float | None, typer.Option(help="Quality of the encode (NVENC's cq); default: by codec.")] = None,
    preset: Annotated[str | None, typer.Option(help="The encoder's preset.")] = None,
    deinterlace: Annotated[bool, typer.Option("--deinterlace", help="Make whole pictures of fields first.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    tile: Annotated[int | None, typer.Option(help="Side of tiles in input pixels; default: from free memory.")] = None,
    ensemble: Annotated[
        bool | None,
        typer.Option(
            help="Mean over eight orientations, 8 times the work. Default: for pictures by mediaml_sr_x2 only.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done and how long it takes.")] = False,
    evaluate: Annotated[
        bool,
        typer.Option(
            "--evaluate", help="Shrink the source, upscale it again, and score the result against the source."
        ),
    ] = False,
    frames: Annotated[int, typer.Option(help="--evaluate: frames to score, from the beginning.")] = 48,
    html: Annotated[Path | None, typer.Option(help="--evaluate: a page with the pictures side by side.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Enlarge video with a network; sound, subtitles, chapters, metadata and every picture's time are copied.

    Subtitles of text become what the new container knows (SubRip in .mkv, 3GPP timed text in .mp4, WebVTT in .webm).

    The output gets its name when it is whole. A run that was broken off goes on where it was: give the same command again.

    Exit codes: 0 all well, 1 a picture or the file failed, 2 bad use (no encoder, no space, interlaced).

    Examples:

        mediaml upscale in.mp4 out.mkv

        mediaml upscale in.mp4 out.mp4 --scale 4 --model realesr-animevideov3 --codec libx265 --crf 18

        mediaml upscale photos/ out/

        mediaml upscale in.mp4 out.mkv --dry-run

        mediaml upscale in.mp4 --evaluate --html wipe.html
    """
    from mediaml.engine.settings import choose_device
    from mediaml.engine.upscale.plan import UpscaleSettings

    settings = UpscaleSettings(
        scale=scale, model=model, codec=codec, crf=crf, preset=preset, deinterlace=deinterlace,
        device=choose_device(device), tile=tile, ensemble=ensemble,  # type: ignore[arg-type]  # checked by choose_device
    )  # fmt: skip
    source = source.expanduser()
    if evaluate:
        _evaluate(source, settings, frames, html, quiet)
        return
    if out is None:
        raise InvalidValue("name the output: mediaml upscale IN OUT (only --evaluate works without)")
    out = out.expanduser()
    from mediaml.engine.upscale.photos import is_picture

    stills = source.is_dir() or is_picture(source)
    if dry_run:
        _dry_run(source, out, settings, stills)
    elif stills:
        _photos(source, out, settings, quiet)
    else:
        _video(source, out, settings, quiet)


def _video(source: Path, out: Path, settings: UpscaleSettings, quiet: bool) -> None:
    from mediaml.engine.upscale.video import upscale as run

    with _bar(quiet) as bar:
        task = bar.add_task(printable(source.name), total=None)
        result = run(source, out, settings, progress=lambda done, total: bar.update(task, completed=done, total=total))
    for note in result.notes:
        errors_console().print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    if result.faults:
        errors_console().print(f"note: {result.faults} packets of the source did not decode", markup=False)
    if not quiet:
        resumed = f", {result.frames_resumed} of them by an earlier run" if result.frames_resumed else ""
        rate = f"{result.frames_per_second:.1f} frames/s"
        frames = f"{result.frames} frame{'' if result.frames == 1 else 's'}"
        output_console().print(f"{result.out}: {frames}{resumed}, {rate}", markup=False, soft_wrap=True)
        if settings.device.startswith("cuda"):
            output_console().print(f"decoded by {result.decoder}", markup=False, soft_wrap=True)


def _photos(source: Path, out: Path, settings: UpscaleSettings, quiet: bool) -> None:
    from mediaml.engine.upscale.photos import upscale_photos

    done = failed = 0
    with _bar(quiet) as bar:
        task = bar.add_task("pictures", total=None)
        for outcome in upscale_photos(source, out, settings):
            bar.update(task, completed=outcome.number, total=outcome.total)
            if outcome.error is not None:
                failed += 1
                errors_console().print(f"failed: {outcome.error}", style="red", markup=False, soft_wrap=True)
            else:
                done += 1
    if not quiet:
        lost = f", {failed} failed" if failed else ""
        output_console().print(f"{out}: {done} picture{'' if done == 1 else 's'}{lost}", markup=False, soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


def _dry_run(source: Path, out: Path, settings: UpscaleSettings, stills: bool) -> None:
    from mediaml.engine.upscale.estimate import estimate
    from mediaml.engine.upscale.photos import estimate_photos

    lines = estimate_photos(source, out, settings) if stills else estimate(source, out, settings).lines()
    for line in lines:
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _evaluate(source: Path, settings: UpscaleSettings, frames: int, html: Path | None, quiet: bool) -> None:
    from mediaml.engine.upscale.evaluate import evaluate as run
    from mediaml.report.upscale import write_upscale_report

    with _bar(quiet) as bar:
        task = bar.add_task(printable(source.name), total=frames)
        result = run(
            source, settings, frames, progress=lambda done, total: bar.update(task, completed=done, total=total)
        )
    head = ["", *result.metrics]
    rows = [[name, *(f"{scores[m]:.3f}" for m in result.metrics)] for name, scores in result.scores.items()]
    print_table(head, rows)
    if html is not None:
        output_console().print(str(write_upscale_report(result, html.expanduser())), markup=False, soft_wrap=True)


def _bar(quiet: bool) -> Any:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    return Progress(*columns, console=errors_console(), transient=True, disable=quiet)

"""`mediaml transcribe`: spoken words with times."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_json, print_table
from mediaml.errors import printable

_NAMED = 3  # files that a line lists


def register(app: typer.Typer) -> None:
    app.command("transcribe")(transcribe)


def transcribe(
    paths: Annotated[list[Path], typer.Argument(help="Media files and directories.", show_default=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="The lake: a folder of Parquet tables, made if absent.")],
    model: Annotated[
        str, typer.Option("--model", "-m", help="tiny.en, or a folder with a Whisper model for CTranslate2.")
    ] = "tiny.en",
    subtitles: Annotated[
        Path | None, typer.Option("--subtitles", "-s", help="A folder for one .srt and one .vtt a file.")
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Processes, one file each; default: one a core.")
    ] = None,
    include: Annotated[list[str] | None, typer.Option(help="Only files that match this glob; repeatable.")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="No files that match this glob; repeatable.")] = None,
    retry_errors: Annotated[bool, typer.Option("--retry-errors", help="Try again what failed before.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The run's summary as JSON on stdout.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Transcribe speech into the table `transcripts`: words with times, language and confidence.

    Only stretches in which a voice is heard reach the recogniser: silence and music give no text. What the lake holds
    already is not computed again; `--subtitles` writes what it holds. Files without sound, and those without speech, are
    said.

    Exit codes: 0 all well; 1 some files failed, a file that you named has no sound, or none of the files has any; 2 bad use.

    Examples:

        mediaml weights pull silero_vad_16k_onnx whisper_tiny_en_model whisper_tiny_en_config whisper_tiny_en_tokenizer
        whisper_tiny_en_vocabulary

        mediaml transcribe talks/ --out lake/ --subtitles subtitles/

        mediaml transcribe talk.mp4 -o lake/ --model models/whisper-small

        mediaml search lake/ --text "solar panel"
    """
    from mediaml.cli.analyze import print_summary
    from mediaml.engine.analyze import discover, run_analysis
    from mediaml.engine.progress import RichProgress, SilentProgress
    from mediaml.engine.settings import Settings
    from mediaml.engine.transcripts import files_without, write_subtitles

    given: dict[str, Any] = {} if workers is None else {"workers": workers}
    settings = Settings(
        lake=out.expanduser(), analyzers=(f"whisper:{model}",), device="cpu", retry_errors=retry_errors, **given
    )
    progress = SilentProgress() if quiet else RichProgress(errors_console())
    discovery = discover(paths, include or (), exclude or ())
    lake, summary = run_analysis(discovery, settings, derive=False, progress=progress)
    if subtitles is not None:
        for path in write_subtitles(lake, subtitles.expanduser(), list(discovery.files)):
            output_console().print(str(path), markup=False, highlight=False, soft_wrap=True)
    silent, wordless = files_without(lake, list(discovery.files))
    untold = not {p.expanduser() for p in paths}.isdisjoint(silent) or (bool(silent) and len(silent) == summary.files)
    exit_code = summary.exit_code or int(untold)
    if as_json:
        named = {"without_sound": [str(p) for p in silent], "without_speech": [str(p) for p in wordless]}
        print_json({**summary.to_dict(), **named, "exit_code": exit_code})
    else:
        print_summary(summary, out)
        _print_files("no sound, so nothing to transcribe", silent)
        _print_files("sound, but no speech recognised", wordless)
    raise typer.Exit(exit_code)


def _print_files(what: str, files: list[Path]) -> None:
    if files:
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        names = ", ".join(printable(p) for p in files[:_NAMED])
        errors_console().print(f"{what}: {names}{more}", markup=False, highlight=False, soft_wrap=True)


def print_spoken(lake: Path, words: str, top: int, as_json: bool) -> None:
    """`mediaml search --text`: where the words are spoken."""
    from mediaml.engine.transcripts import find_words
    from mediaml.tables import Lake

    hits = find_words(Lake.open(lake), words, top)
    if as_json:
        print_json({"query": words, "hits": [asdict(h) for h in hits]})
        return
    rows = [(Path(h.path).name, h.start_seconds, h.end_seconds, h.confidence, h.text) for h in hits]
    print_table(["file", "from, s", "to, s", "confidence", "text"], rows)

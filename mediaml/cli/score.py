"""`mediaml score`: encodes against their sources."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mediaml.cli.console import errors_console, output_console, print_table
from mediaml.cli.score_metrics import print_metrics
from mediaml.cli.score_single import only_encode, refuse_pair_options, score_without_reference
from mediaml.cli.score_sound import is_sound, score_sound
from mediaml.errors import InvalidValue, printable

if TYPE_CHECKING:
    from mediaml.engine.pooling import Limit
    from mediaml.engine.score.pairs import Pair, PairOutcome
    from mediaml.engine.score.result import ScoreResult


def register(app: typer.Typer) -> None:
    app.command("score")(score)


def score(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="With -r: the distorted file, or a directory of them. Without: files and directories to be judged alone.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option("--reference", "-r", help="Its source, or a directory of sources (pairs by name).")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="CSV with the columns distorted and reference, instead of ENCODE and -r.")
    ] = None,
    metrics: Annotated[
        str,
        typer.Option(
            "--metrics",
            "-m",
            help="Comma-separated metrics, conventions (ssim:piq), libvmaf models (vmaf_4k.json); default: vmaf, psnr, ssim. "
            "`list` prints all.",
        ),
    ] = "",
    align: Annotated[bool, typer.Option(help="Align the two in time first; without: frame i against frame i.")] = True,
    scale_to: Annotated[
        str, typer.Option(help="reference, distorted or WIDTHxHEIGHT; the others are scaled to it, bicubic.")
    ] = "reference",
    shots: Annotated[
        str,
        typer.Option(
            help="How shots are found, over which scores are pooled: fast (from picture differences), network "
            "(TransNetV2), none.",
        ),
    ] = "fast",
    json: Annotated[Path | None, typer.Option(help="Write everything, with libvmaf's field names.")] = None,
    csv: Annotated[Path | None, typer.Option(help="Write a row a frame.")] = None,
    parquet: Annotated[Path | None, typer.Option(help="Write a row a frame.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a report with pictures (one pair).")] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A lake for the scores; pairs that it holds are not scored again."),
    ] = None,
    fail_under: Annotated[
        str, typer.Option(help="Least values, e.g. vmaf=93,p5:vmaf=85; exit code 3 where one is missed.")
    ] = "",
    fail_over: Annotated[
        str,
        typer.Option(help="Greatest values, for metrics whose low values are good: cambi=5,p5:cambi=8; exit code 3."),
    ] = "",
    size: Annotated[str, typer.Option(help="Raw video: WIDTHxHEIGHT in pixels.")] = "",
    pixel_format: Annotated[str, typer.Option(help="Raw video: FFmpeg's name, e.g. yuv420p10le.")] = "yuv420p",
    fps: Annotated[str, typer.Option(help="Raw video: frames a second, e.g. 25 or 30000/1001.")] = "25",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    backend: Annotated[
        str, typer.Option(help="mediaml, or libvmaf: an ffmpeg that has it (MEDIAML_FFMPEG, PATH, imageio-ffmpeg).")
    ] = "mediaml",
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, and no table.")] = False,
) -> None:
    """Score encodes against their sources: aligned in time, brought to one size, pooled, with the worst moments.

    Without a source: the quality that such a comparison would give is predicted, with its interval, and artifacts are found.

    Exit codes: 0 all well, 1 a pair or file failed, 2 bad use, 3 a limit of --fail-under or --fail-over was missed.

    Percentiles count from the bad end: p5:vmaf is reached by 95 % of the frames, p5:cambi not exceeded by 95 %.

    Examples:

        mediaml score encode.mp4 -r source.mov

        mediaml score encode.mp4 -r source.mov --metrics vmaf,psnr --json out.json --csv frames.csv

        mediaml score encode.mp4 -r source.mov --metrics ssim,ssim:piq,my_model.json --html report.html

        mediaml score encode.mp4 -r source.mov --backend libvmaf

        mediaml score --pairs pairs.csv --metrics vmaf,cambi --fail-over cambi=5

        mediaml score encodes/ -r sources/ --fail-under vmaf=93,p5:vmaf=85 --out lake/

        mediaml score dub.wav -r original.wav --metrics pesq,stoi,si_sdr_db

        mediaml score upload.mp4 --html upload.html

        mediaml score archive/ --fail-under nr=70,p5:nr=50 --csv moments.csv
    """
    if metrics.strip() == "list":
        print_metrics()
        return
    from mediaml.decode.raw_video import RawFormat
    from mediaml.engine.pooling import Limit
    from mediaml.engine.runner import limit_threads
    from mediaml.engine.score.output import check_writable
    from mediaml.engine.score.pairs import ScoreSettings, exit_code

    if files and reference is None and pairs is None:
        refuse_pair_options(metrics=metrics, out=out, size=size, fail_over=fail_over)
        score_without_reference(
            files, json=json, csv=csv, parquet=parquet, html=html, fail_under=fail_under, device=device, quiet=quiet
        )
    encode = only_encode(files)
    if is_sound(encode, reference, metrics):
        if out is not None or html is not None or csv is not None or parquet is not None:
            raise InvalidValue(
                "for two sounds, --json is the output there is; leave out --out, --html, --csv, --parquet"
            )
        assert encode is not None and reference is not None
        raise typer.Exit(score_sound(encode, reference, metrics, json, Limit.parse(fail_under)))
    chosen = _pairs(encode, reference, pairs)
    names = tuple(m.strip() for m in metrics.split(",") if m.strip())
    settings = ScoreSettings(
        metrics=names or None,
        align=align,
        scale_to=scale_to,
        raw=RawFormat.parse(size, pixel_format, fps) if size else None,
        device=device,  # type: ignore[arg-type]  # checked by choose_device
        backend=backend,  # type: ignore[arg-type]  # checked by score
        out=None if out is None else out.expanduser(),
        limits=Limit.parse(fail_under) + Limit.parse(fail_over, most=True),
        detect_shots=shots,  # type: ignore[arg-type]  # checked by score
    )
    if html is not None and len(chosen) > 1:
        raise InvalidValue("--html writes the report of one pair; use --out and `mediaml report` for many")
    json, csv, parquet, html = (None if p is None else p.expanduser() for p in (json, csv, parquet, html))
    check_writable((json, csv, parquet, html))
    limit_threads(1)  # one pair at a time: a second thread for torch costs more than it gives
    outcomes = _score_all(chosen, settings, quiet)
    _write(outcomes, json, csv, parquet, html, settings.limits)
    if not quiet:
        _print(outcomes)
    raise typer.Exit(exit_code(outcomes))


def _pairs(encode: Path | None, reference: Path | None, listed: Path | None) -> list[Pair]:
    from mediaml.engine.score.pairs import find_pairs, read_pairs

    if listed is not None:
        if encode is not None or reference is not None:
            raise InvalidValue("--pairs names both files of every pair; leave ENCODE and --reference out")
        return read_pairs(listed.expanduser())
    if encode is None or reference is None:
        raise InvalidValue("name an encode and its source: mediaml score ENCODE -r SOURCE (or --pairs pairs.csv)")
    return find_pairs(encode.expanduser(), reference.expanduser())


def _score_all(pairs: list[Pair], settings: Any, quiet: bool) -> list[PairOutcome]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from mediaml.engine.score.pairs import score_pairs

    columns = TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=errors_console(), transient=True, disable=quiet) as bars:
        files = bars.add_task("pairs", total=len(pairs))
        frames = bars.add_task("aligning", total=None)

        def begin(pair: Pair) -> Any:
            bars.reset(frames, description=printable(pair.distorted.name), total=None)
            return lambda done, _seconds: bars.update(frames, completed=done)

        outcomes = []
        for outcome in score_pairs(pairs, settings, begin):
            outcomes.append(outcome)
            bars.advance(files)
            if outcome.error is not None:
                errors_console().print(
                    f"failed: {outcome.error}", style="red", markup=False, highlight=False, soft_wrap=True
                )
    return outcomes


def _write(
    outcomes: list[PairOutcome],
    json: Path | None,
    csv: Path | None,
    parquet: Path | None,
    html: Path | None,
    limits: tuple[Limit, ...],
) -> None:
    from mediaml.engine.score.output import score_dict, write_frames, write_json

    results = [o.result for o in outcomes if o.result is not None]
    if json is not None:
        one = len(outcomes) == 1 and results
        write_json(score_dict(results[0]) if one else [_entry(o) for o in outcomes], json)
    for path, kind in ((csv, "csv"), (parquet, "parquet")):
        if path is not None and results:
            write_frames(results, path, kind)  # type: ignore[arg-type]
    if html is not None and results:
        _write_html(results[0], html, limits)


def _entry(outcome: PairOutcome) -> dict[str, Any]:
    from mediaml.engine.score.output import score_dict

    return outcome.to_dict() | ({} if outcome.result is None else score_dict(outcome.result))


def _write_html(result: ScoreResult, path: Path, limits: tuple[Limit, ...]) -> None:
    from mediaml.report.score import build_score_report

    build_score_report(result, path, limits=limits)


def _print(outcomes: list[PairOutcome]) -> None:
    if len(outcomes) == 1:
        if outcomes[0].result is not None:
            _print_result(outcomes[0].result)
        elif outcomes[0].known:
            _print_pooled(outcomes[0].pooled, outcomes[0].headline)
            output_console().print("known already; nothing was scored", highlight=False)
    else:
        names = list(dict.fromkeys(n for o in outcomes for n in o.headline))
        rows = [
            (o.pair.distorted.name, o.pair.reference.name, *(_mean(o, n) for n in names), _state(o)) for o in outcomes
        ]
        print_table(["encode", "source", *names, ""], rows)
    for outcome in outcomes:
        for limit, reached in outcome.missed:
            got = "no score" if reached is None else f"{reached:.4f}"
            errors_console().print(
                f"missed: {outcome.pair.distorted.name}: {limit} reached {got}",
                style="red", markup=False, highlight=False, soft_wrap=True,
            )  # fmt: skip


def _mean(outcome: PairOutcome, name: str) -> str | None:
    return _digits(outcome.pooled[name].mean) if name in outcome.pooled else None


def _digits(value: float | None) -> str | None:
    """To the fourth digit, in which packages differ."""
    return None if value is None else f"{value:.4f}"


def _state(outcome: PairOutcome) -> str:
    if outcome.error is not None:
        return f"failed: {outcome.error.reason}"
    said = ["known already"] if outcome.known else []
    return ", ".join([*said, *(["limit missed"] if outcome.missed else [])])


def _print_result(result: ScoreResult) -> None:
    from mediaml.engine.score.text import alignment_line, worst_lines

    _print_pooled(result.pooled, result.headline)
    lines = [alignment_line(result), *worst_lines(result), *(f"note: {n}" for n in result.notes)]
    lines += [f"{name} gave nothing: {why}" for name, why in result.failed.items()]
    for line in lines:
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)


def _print_pooled(pooled: dict[str, Any], names: tuple[str, ...]) -> None:
    rows = []
    for name in names:
        if name in pooled:
            p = pooled[name]
            second = f"{_digits(p.worst_second.value)} at {p.worst_second.start_seconds:.2f} s"
            values = (p.mean, p.harmonic_mean, p.percentiles[5], p.min, p.max)
            rows.append((name, *(_digits(v) for v in values), second))
    print_table(["metric", "mean", "harmonic", "p5", "min", "max", "worst second"], rows)

"""The branch of `mediaml score` for two sounds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mediaml.cli.console import errors_console, output_console, print_table
from mediaml.errors import InvalidValue

if TYPE_CHECKING:
    from mediaml.engine.pooling import Limit
    from mediaml.engine.score.audio import AudioScore


def is_sound(encode: Path | None, reference: Path | None, metrics: str) -> bool:
    """Whether two single files are scored as sounds: metrics of sound named, or none and no picture in either."""
    from mediaml.engine.score.audio import METRICS, sound_only

    if encode is None or reference is None or not (encode.is_file() and reference.is_file()):
        return False
    named = {m.strip() for m in metrics.split(",") if m.strip()}
    return bool(named & set(METRICS)) or (not named and sound_only(encode) and sound_only(reference))


def score_sound(encode: Path, reference: Path, metrics: str, json: Path | None, limits: tuple[Limit, ...]) -> int:
    """Scores, prints, writes JSON; the exit code: 3 where a limit was missed."""
    from mediaml.engine.pooling import missed
    from mediaml.engine.score.audio import METRICS, score_audio
    from mediaml.engine.score.output import write_json

    named = [m.strip() for m in metrics.split(",") if m.strip()]
    unknown = sorted({limit.column for limit in limits} - set(METRICS))
    if unknown:
        raise InvalidValue(f"--fail-under {', '.join(unknown)}: for sounds, limits hold {', '.join(METRICS)}")
    result = score_audio(encode, reference, named or None)
    if json is not None:
        write_json(result.to_dict(), json.expanduser())
    _print(result)
    below = missed(limits, result.pooled)
    for limit, reached in below:
        got = "no score" if reached is None else f"{reached:.4f}"
        errors_console().print(f"missed: {limit} reached {got}", style="red", markup=False, highlight=False)
    return 3 if below else 0


def _print(result: AudioScore) -> None:
    from mediaml.engine.score.audio import METRICS

    how = result.alignment
    rows = []
    for name, pooled in result.pooled.items():
        worst = int(pooled.worst_second.start_seconds)
        rows.append((name, pooled.mean, pooled.min, pooled.max, f"{worst} s", pooled.frames, METRICS[name]))
    print_table(["metric", "mean", "worst window", "best", "worst at", "windows", ""], rows)
    lines = [
        f"aligned: offset {1000 * how.offset_seconds:+.2f} ms, drift {how.drift_ppm:+.1f} ppm "
        f"({how.trusted} of {how.windows} places agree); {result.compared_seconds:.2f} s compared"
    ]
    if result.loudness_difference_lu is not None:
        lines.append(
            f"loudness: {result.loudness[0]:.1f} LUFS against {result.loudness[1]:.1f}: "
            f"{result.loudness_difference_lu:+.2f} LU"
        )
    lines += [f"note: {n}" for n in result.notes] + [f"{n} gave nothing: {why}" for n, why in result.failed.items()]
    for line in lines:
        output_console().print(line, markup=False, highlight=False, soft_wrap=True)

"""A score's alignment and worst moments as lines for people."""

from __future__ import annotations

from mediaml.engine.score.result import ScoreResult
from mediaml.errors import printable


def alignment_line(result: ScoreResult) -> str:
    """One line: how many frames, how they lie against each other."""
    found = result.plan.alignment
    if found is None:
        return f"{result.frames_scored} frames, not aligned"
    s = found.summary
    parts = [f"{s.matched_frames} of {s.frames_distorted} frames aligned ({100 * s.matched_share:.1f} %)"]
    parts.append(f"offset {s.offset_seconds:+.3f} s")
    if abs(s.rate_ratio - 1) > 0.0005:
        parts.append(f"frame rate x{s.rate_ratio:.4g} ({s.cadence})")
    elif s.cadence != "same":
        parts.append(s.cadence)
    parts += [f"{n} {what}" for n, what in ((s.dropped_frames, "dropped"), (s.repeated_frames, "repeated")) if n]
    trimmed = s.reference_head, s.reference_tail
    if any(trimmed):
        parts.append(f"reference has {trimmed[0]} frames before and {trimmed[1]} after")
    parts.append(f"confidence {s.confidence:.2f}")
    return ", ".join(parts)


def _intervals(result: ScoreResult) -> list[str]:
    """Mean bounds of the metrics that have an interval a frame."""
    p = result.pooled
    return [
        f"{name}: 95 % interval {p[f'{name}_low'].mean:.4f} to {p[f'{name}_high'].mean:.4f} (mean over the frames)"
        for name in result.headline
        if f"{name}_low" in p and f"{name}_high" in p
    ]


def worst_lines(result: ScoreResult) -> list[str]:
    """The worst frames, and the worst shot where shots are known, by the first metric."""
    name = result.primary
    frames = ", ".join(f"{w.value:.3f} at {w.pts_seconds:.2f} s (frame {w.frame_index})" for w in result.worst)
    lines = [f"worst frames by {name}: {frames}"] if frames else []
    lines += _intervals(result)
    scored = [(s.pooled[name].mean, s) for s in result.shots if name in s.pooled]
    if len(scored) > 1:
        lower = result.pooled[name].lower_is_better
        value, shot = (max if lower else min)(scored, key=lambda pair: pair[0])
        lines.append(f"worst shot by {name}: {value:.3f}, {shot.start_seconds:.2f} to {shot.end_seconds:.2f} s")
    if result.backend != "mediaml":
        lines.append(f"computed by {result.backend}")
    lines.append(f"{printable(result.distorted.path)} against {printable(result.reference.path)}")
    return lines

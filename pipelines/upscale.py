"""Larger video with our own network: estimate, upscale, and how much it gained.

    python -m pipelines.upscale in.mp4 out.mkv

The same as `mediaml upscale`, as functions to change.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mediaml.engine.upscale.estimate import estimate
from mediaml.engine.upscale.evaluate import evaluate
from mediaml.engine.upscale.plan import UpscaleSettings
from mediaml.engine.upscale.video import UpscaleResult, upscale


def enlarge(source: Path, out: Path) -> UpscaleResult:
    """`source` at twice the size; broken off, the same call goes on where it was."""
    settings = UpscaleSettings(scale=2, model="mediaml_sr_x2", codec="libx264", crf=18)
    print("\n".join(estimate(source, out, settings).lines()))
    result = upscale(source, out, settings, progress=lambda done, total: print(f"\r{done}/{total}", end=""))
    print(f"\r{result.frames} frames at {result.frames_per_second:.1f} frames/s -> {result.out}")
    for method, scores in evaluate(source, settings, frames=24).scores.items():
        print(f"{method:>14}", *(f"{metric} {value:.2f}" for metric, value in scores.items()))
    return result


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    enlarge(Path(sys.argv[1]), Path(sys.argv[2]))

"""The shots of a file, for pooling a score over each."""

from __future__ import annotations

from pathlib import Path

import torch

from mediaml.analyzers.base import select
from mediaml.decode.frame_reader import VideoFile
from mediaml.engine.analyze import check_weights
from mediaml.engine.run import run_media
from mediaml.errors import InvalidValue
from mediaml.spec import Table


def find_shots(file: VideoFile, device: torch.device, max_pixels: int | None) -> list[tuple[float, float]]:
    """[start, end) in seconds, by the analyzers of the group "shots".

    Raises WeightsAbsent, MediaError; InvalidValue for raw video.
    """
    if file.raw is not None:
        raise InvalidValue(f"{file.path}: shots are not found in raw video; wrap it as Y4M first")
    detectors = [c for c in select(["shots"]) if c.spec.columns(Table.SHOTS)]
    check_weights(detectors)
    analyzers = [c() for c in detectors]
    for analyzer in analyzers:
        analyzer.setup(device)
    outcome = run_media(Path(file.path), file.media, analyzers, device=device, max_pixels=max_pixels)
    if outcome.error is not None:
        raise outcome.error
    for runner in outcome.runners:
        if runner.error is not None:
            raise runner.error
        rows = runner.rows.get(Table.SHOTS, {})
        if rows:
            return [(float(a), float(b)) for a, b in zip(rows["start_seconds"], rows["end_seconds"], strict=True)]
    return []

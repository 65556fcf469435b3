"""The shots of a file, for pooling a score over each."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from mediaml.analyzers.base import select
from mediaml.decode.frame_reader import VideoFile
from mediaml.engine.analyze import check_weights
from mediaml.engine.run import run_media
from mediaml.errors import UnknownName
from mediaml.spec import Table

ShotDetector = Literal["none", "fast", "network"]
_ANALYZERS = {"fast": "shots_fast", "network": "shots_transnetv2"}
Shots = list[tuple[float, float]]


def check_detector(detector: str) -> None:
    """Before anything is decoded. Raises UnknownName, WeightsAbsent."""
    if detector != "none" and detector not in _ANALYZERS:
        raise UnknownName("shot detector", detector, ("none", *_ANALYZERS))
    check_weights([c for name in _ANALYZERS if name == detector for c in select([_ANALYZERS[name]])])


def find_shots(
    file: VideoFile, detector: ShotDetector, device: torch.device, max_pixels: int | None
) -> tuple[Shots, list[str]]:
    """[start, end) in seconds, and what a reader should know: a file that can be scored may yet not be looked through."""
    if detector == "none":
        return [], []
    if file.raw is not None:
        return [], ["shots are not found in raw video; wrap it as Y4M for that"]
    analyzer = select([_ANALYZERS[detector]])[0]()
    analyzer.setup(device)
    outcome = run_media(Path(file.path), file.media, [analyzer], device=device, max_pixels=max_pixels)
    for error in (outcome.error, *(r.error for r in outcome.runners)):
        if error is not None:
            return [], [f"shots were not found: {error}"]
    rows = outcome.runners[0].rows.get(Table.SHOTS, {})
    return [
        (float(a), float(b)) for a, b in zip(*(rows.get(f"{e}_seconds", ()) for e in ("start", "end")), strict=True)
    ], []

"""Runs detectors over a file the way `mediaml analyze` does, without a lake."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.faults.matching import Found
from mediaml.analyzers.base import Analyzer
from mediaml.decode.probe import probe
from mediaml.engine.run import MediaOutcome, run_media
from mediaml.spec import Table


def watch(path: Path, analyzers: Sequence[Analyzer]) -> tuple[dict[str, list[Found]], MediaOutcome]:
    """Analyzer name -> its findings. Raises what an analyzer or the decoder raised."""
    cpu = torch.device("cpu")
    for analyzer in analyzers:
        analyzer.setup(cpu)
    outcome = run_media(path, probe(path), analyzers, device=cpu)
    if outcome.error is not None:
        raise outcome.error
    found: dict[str, list[Found]] = {}
    for runner in outcome.runners:
        if runner.error is not None:
            raise runner.error
        spans = runner.packed().rows.get(Table.SPANS, {})
        columns = [
            spans.get(n, ()) for n in ("kind", "start_seconds", "end_seconds", "severity", "confidence", "message")
        ]
        found[runner.spec.name] = [Found(*row) for row in zip(*columns, strict=True)]
    return found, outcome

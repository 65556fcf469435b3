"""What is done with a mutated input. Every target ends in "ok", in the name of a typed error, or it raises: a finding."""

from __future__ import annotations

import io
import shutil
import tarfile
from functools import cache
from pathlib import Path
from typing import Any

from mediaml.errors import LakeError, MediaError, MediamlError, UsageError
from tests.fuzz.seeds import Kind

ANALYZERS = ("siti", "colour_stats", "thumbnails", "silence", "audio_levels", "loudness")
MAX_PIXELS = 4 << 20
TABLES = ("media", "frames", "frames_wide", "tags", "errors", "runs")


class Finding(Exception):
    """Something that must not happen; its text says what."""


def run(kind: Kind, path: Path) -> str:
    """Treats `path` as the product would; "ok" or the kind of a typed error. Raises anything else: a finding."""
    match kind:
        case "media":
            return _media(path)
        case "vocabulary":
            return _vocabulary(path)
        case "profile":
            return _profile(path)
        case _:
            return _lake(path)


@cache
def _analyzers() -> list[Any]:
    import torch

    from mediaml.analyzers.base import registry

    known = registry()
    made = [known[name]() for name in ANALYZERS if name in known]
    for analyzer in made:
        analyzer.setup(torch.device("cpu"))
    return made


def _media(path: Path) -> str:
    import torch

    from mediaml.decode.probe import probe
    from mediaml.engine.run import run_media

    try:
        media = probe(path)
    except MediaError as error:
        return error.kind
    outcome = run_media(path, media, _analyzers(), device=torch.device("cpu"), max_pixels=MAX_PIXELS)
    for runner in outcome.runners:
        if runner.error is not None and not isinstance(runner.error, MediamlError):
            raise Finding(f"analyzer {runner.spec.name}: {type(runner.error).__name__}: {runner.error}")
    if outcome.error is not None:
        return outcome.error.kind
    report = outcome.report
    nothing = report is not None and not (report.frames_decoded or report.samples_decoded)
    if outcome.runners and (report is None or (nothing and not report.ended_early)):
        raise Finding("nothing was decoded, and no error says so")
    for runner in outcome.runners:
        runner.packed()
    return "ok"


def _vocabulary(path: Path) -> str:
    from mediaml.derive.vocabulary import load_vocabulary

    try:
        load_vocabulary(path)
    except UsageError as error:
        return error.kind
    return "ok"


def _profile(path: Path) -> str:
    from mediaml.engine.qc.profile import read_profile

    try:
        read_profile(path)
    except UsageError as error:
        return error.kind
    return "ok"


def _lake(path: Path) -> str:
    from mediaml.tables import Lake
    from mediaml.tables.check import check_lake, migrate_lake

    root = path.with_suffix("")
    shutil.rmtree(root, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as tar:
        tar.extractall(root, filter="data")
    ended = "ok"
    for step in (
        lambda lake: [lake.table(name).num_rows for name in TABLES],
        lambda lake: list(check_lake(lake)),
        lambda lake: lake.compact(),
        migrate_lake,
    ):
        try:
            step(Lake.open(root))
        except LakeError as error:
            ended = error.kind
        except MediamlError as error:
            raise Finding(f"{type(error).__name__} is no error of a lake: {error}") from error
    shutil.rmtree(root, ignore_errors=True)
    return ended

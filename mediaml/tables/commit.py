"""Commits as they are written: plain JSON of what was staged. `Catalog.apply` reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from mediaml.tables.rows import RunRow, clean_text, encode_path
from mediaml.tables.writer import Part, Staged, microseconds


def unit_commit(staged: Sequence[Staged], run_id: str | None, known_paths: Sequence[tuple] = ()) -> dict[str, Any]:
    """The commit of any number of media, or of a derivation; without the rows of `known_paths`."""
    return {
        "run_id": run_id,
        "units": [_unit(s) for s in staged if s.keys],
        "paths": [s.path for s in staged if s.path is not None and s.path not in known_paths],
        "errors": [[*e[:-1], run_id, e[-1]] for s in staged for e in s.errors],
    }


def run_commit(run: RunRow) -> dict[str, Any]:
    """The commit that records a run."""
    finished = None if run.finished_at is None else microseconds(run.finished_at)
    texts = [clean_text(t) for t in (run.status, run.command, run.mediaml_version)]
    counts = [run.files_total, run.files_done, run.files_skipped, run.files_failed]
    settings = clean_text(json.dumps(dict(run.settings), sort_keys=True, default=str))
    return {"runs": [[run.run_id, microseconds(run.started_at), finished, *texts, *counts, settings]]}


def forget_commit(paths: Sequence[str], now: int) -> dict[str, Any]:
    """The commit that takes paths away."""
    return {"paths": [[None, encode_path(path), None, None, now] for path in paths]}


def merge_commit(merged: Part, removed: Sequence[str]) -> dict[str, Any]:
    """The commit that puts one part (whose keys are numbered over the whole lake) in the place of several."""
    return {"merged": [_part(merged)], "removed": list(removed)}


def _unit(staged: Staged) -> dict[str, Any]:
    unit = {"media_id": staged.media_id, "keys": staged.keys, "parts": [_part(p) for p in staged.parts]}
    return unit | ({"derivation": staged.derivation} if staged.derivation else {})


def _part(part: Part) -> dict[str, Any]:
    return {
        "path": part.path,
        "tbl": part.table,
        "schema": part.schema,
        "size_bytes": part.size_bytes,
        "keys": part.keys,
        "key_rows": part.key_rows,
    }

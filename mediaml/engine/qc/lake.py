"""Verdicts as rows: one of `quality` a rule, and the frames that show what is wrong in `thumbnails`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mediaml.analyzers.thumbnails import encode_jpeg
from mediaml.decode.probe import probe
from mediaml.decode.stills import Still, stills
from mediaml.engine.qc.profile import Profile
from mediaml.engine.qc.result import FileVerdict
from mediaml.engine.qc.rules import RuleOutcome
from mediaml.errors import MediaError
from mediaml.spec import View
from mediaml.tables import Lake
from mediaml.tables.rows import AnalyzerRows, parameters_hash

PICTURES_A_FILE = 12
PICTURES_A_RULE = 3
PICTURE = View.rgb(320, 320, fit="contain", filter="area")
_APART_SECONDS = 0.04  # instants nearer to each other than this share a picture


def evidence_instants(outcomes: Sequence[RuleOutcome]) -> list[float]:
    """Where a frame is to be shown: the worst places of the rules that are broken, those of level fail first."""
    levels = ("fail", "warn", "info")
    broken = sorted((o for o in outcomes if o.broken), key=lambda o: levels.index(o.outcome))
    chosen: list[float] = []
    for place in (p for o in broken for p in o.places[:PICTURES_A_RULE]):
        near = any(abs(place.evidence_seconds - t) < _APART_SECONDS for t in chosen)
        if not near and len(chosen) < PICTURES_A_FILE:
            chosen.append(place.evidence_seconds)
    return sorted(chosen)


def record(
    lake: Lake, profile: Profile, files: Sequence[FileVerdict], *, pictures: bool, max_pixels: int | None
) -> None:
    """Writes the verdicts that the lake does not show yet. With `pictures`, the frames of evidence are decoded for them."""
    shown = {(r.media_id, r.key.analyzer): r.key.parameters_hash for r in lake.results()}
    done: set[str] = set()
    for file in files:
        if file.media_id is None or file.values is None or file.media_id in done:
            continue
        done.add(file.media_id)
        instants = evidence_instants(file.outcomes) if pictures else []
        digest = parameters_hash(
            {"profile": profile.model_dump_json(), "rules": file.to_dict()["rules"], "pictures": instants}
        )
        before = shown.get((file.media_id, profile.spec_id))
        if before == digest:
            continue
        found = _stills(Path(file.path), instants, max_pixels)
        rows = AnalyzerRows(
            profile.spec_id,
            digest,
            {"quality": (), "thumbnails": ()},
            {"quality": _quality(profile, file), "thumbnails": _thumbnails(found)},
            source=f"QC profile {profile.id}",
        )
        lake.commit([lake.stage(file.media_id, analyzers=[rows], valid_from=file.values.media.get("valid_from"))])


def _stills(path: Path, instants: Sequence[float], max_pixels: int | None) -> list[Still]:
    if not instants:
        return []
    try:
        return stills(path, probe(path), instants, PICTURE, max_pixels=max_pixels)
    except MediaError:  # gone since it was judged: the verdict stands without pictures
        return []


def _quality(profile: Profile, file: FileVerdict) -> dict[str, list[Any]]:
    places = [o.places[0] if o.places else None for o in file.outcomes]
    return {
        "profile": [profile.id] * len(file.outcomes),
        "rule_index": list(range(len(file.outcomes))),
        "rule": [o.rule.id for o in file.outcomes],
        "level": [o.level for o in file.outcomes],
        "outcome": [o.outcome for o in file.outcomes],
        "message": [o.message for o in file.outcomes],
        "value": [o.value for o in file.outcomes],
        "start_seconds": [None if p is None else p.start_seconds for p in places],
        "end_seconds": [None if p is None else p.end_seconds for p in places],
        "evidence_seconds": [None if p is None else p.evidence_seconds for p in places],
        "places": [o.place_count for o in file.outcomes],
        "evidence": [json.dumps([file.place(p) for p in o.places], allow_nan=False) for o in file.outcomes],
    }


def _thumbnails(found: Sequence[Still]) -> dict[str, list[Any]]:
    import torch

    by_time = {s.pts_seconds: s.picture for s in found}
    pictures = [torch.from_numpy(p).permute(2, 0, 1) for p in by_time.values()]
    return {
        "pts_seconds": list(by_time),
        "width": [p.shape[2] for p in pictures],
        "height": [p.shape[1] for p in pictures],
        "jpeg": [encode_jpeg(p) for p in pictures],
    }

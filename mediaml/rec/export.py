"""Title features for other tools, with stable item numbers and a card that says what every column means."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mediaml.errors import InvalidValue, UnknownName, printable
from mediaml.rec.behaviour import Events
from mediaml.rec.export_feast import write_feast
from mediaml.rec.export_formats import write_cornac, write_mmrec, write_parquet, write_torch
from mediaml.rec.features import DEFAULT_SET
from mediaml.rec.items import Items, read_items
from mediaml.tables import Lake
from mediaml.tables.reader import literal

Target = Literal["parquet", "torch", "mmrec", "cornac", "feast"]
TARGETS: tuple[Target, ...] = get_args(Target)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """files    written, relative to `folder`
    left_out  events whose title is no item
    """

    folder: Path
    files: tuple[str, ...]
    items: int
    with_features: int
    left_out: int = 0

    def lines(self) -> list[str]:
        """For people: one line a fact."""
        found = [f"{self.items} items, {self.with_features} with features, in {self.folder}: {', '.join(self.files)}"]
        return found + ([f"{self.left_out} events left out: their title is no item"] if self.left_out else [])


def export_features(
    lake: Lake,
    target: Target,
    out: str | os.PathLike[str],
    *,
    feature_set: str = DEFAULT_SET,
    events: Events | None = None,
) -> ExportReport:
    """Writes a new folder with the features of all titles as known now (for feast: their whole history) and `card.json`.

    parquet  items.parquet: one row an item
    torch    items.safetensors: numbers and vectors as float32 (NaN where absent) with bool masks, and scaling
    mmrec    DATASET.inter, image_feat.npy, text_feat.npy, i_id_mapping.csv, u_id_mapping.csv (needs `events`)
    cornac   item_features.npy, item_ids.txt and, with `events`, feedback.tsv (user, item, rating, time)
    feast    features.parquet and a feature repository whose own point-in-time join gives the "known" join

    Raises InvalidValue: the folder exists, or events are needed. UnknownName: no such target.
    """
    if target not in TARGETS:
        raise UnknownName("export target", target, TARGETS)
    folder = Path(out)
    if folder.exists():
        raise InvalidValue(f"{printable(folder)}: exists already; name a new folder")
    items = read_items(lake, feature_set)
    temp = folder.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        temp.mkdir(parents=True)
        notes = _write(lake, target, items, events, temp)
        card = schema_card(lake, items, target, notes)
        (temp / "card.json").write_text(json.dumps(card, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        temp.rename(folder)
    except OSError as error:
        raise InvalidValue(f"{printable(folder)}: cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temp, ignore_errors=True)
    files = tuple(sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()))
    known = int((items.rows >= 0).sum())
    return ExportReport(folder, files, len(items.title_ids), known, notes.get("events_left_out", 0))


def _write(lake: Lake, target: Target, items: Items, events: Events | None, folder: Path) -> dict[str, Any]:
    match target:
        case "parquet":
            return write_parquet(items, folder)
        case "torch":
            return write_torch(items, scaling(lake, items.feature_set), folder)
        case "cornac":
            return write_cornac(items, events, folder)
        case "feast":
            return write_feast(lake, items, folder)
        case "mmrec":
            if events is None:
                raise InvalidValue("--to mmrec needs a behaviour log: add --behaviour events.parquet")
            return write_mmrec(items, events, folder)


def schema_card(lake: Lake, items: Items, target: Target, notes: Mapping[str, Any]) -> dict[str, Any]:
    """What the files hold, for people and programs."""
    columns = [
        {
            "name": c.name, "dtype": c.dtype, "unit": c.unit, "minimum": c.minimum, "maximum": c.maximum,
            "description": c.description, "source": c.source,
        }
        for c in items.columns.values()
    ]  # fmt: skip
    return {
        "format": f"mediaml features for {target}",
        "feature_set": items.feature_set,
        "known_at": items.as_of.isoformat(),
        "items": len(items.title_ids),
        "items_with_features": int((items.rows >= 0).sum()),
        "item_id": "position by first build, then title_id; stable: later builds only add to the end",
        "absent": "null or NaN, with has_X false; never zero. Where a tool cannot take that, `notes` says what was put in",
        "columns": columns,
        "scaling": scaling(lake, items.feature_set) if target != "torch" else "in items.safetensors: mean.X and std.X",
        "notes": dict(notes),
    }


def scaling(lake: Lake, feature_set: str) -> dict[str, dict[str, list[float]]]:
    """feature -> mean and std (a list of one for numbers), of the newest build that has it."""
    rows = lake.query(
        "SELECT feature, list(mean ORDER BY element) AS mean, list(std ORDER BY element) AS std FROM ("  # noqa: S608
        f"SELECT * FROM feature_scaling WHERE feature_set = {literal(feature_set)} "
        "QUALIFY rank() OVER (PARTITION BY feature ORDER BY computed_at DESC) = 1) GROUP BY feature ORDER BY feature"
    ).to_pylist()
    return {r["feature"]: {"mean": r["mean"], "std": r["std"]} for r in rows}

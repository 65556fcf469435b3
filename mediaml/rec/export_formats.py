"""Layouts of the tools that title features are exported to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mediaml.errors import InvalidValue
from mediaml.rec.behaviour import Events
from mediaml.rec.items import Items
from mediaml.tables.export import export as export_table

MMREC_SPLIT = (0.8, 0.9)
"""Shares of the log, in time, after which MMRec's validation and test begin."""


def write_parquet(items: Items, folder: Path) -> dict[str, Any]:
    """items.parquet: one row an item, vectors as fixed-size lists."""
    pq.write_table(items.table(), folder / "items.parquet", compression="zstd")
    return {}


def write_torch(items: Items, scaling: Mapping[str, Mapping[str, list[float]]], folder: Path) -> dict[str, Any]:
    """items.safetensors and titles.json: `safetensors.torch.load_file` gives the tensors."""
    from safetensors.numpy import save_file

    values, present = items.numbers(items.scalars)
    tensors: dict[str, NDArray[Any]] = {"scalars": values, "scalars.present": present}
    for name in items.values.vectors:
        tensors[name], tensors[f"{name}.present"] = items.vectors(name)
    tags: dict[str, list[str]] = {}
    for name in items.texts:
        tensors[name], tags[name] = items.shares(name)
    for name, moments in scaling.items():
        tensors[f"mean.{name}"] = np.asarray(moments["mean"], np.float32)
        tensors[f"std.{name}"] = np.asarray(moments["std"], np.float32)
    titles = json.dumps(items.title_ids)
    save_file(
        {n: np.ascontiguousarray(t) for n, t in tensors.items()},
        folder / "items.safetensors",
        metadata={"title_ids": titles, "scalars": json.dumps(items.scalars), "tags": json.dumps(tags)},
    )
    (folder / "titles.json").write_text(titles + "\n")
    return {"scalars": items.scalars, "tags": tags}


def write_mmrec(items: Items, events: Events, folder: Path) -> dict[str, Any]:
    """Layout read from MMRec's own loader: `userID`, `itemID`, `x_label` (0 train, 1 validation, 2 test), tab-separated.

    MMRec has as many items as the log's greatest itemID says, and its models fail on feature rows beyond; titles without
    events past that number are left out and named in the card.
    """
    if not items.values.vectors:
        raise InvalidValue(
            "MMRec needs at least one vector a title, and the features have none; run an embedding analyzer"
        )
    names = sorted(items.values.vectors, key=lambda n: ("conse" in n or "text" in n, n))[:2]
    log, users, left = _interactions(items, events)
    count = int(max(log.column("item_id").to_pylist())) + 1  # MMRec sizes its item table from the log
    notes: dict[str, Any] = {"titles_past_the_last_with_events": list(items.title_ids[count:])}
    for name, file in zip(names, ("image_feat.npy", "text_feat.npy"), strict=False):
        matrix, present = items.vectors(name)
        matrix, present = matrix[:count], present[:count]
        if not present.any():
            raise InvalidValue(
                f"no title with events has a vector {name}, and MMRec cannot take absent ones; analyze them"
            )
        filled = np.where(present[:, None], matrix, matrix[present].mean(0))
        np.save(folder / file, filled.astype(np.float32))
        notes[file] = {"from": name, "absent_items": int((~present).sum()), "put_in_their_place": "mean of the others"}
    order = np.argsort(log.column("time").cast(pa.int64()).to_numpy(), kind="stable")
    label = np.zeros(len(order), np.int64)
    label[order[int(len(order) * MMREC_SPLIT[0]) :]] = 1
    label[order[int(len(order) * MMREC_SPLIT[1]) :]] = 2
    seconds = log.column("time").cast(pa.int64()).to_numpy() // 1_000_000
    columns = {"userID": log.column("user_id"), "itemID": log.column("item_id"), "rating": np.ones(len(order))}
    inter = pa.table({**columns, "timestamp": seconds, "x_label": label})
    _tsv(inter, folder / "dataset.inter")
    export_table(
        pa.table({"title_id": list(items.title_ids[:count]), "itemID": range(count)}),
        folder / "i_id_mapping.csv",
    )
    export_table(pa.table({"user": users, "userID": range(len(users))}), folder / "u_id_mapping.csv")
    return {**notes, "split": "by time: 80 % train, 10 % validation, 10 % test", "events_left_out": left}


def write_cornac(items: Items, events: Events | None, folder: Path) -> dict[str, Any]:
    """For `cornac.data.FeatureModality(features, ids)` and `Reader().read(..., fmt="UIRT")`."""
    blocks = [items.vectors(n)[0] for n in items.values.vectors]
    matrix = np.concatenate([*blocks, items.numbers(items.scalars)[0]], 1)
    present = ~np.isnan(matrix)
    count = np.maximum(present.sum(0), 1)
    mean = np.where(present, matrix, 0).sum(0) / count
    np.save(folder / "item_features.npy", np.where(present, matrix, mean).astype(np.float32))
    np.save(folder / "item_features_present.npy", present)
    (folder / "item_ids.txt").write_text("".join(f"{t}\n" for t in items.title_ids))
    widths = {n: int(v.values.shape[1]) for n, v in items.values.vectors.items()} | dict.fromkeys(items.scalars, 1)
    notes: dict[str, Any] = {"columns": widths, "absent": "mean of the column; item_features_present.npy says which"}
    if events is not None:
        log, _, left = _interactions(items, events)
        columns = {"user": log.column("user"), "item": log.column("title"), "rating": np.ones(log.num_rows)}
        seconds = log.column("time").cast(pa.int64()).to_numpy() // 1_000_000
        _tsv(pa.table({**columns, "time": seconds}), folder / "feedback.tsv", heading=False)
        notes["events_left_out"] = left
    return notes


def _interactions(items: Items, events: Events) -> tuple[pa.Table, list[str], int]:
    """Events of known items with "user_id" and "item_id" numbers; the users by number; how many events were left out."""
    numbers = {t: i for i, t in enumerate(items.title_ids)}
    found = [numbers.get(t) for t in events.table.column("title").to_pylist()]
    kept = events.table.append_column("item_id", pa.array(found, pa.int64()))
    kept = kept.filter(kept.column("item_id").is_valid())
    if not kept.num_rows:
        raise InvalidValue(f"{events.report.source}: no event is about a title of the features; check the title ids")
    users = sorted(set(kept.column("user").to_pylist()))
    place = {u: i for i, u in enumerate(users)}
    kept = kept.append_column("user_id", pa.array([place[u] for u in kept.column("user").to_pylist()]))
    return kept, users, len(found) - kept.num_rows


def _tsv(table: pa.Table, path: Path, heading: bool = True) -> None:
    """Tab-separated text. Raises InvalidValue where an id holds a tab or a line break."""
    columns = [[str(v) for v in c.to_pylist()] for c in table.columns]
    if any(set(v) & set("\t\r\n") for column in columns for v in column):
        raise InvalidValue(f"{path.name}: an id holds a tab or a line break, which this format cannot store")
    lines = ["\t".join(row) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([*(["\t".join(table.column_names)] if heading else []), *lines]) + "\n")

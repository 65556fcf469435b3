"""The keyframe strip: which thumbnails stand for which shots, shrunk to what the report may weigh."""

from __future__ import annotations

import base64
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import cv2
import numpy as np

from mediaml.report.model import Keyframe, Shot
from mediaml.report.source import Source

_T = TypeVar("_T")
_CHUNK = 64  # media read at once
_LARGEST_BYTES = 2_000_000  # a thumbnail that is larger is none
_COLUMNS = ("media_id", "pts_seconds", "width", "height")


@dataclass(frozen=True, slots=True)
class Budget:
    """How much a card may hold; smaller cards in larger catalogues keep the file light."""

    pictures: int  # a card
    picture_height: int  # px
    points: int  # a curve
    curves: int  # a card

    @classmethod
    def for_files(cls, count: int) -> Budget:
        if count <= 60:
            return cls(pictures=24, picture_height=112, points=240, curves=16)
        if count <= 250:
            return cls(pictures=10, picture_height=90, points=120, curves=8)
        return cls(pictures=6, picture_height=72, points=80, curves=6)


def keyframes(source: Source, shots: Mapping[str, Sequence[Shot]], budget: Budget) -> dict[str, list[Keyframe]]:
    """media_id -> at most `budget.pictures` pictures in order: one a shot, or spread over the file without shots."""
    if not source.has("thumbnails", *_COLUMNS, "jpeg"):
        return {}
    times: dict[str, list[float]] = defaultdict(list)
    for row in source.read("thumbnails", _COLUMNS):
        times[row["media_id"]].append(row["pts_seconds"])
    wanted = {m: choose(sorted(t), shots.get(m, ()), budget.pictures) for m, t in times.items()}
    return dict(_read(source, wanted, budget.picture_height))


def choose(times: Sequence[float], shots: Sequence[Shot], limit: int) -> list[float]:
    """The instants of the pictures to show; `times` ascending."""
    if not shots:
        return _spread(times, limit)
    chosen = []
    for shot in _spread(shots, limit):
        middle = (shot.start + shot.end) / 2
        inside = [t for t in times if shot.start - 1e-6 <= t < shot.end]
        if inside:
            chosen.append(min(inside, key=lambda t: abs(t - middle)))
    return chosen or _spread(times, limit)


def _spread(items: Sequence[_T], limit: int) -> list[_T]:
    if len(items) <= limit:
        return list(items)
    return [items[(2 * i + 1) * len(items) // (2 * limit)] for i in range(limit)]


def _read(source: Source, wanted: Mapping[str, list[float]], height: int) -> Iterator[tuple[str, list[Keyframe]]]:
    ids = sorted(wanted)
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        instants = sorted({repr(t) for m in chunk for t in wanted[m]})
        listed = ", ".join("'" + m.replace("'", "''") + "'" for m in chunk)
        where = f"media_id IN ({listed}) AND pts_seconds IN ({', '.join(instants)})"
        strips: dict[str, dict[float, Keyframe]] = defaultdict(dict)
        for row in source.read("thumbnails", (*_COLUMNS, "jpeg"), where):
            media_id, seconds = row["media_id"], row["pts_seconds"]
            if seconds in wanted[media_id] and seconds not in strips[media_id]:
                picture = _shrunk(row["jpeg"], row["width"], row["height"], height)
                if picture is not None:
                    strips[media_id][seconds] = Keyframe(seconds, *picture)
        for media_id in chunk:
            yield media_id, [strips[media_id][t] for t in sorted(strips[media_id])]


def _shrunk(jpeg: bytes, width: int, height: int, limit: int) -> tuple[int, int, str] | None:
    """(width, height, data URI), at most `limit` px high; None where the bytes are no JPEG picture."""
    if not jpeg.startswith(b"\xff\xd8\xff") or len(jpeg) > _LARGEST_BYTES:
        return None
    if height <= limit:
        return width, height, _uri(jpeg)
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        return None
    size = (max(1, round(picture.shape[1] * limit / picture.shape[0])), limit)
    smaller = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", smaller, [cv2.IMWRITE_JPEG_QUALITY, 72])
    return (*size, _uri(encoded.tobytes()))


def _uri(jpeg: bytes) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg).decode("ascii")

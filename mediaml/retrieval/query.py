"""From what someone looks for to a unit vector of the space that is searched."""

from __future__ import annotations

import re
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mediaml.derive.inputs import matrix
from mediaml.derive.pooling import pool_shots
from mediaml.engine.embedding import embed
from mediaml.errors import InvalidValue, UnknownName, printable
from mediaml.retrieval.space import CLAP, Space
from mediaml.retrieval.spaces import address_of
from mediaml.retrieval.warm import media_of
from mediaml.tables import Lake
from mediaml.tables.reader import literal

LONGEST_TEXT = 2000  # characters
_TIME = re.compile(r"(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)")
_UNREACHED = 1e-9


def of_words(
    text: str, space: Space, model: str | None = None, templates: Sequence[str] = ("{}",)
) -> NDArray[np.float32]:
    """(D,) of a text. Raises InvalidValue (empty, or too long), WeightsError, UsageError."""
    words = text.strip()
    if not words:
        raise InvalidValue("the query is empty; say in words what to look for, or give --image or --like")
    if len(words) > LONGEST_TEXT:
        raise InvalidValue(f"the query has {len(words)} characters; at most {LONGEST_TEXT} are taken")
    for template in templates:
        if "{}" not in template:
            raise InvalidValue(f"template {template!r} has no {{}} where the query goes, as in 'a photo of {{}}'")
    if space.is_clap:
        from mediaml.analyzers.embed.clap import text_tower as sound_text_tower

        address = model if model is not None and model.startswith(CLAP) and "@" in model else None
        return sound_text_tower(space.model, space.weights_sha256, address).texts([words], templates).numpy()[0]
    if space.is_open_clip:
        from mediaml.analyzers.embed.open_clip import text_tower

        own = address_of(model)
        return text_tower(space.model, space.weights_sha256, own).texts([words], templates).numpy()[0]
    from mediaml.derive.label_space import sentence_embedder

    vectors = sentence_embedder().embed([t.replace("{}", words) for t in templates]).numpy()
    return unit(vectors.mean(0))


def of_picture(path: str | PathLike[str], space: Space, model: str | None = None) -> NDArray[np.float32]:
    """(D,) of a picture, or of the whole of a clip, by the space's own model.

    Raises MediaError (not a picture), WeightsError, InvalidValue (other weights than those of the space).
    """
    own = address_of(model)
    if space.is_own and own is None:
        raise InvalidValue(f"{space.model} comes from a checkpoint of your own; name it: --model open_clip:MODEL/@FILE")
    name = "lite0" if space.is_lite0 else own or space.model
    file = Path(path).expanduser()
    if not file.is_file():
        raise InvalidValue(f"--image {printable(file)}: there is no such file")
    batches = list(embed(file, name, level="frame"))
    if len(batches) != 1:
        raise InvalidValue(f"--image {printable(file)} is not a picture or clip that can be read")
    (batch,) = batches
    if batch.error is not None:
        raise batch.error
    if batch.weights_sha256 != space.weights_sha256:
        raise InvalidValue(
            f"the lake's vectors of {space.model} were made with weights of sha256 {space.weights_sha256[:12]}..., those "
            f"here have {batch.weights_sha256[:12]}...: two spaces are not comparable; use the same weights, or embed again"
        )
    values = np.asarray(batch.values, np.float32)
    return unit(pool_shots(batch.start_seconds, values, np.zeros((0, 2))).values[0])


def of_example(lake: Lake, example: str, space: Space) -> tuple[NDArray[np.float32], str]:
    """(D,) of what the lake holds at MEDIA@TIME, and its media_id: the shot at that time; without "@TIME" the whole file.

    MEDIA is a path or file name, or the beginning (6 digits or more) of a media_id; TIME is 83.5, 1:23.5 or 00:01:23.5.
    Raises UnknownName, InvalidValue (two media match; no such time; not in this space).
    """
    name, at, when = example.rpartition("@")
    if not at:
        name, when = example, ""
    seconds = _seconds(when, example) if at else None
    media_id = _media(lake, name)
    where = f"model = {literal(space.model)} AND weights_sha256 = {literal(space.weights_sha256)}"
    found = lake.rows_of("embeddings", [media_id], ["scope", "start_seconds", "end_seconds", "vector"], where)
    if not found.num_rows:
        raise InvalidValue(
            f"{printable(name)} has no vectors in the space {space.model}; embed it with that model first"
        )
    places = found.drop_columns(["vector"]).to_pylist()
    chosen = _at(sorted(places, key=lambda r: (r["scope"], r["start_seconds"])), seconds, example)
    return unit(matrix(found.column("vector").slice(places.index(chosen), 1))[0]), media_id


def _at(rows: list[dict], seconds: float | None, example: str) -> dict:
    whole = next((r for r in rows if r["scope"] == "file"), None)
    if seconds is None:
        if whole is None:
            raise InvalidValue(f"{printable(example)} has no vector of the whole file; say a time: MEDIA@0:00")
        return whole
    end = max(r["end_seconds"] for r in rows)
    if seconds > end:
        raise InvalidValue(f"{printable(example)}: {seconds:g} s is beyond the end of the media at {end:.2f} s")
    inside = [r for r in rows if r["scope"] in ("shot", "window") and r["start_seconds"] <= seconds < r["end_seconds"]]
    if inside:
        return inside[0]
    near = [r for r in rows if r["scope"] != "file"] or [whole or rows[0]]
    return min(near, key=lambda r: abs((r["start_seconds"] + r["end_seconds"]) / 2 - seconds))


def _seconds(text: str, example: str) -> float:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise InvalidValue(
            f"{printable(example)}: {text!r} is not a time; write MEDIA@83.5, MEDIA@1:23.5 or MEDIA@00:01:23"
        )
    hours, minutes, rest = found.groups()
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + float(rest)


def _media(lake: Lake, name: str) -> str:
    """The media_id of a path, file name or beginning of an id."""
    media = media_of(lake)
    exact = media.by_path.get(name, set()) | media.by_path.get(str(Path(name).expanduser().absolute()), set())
    hits = exact or media.by_name.get(name, set())
    if not hits and len(name) >= 6:
        hits = {m for m in media.paths if m.startswith(name.lower())}
    if not hits:
        raise UnknownName("media of this lake", name, [Path(p).name for p in media.paths.values()])
    if len(hits) > 1:
        which = ", ".join(sorted(m[:12] for m in hits))
        raise InvalidValue(
            f"{printable(name)} names {len(hits)} media of this lake ({which}); give its path or media_id"
        )
    return next(iter(hits))


def unit(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """The vector with length 1; a zero vector stays."""
    length = float(np.linalg.norm(vector))
    return vector.astype(np.float32) if length < _UNREACHED else (vector / length).astype(np.float32)

"""The spaces of vectors that a lake holds, and which of them answers a query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediaml.derive.label_space import MODEL as LABEL_SPACE
from mediaml.errors import InvalidValue, UnknownName
from mediaml.retrieval.space import CLAP, LITE0, OPEN_CLIP, Query, Space
from mediaml.retrieval.warm import warm
from mediaml.tables import Lake
from mediaml.tables.reader import literal

_SPACES = """
SELECT model, weights_sha256, count(*) FILTER (scope IN ('shot', 'window', 'file')) AS pooled,
    count(DISTINCT media_id) AS media, any_value(media_id) AS one, max(computed_at) AS newest
FROM embeddings GROUP BY model, weights_sha256 ORDER BY newest DESC, model
"""


def spaces_of(lake: Lake) -> list[Space]:
    """Newest first."""
    kept = warm(lake)
    if kept.spaces is None:
        kept.spaces = [
            Space(r["model"], r["weights_sha256"], _dimensions(lake, r), r["pooled"], r["media"])
            for r in lake.query(_SPACES).to_pylist()
        ]
    return kept.spaces


def _dimensions(lake: Lake, row: dict[str, Any]) -> int:
    """The length of the space's vectors, from those of one media: reading a million for it would take seconds."""
    chosen = f"model = {literal(row['model'])} AND weights_sha256 = {literal(row['weights_sha256'])}"
    found = lake.rows_of("embeddings", [row["one"]], ["vector"], chosen)
    return len(found.column("vector")[0]) if found.num_rows else 0


def choose(lake: Lake, query: Query, model: str | None = None) -> Space:
    """The space for a query: the one that `model` names, or the best that can answer.

    Words prefer an open_clip space to the label space, pictures and examples prefer open_clip to Lite0 to the label space;
    among equals the space with most media, then the newest. A space of weights of the user's own comes last where those are
    needed, because they must be named. Raises UnknownName, InvalidValue (no such space: says how to
    get one).
    """
    known = spaces_of(lake)
    if model is not None:
        return _named(known, query, model)
    able = [s for s in known if s.answers(query) and s.pooled]
    if not able:
        raise InvalidValue(_lacking(lake, known, query))
    needs_file = query != "example"

    def rank(space: Space) -> tuple[bool, bool, bool, int, int]:
        ready = not (needs_file and space.is_own)
        return ready, space.is_open_clip, space.is_lite0 or query == "words", space.media, -known.index(space)

    return max(able, key=rank)


def _named(known: Sequence[Space], query: Query, model: str) -> Space:
    wanted = _space_name(model)
    hits = [s for s in known if wanted in (s.model, s.model.split("@")[0])]
    if not hits:
        names = sorted({s.model for s in known})
        if wanted.startswith((OPEN_CLIP, CLAP)) or wanted in (LITE0, LABEL_SPACE):
            how = "mediaml derive LAKE" if wanted == LABEL_SPACE else f"mediaml embed MEDIA --out LAKE --model {model}"
            has = f"it has {', '.join(names)}" if names else "it has no vectors at all"
            raise InvalidValue(f"the lake has no vectors of the space {wanted}; {has}. To get it: {how}")
        raise UnknownName("space of this lake", model, [*names, "lite0", "label_space"])
    chosen = hits[0]
    if not chosen.answers(query):
        raise InvalidValue(
            f"the space {chosen.model} cannot be searched by {query}; choose one that can: an open_clip model, or "
            "label_space for words and lite0 for pictures"
        )
    if not chosen.pooled:
        raise InvalidValue(f"the space {chosen.model} has no vectors of shots or files yet; run: mediaml derive LAKE")
    return chosen


def address_of(model: str | None) -> str | None:
    """The address of an open_clip model, where `--model` gave one: it says where its files lie."""
    if model is None or not model.startswith((OPEN_CLIP, "@")):
        return None
    return model if model.startswith(OPEN_CLIP) else OPEN_CLIP + model


def _space_name(model: str) -> str:
    if model == "label_space":
        return LABEL_SPACE
    if model in ("lite0", LITE0):
        return LITE0
    if model.startswith(CLAP + "@"):
        from mediaml.analyzers.embed.clap import parse as parse_clap

        return parse_clap(model).space
    if model.startswith((OPEN_CLIP, "@")):
        from mediaml.analyzers.embed.open_clip import parse

        return parse(address_of(model) or model).space
    return model


def _lacking(lake: Lake, known: Sequence[Space], query: Query) -> str:
    has = ", ".join(sorted({s.model for s in known})) or "no vectors at all"
    if query != "words":
        return f"{lake.path} has no space that pictures can search (it has {has}); run: mediaml embed MEDIA --out LAKE"
    return (
        f"{lake.path} has no space that words can search (it has {has}); run: mediaml embed MEDIA --out LAKE --model "
        "open_clip:ViT-B-32/laion2b_s34b_b79k (after: mediaml weights pull clip-vit-b-32), or, without such a model: mediaml "
        "embed MEDIA --out LAKE (the label space; it knows objects only); for sound: mediaml embed MEDIA --out LAKE --model "
        "clap:@FOLDER (a CLAP model of your own)"
    )

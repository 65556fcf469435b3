"""The page of a search's hits: pictures, times and scores."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from mediaml.report.page import write_page
from mediaml.retrieval.search import Hit, SearchResult


def write_hits(found: SearchResult, out: Path) -> Path:
    """Writes the page and gives its path. Raises InvalidValue where it cannot be written."""
    context = {
        "title": f"Search: {found.query}",
        "query": found.query,
        "model": found.model,
        "candidates": found.candidates,
        "method": found.method,
        "notes": found.notes,
        "hits": [_card(hit) for hit in found.hits],
    }
    return write_page(out, "hits.html.j2", context, styles=["style.css", "hits.css"], scripts=[], option="--html")


def _card(hit: Hit) -> dict[str, Any]:
    picture = None
    if hit.jpeg is not None and hit.jpeg.startswith(b"\xff\xd8\xff"):
        picture = "data:image/jpeg;base64," + base64.b64encode(hit.jpeg).decode("ascii")
    return {
        "rank": hit.rank,
        "score": f"{hit.score:.3f}",
        "name": Path(hit.path).name,
        "path": hit.path,
        "start": hit.start_seconds,
        "end": hit.end_seconds,
        "scope": hit.scope,
        "picture": picture,
    }

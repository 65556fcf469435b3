"""The proof report: what content is worth for cold titles, as one HTML file without external parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mediaml.rec.proof import CHANCE, ID_ONLY, Cell, Proof
from mediaml.rec.statistics import Estimate
from mediaml.report import charts
from mediaml.report.page import write_page

LABELS: Mapping[str, str] = {
    "bridge_balanced": "bridge, balanced",
    "bridge_protective": "bridge, protective",
    "popularity": "popularity",
    "item_knn": "ItemKNN",
    "ease": "EASE (ID-only)",
    "ials": "iALS (implicit)",
    "ease_plus_content": "EASE + content",
    "content_profile": "content profile",
    "content_knn": "content kNN, 50 neighbours",
    "content_ridge": "content ridge",
    "random": "random",
}
VIEWS: Mapping[str, str] = {
    "cold/cold": "cold titles among cold",
    "warm/warm": "warm titles among warm",
    "whole/cold": "cold titles among all",
    "whole/warm": "warm titles among all",
    "whole/whole": "either among all",
}
_BARS = ("cold/cold", "whole/cold", "whole/warm", "warm/warm")


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table as it is printed: every cell is text."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_proof(proof: Proof, out: str | Path, title: str = "What content is worth for cold titles") -> Path:
    """Writes the HTML report and returns its path. Raises InvalidValue where `out` cannot be written."""
    context = _context(proof, title)
    return write_page(
        Path(out), "proof.html.j2", context, styles=("style.css", "proof.css"), scripts=(), option="--html"
    )


def proof_tables(proof: Proof) -> list[TextTable]:
    """The figures as text tables: for HTML, Markdown and the terminal."""
    return [
        _measure_table(proof, "recall", f"Recall@{proof.protocol['k']}, 95 % interval over users"),
        _measure_table(proof, "ndcg", f"NDCG@{proof.protocol['k']}, 95 % interval over users"),
        _breadth_table(proof),
        _difference_table(proof),
        _frontier_table(proof),
        _chosen_table(proof),
    ]


def _measure_table(proof: Proof, measure: str, title: str) -> TextTable:
    rows = [
        (LABELS.get(model, model), *(_with_interval(getattr(cells[view], measure)) for view in VIEWS))
        for model, cells in proof.cells.items()
    ]
    return TextTable(title, ("model", *VIEWS.values()), tuple(rows))


def _breadth_table(proof: Proof) -> TextTable:
    rows = []
    for model, cells in proof.cells.items():
        cold, whole = cells["cold/cold"], cells["whole/whole"]
        rows.append(
            (
                LABELS.get(model, model),
                f"{cold.coverage:.3f}",
                f"{whole.coverage:.3f}",
                f"{whole.novelty_bits:.2f}",
            )
        )
    head = ("model", "coverage of cold titles", "coverage of all titles", "novelty in the whole catalogue, bits")
    return TextTable("Coverage and novelty of the lists", head, tuple(rows))


def _difference_table(proof: Proof) -> TextTable:
    rows = []
    for name, found in proof.differences.items():
        relative = "relative" in name
        shown = [f"{100 * v:+.2f} %" if relative else f"{v:+.4f}" for v in (found.mean, found.low, found.high)]
        rows.append((name, shown[0], f"{shown[1]} to {shown[2]}"))
    head = ("comparison (candidates/counted)", "difference", "95 % paired interval")
    return TextTable("Paired differences, recall", head, tuple(rows))


def _frontier_table(proof: Proof) -> TextTable:
    rows = [
        (f"{p['scale']:g}", f"{p['cold_recall']:.4f}", f"{p['warm_recall']:.4f}", f"{100 * p['warm_change']:+.1f} %")
        for p in proof.frontier
    ]
    head = ("scale of cold scores", "cold among all", "warm among all", "warm, change")
    return TextTable("What places for cold titles cost warm ones (test splits, recall)", head, tuple(rows))


def _chosen_table(proof: Proof) -> TextTable:
    names = ("regularisation", "smoothing", "width", "penalty", "trunk_share")
    rows = []
    for number, chosen in enumerate(proof.chosen, 1):
        scales = [f"{chosen[p]['scale']:g}" for p in ("balanced", "protective")]
        rows.append((str(number), *(f"{chosen[n]:g}" for n in names), *scales, f"{chosen['cold_recall']:.4f}"))
    head = (
        "split", "EASE", "smoothing", "kernel width", "penalty", "trunk's share", "scale, balanced", "scale, protective",
        "cold recall in simulation",
    )  # fmt: skip
    return TextTable("Settings, chosen on simulated cold starts inside each split's training data", head, tuple(rows))


def _with_interval(found: Estimate) -> str:
    return f"{found.mean:.4f} ({found.low:.4f}-{found.high:.4f})"


def _context(proof: Proof, title: str) -> dict[str, Any]:
    return {
        "title": title,
        "proof": proof,
        "tiles": _tiles(proof),
        "panels": [_panel(proof, view) for view in _BARS],
        "permutation": _permutation(proof),
        "tables": proof_tables(proof),
    }


def _tiles(proof: Proof) -> list[tuple[str, str]]:
    bridge = proof.cells["bridge_balanced"]
    tiles = [
        ("cold titles among cold", f"{bridge['cold/cold'].recall.mean:.3f}"),
        ("without content", f"{proof.cells[ID_ONLY]['cold/cold'].recall.mean:.3f}"),
        ("cold titles among all", f"{bridge['whole/cold'].recall.mean:.3f}"),
        ("warm titles among warm, to ID-only", _percent(proof.differences["warm/warm: bridge relative to ID-only"])),
    ]
    if proof.permutation is not None:
        tiles.append(("permutation p", f"{proof.permutation['p']:.4f}"))
    return tiles


def _percent(found: Estimate) -> str:
    return f"{100 * found.mean:+.1f} %"


def _panel(proof: Proof, view: str) -> dict[str, Any]:
    """One view as bars with their intervals, best first; the random ranking last."""
    cells: list[tuple[str, Cell]] = [(m, c[view]) for m, c in proof.cells.items() if m != CHANCE]
    cells.sort(key=lambda pair: -pair[1].recall.mean)
    cells.append((CHANCE, proof.cells[CHANCE][view]))
    top = max(c.recall.high for _, c in cells) or 1.0
    bars = [(LABELS.get(m, m), interval_bar(c.recall, top), f"{c.recall.mean:.3f}") for m, c in cells]
    return {"title": VIEWS[view], "bars": bars}


def interval_bar(found: Estimate, top: float) -> Markup:
    """A horizontal bar of the mean with a stroke for its interval; `top` fills the box."""
    mean, low, high = (round(v / top * charts.WIDTH) for v in (found.mean, found.low, found.high))
    return Markup(
        f'<svg viewBox="0 0 {charts.WIDTH} {charts.HEIGHT}" preserveAspectRatio="none" class="share">'
        f'<rect width="{max(1, mean)}" height="{charts.HEIGHT}"/>'
        f'<rect class="interval" x="{low}" y="38" width="{max(2, high - low)}" height="24"/></svg>'
    )


def _permutation(proof: Proof) -> dict[str, Any] | None:
    if proof.permutation is None:
        return None
    null: Sequence[float] = proof.permutation["null"]
    chart, low, high = charts.histogram([*null, proof.permutation["observed"]], bins=48)
    return {**proof.permutation, "chart": chart, "low": low, "high": high, "count": len(null)}

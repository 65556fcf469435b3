"""The page of `mediaml upscale --evaluate`: scores, and a wipe between the model's picture and each of the others."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import cv2
import numpy as np

from mediaml.decode.colour import luma_matrix
from mediaml.engine.upscale.evaluate import UpscaleScores
from mediaml.errors import OutputUnwritable
from mediaml.frames import Colour, Planes
from mediaml.ops.colour import yuv_to_rgb

_LARGEST = (1280, 960)  # (width, height) of the pictures, cut out of the middle, in their own pixels
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 1320px; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums } td, th { padding: .2rem 1rem; text-align: right }
td:first-child, th:first-child { text-align: left } tr.best td { font-weight: 600 }
.wipe { position: relative; display: inline-block; margin: .5rem 0; --at: 50% } .wipe img { display: block; max-width: 100% }
.wipe img + img { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0) }
.wipe i { position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; background: #fff; mix-blend-mode: difference }
input[type=range] { width: 100%; max-width: 1280px } figcaption { color: #555 } figure { margin: 1.5rem 0 }
"""
_SCRIPT = """
for (const figure of document.querySelectorAll("figure")) {
  const wipe = figure.querySelector(".wipe"), range = figure.querySelector("input");
  range.addEventListener("input", () => wipe.style.setProperty("--at", range.value + "%"));
}
"""


def write_upscale_report(scores: UpscaleScores, out: Path) -> Path:
    """Writes one HTML file without outside references. Raises OutputUnwritable."""
    model = list(scores.scores)[-1]
    pictures = {name: _picture(planes, scores.colour) for name, planes in scores.shown.items()}
    figures = [_figure(model, name, pictures) for name in pictures if name != model]
    title = f"{escape(scores.source.name)}, x{scores.scale}"
    page = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>"
        f"<p>{scores.frames} frames, shrunk by antialiased bicubic and enlarged again; luma against the source.</p>"
        f"{_table(scores, model)}{''.join(figures)}<script>{_SCRIPT}</script></html>"
    )
    try:
        out.write_text(page, "utf-8")
    except OSError as error:
        raise OutputUnwritable(f"{out} cannot be written: {error.strerror or error}") from error
    return out


def _table(scores: UpscaleScores, model: str) -> str:
    head = "".join(f"<th>{escape(m)}" for m in scores.metrics)
    rows = []
    for name, values in scores.scores.items():
        cells = "".join(f"<td>{values[m]:.3f}" for m in scores.metrics)
        rows.append(f"<tr{' class=best' if name == model else ''}><td>{escape(name)}{cells}")
    return f"<table><tr><th>method{head}{''.join(rows)}</table>"


def _figure(model: str, other: str, pictures: dict[str, str]) -> str:
    return (
        f"<figure><figcaption>left of the line: {escape(model)}; right: {escape(other)}</figcaption>"
        f'<div class=wipe><img alt="{escape(other)}" src="{pictures[other]}">'
        f'<img alt="{escape(model)}" src="{pictures[model]}"><i></i></div>'
        f'<div><input type=range min=0 max=100 value=50 aria-label="position of the line"></div></figure>'
    )


def _picture(planes: Planes, colour: Colour) -> str:
    """A lossless data URI of the middle of the picture."""
    known = Colour(luma_matrix(colour.matrix), colour.range, colour.transfer, colour.primaries)
    rgb = (yuv_to_rgb(planes, known)[0] * 255).round().byte().permute(1, 2, 0).numpy()
    top, left = (max(0, (s - m) // 2) for s, m in zip(rgb.shape[:2], _LARGEST[::-1], strict=True))
    cut = np.ascontiguousarray(rgb[top : top + _LARGEST[1], left : left + _LARGEST[0], ::-1])
    coded = cv2.imencode(".png", cut)[1].tobytes()
    return f"data:image/png;base64,{base64.b64encode(coded).decode('ascii')}"

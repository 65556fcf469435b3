"""Numbers, times and sizes as people read them."""

from __future__ import annotations

import math
import re
from datetime import datetime

from markupsafe import Markup

_INVISIBLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufdd0-\ufdef\ufeff\ufffe\uffff]"
)


def safe(value: object) -> object:
    """What a template prints: control and direction characters made visible, None as a dash. Escaping comes after it."""
    if value is None:
        return "–"
    if isinstance(value, Markup) or not isinstance(value, str):
        return value
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape", "backslashreplace").decode("ascii"), value)


def timecode(seconds: float | None) -> str:
    """1:02:03.45; hours only where there are any."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    sign, hundredths = "-" if seconds < 0 else "", round(abs(seconds) * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    tail = f"{rest // 100:02d}.{rest % 100:02d}"
    return f"{sign}{hours}:{minutes:02d}:{tail}" if hours else f"{sign}{minutes}:{tail}"


def duration(seconds: float | None) -> str:
    """5.3 s, 2 min 05 s, 3 h 20 min."""
    if seconds is None or not math.isfinite(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def scaled(value: float | None, unit: str) -> str:
    """1.2 MB, 850 kbit/s: decimal prefixes."""
    if value is None:
        return "–"
    amount = float(value)
    for prefix in ("", "k", "M", "G", "T"):
        if abs(amount) < 999.5 or prefix == "T":
            break
        amount /= 1000
    digits = 0 if prefix == "" or abs(amount) >= 100 else 1
    return f"{amount:.{digits}f} {prefix}{unit}"


def number(value: float | None) -> str:
    """Four significant digits, without an exponent between 0.0001 and a million."""
    if value is None or not math.isfinite(value):
        return "–"
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 1e-4:
        return f"{value:.2e}"
    text = f"{value:.{max(0, 3 - math.floor(math.log10(abs(value))))}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def brief(value: float | None) -> str:
    """Three significant digits: for labels and columns."""
    if value is None or not math.isfinite(value):
        return "–"
    if abs(value) >= 100 or value == 0:
        return number(round(value))
    if abs(value) < 5e-5:
        return f"{value:.1e}"
    return f"{value:.{min(4, max(0, 2 - math.floor(math.log10(abs(value)))))}f}"


def score(value: float | None) -> str:
    """Four decimals, which is what implementations of a metric are compared by; four significant digits below 0.001."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.4f}" if value == 0 or abs(value) >= 0.001 else f"{value:.3e}"


def moment(value: datetime | None) -> str:
    """2026-01-31 18:04 UTC."""
    return value.strftime("%Y-%m-%d %H:%M UTC") if value else "–"


def unit(name: str) -> str:
    """A unit as it is printed behind a number; ratios and codes have none."""
    return "" if name in ("1", "index", "class", "code", "as the series says") else name


def first_sentence(text: str, limit: int = 90) -> str:
    """The head of a description."""
    head = text.split(". ")[0].split("; ")[0]
    return head if len(head) <= limit else head[: limit - 1].rstrip() + "…"

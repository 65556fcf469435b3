"""Up to which luma a step of one, two, ... 10-bit codes is visible: the thresholds of CAMBI."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

Eotf = Literal["bt1886", "pq"]

FOOT, HEAD, TOP = 64, 940, 1023  # 10-bit limited range; largest code
_WHITE, _BLACK, _GAMMA = 300.0, 0.01, 2.4  # cd/m2 of BT.1886's display


def luminance(code: int, eotf: Eotf) -> float:
    """10-bit limited-range code -> cd/m2."""
    return _EOTFS[eotf]((min(max(code, FOOT), HEAD) - FOOT) / (HEAD - FOOT))


@cache
def highest_visible(step: int, threshold: float, eotf: Eotf) -> int:
    """The highest code from which `step` codes more are brighter by more than `threshold` times; 0 for none, 1023 for all."""

    def visible(code: int) -> bool:
        dark = luminance(code, eotf)
        return luminance(code + step, eotf) - dark > threshold * dark

    if not visible(FOOT):
        return 0
    last = HEAD - step - 1
    return next((code for code in range(FOOT, last + 1) if not visible(code + 1)), TOP)


@cache
def darkest_counted(threshold: float, eotf: Eotf) -> int:
    """The lowest code of at least `threshold` cd/m2; 0 where black already is."""
    code = next(c for c in range(FOOT, HEAD + 1) if c == HEAD or luminance(c, eotf) >= threshold)
    return 0 if code == FOOT else code


def _bt1886(v: float) -> float:
    white, black = _WHITE ** (1 / _GAMMA), _BLACK ** (1 / _GAMMA)
    return (white - black) ** _GAMMA * max(v + black / (white - black), 0) ** _GAMMA


def _pq(v: float) -> float:
    root = v ** (32 / 2523)
    return 10000 * (max(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)) ** (8192 / 1305)


_EOTFS: dict[str, Callable[[float], float]] = {"bt1886": _bt1886, "pq": _pq}
EOTFS = tuple(_EOTFS)

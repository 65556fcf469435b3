"""How a pull tells what it is doing, without knowing who listens."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Protocol


class UnpinnedWeightWarning(UserWarning):
    """A weight without a checksum in the manifest was fetched; its checksum was recorded for the next time."""


class Progress(Protocol):
    """Hears of every transfer. `label` tells transfers apart; bytes are absolute."""

    def begin(self, label: str, total_bytes: int | None) -> None: ...

    def advance(self, label: str, done_bytes: int) -> None: ...

    def end(self, label: str) -> None: ...

    def note(self, message: str) -> None: ...


class Quiet:
    """Shows nothing; what must be known becomes a warning."""

    def begin(self, label: str, total_bytes: int | None) -> None:
        pass

    def advance(self, label: str, done_bytes: int) -> None:
        pass

    def end(self, label: str) -> None:
        pass

    def note(self, message: str) -> None:
        warnings.warn(message, UnpinnedWeightWarning, stacklevel=4)


def bytes_below(folder: Path) -> int:
    """The bytes of all files in `folder` and below; what vanishes meanwhile counts nothing."""
    total = 0
    for parent, _, files in os.walk(folder):  # passes over folders that vanish, which rglob does not
        for name in files:
            with suppress(OSError):
                total += Path(parent, name).stat().st_size
    return total

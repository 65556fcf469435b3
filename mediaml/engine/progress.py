"""Progress of a run: files, frames a second, time left, and what each worker holds."""

from __future__ import annotations

import time
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from mediaml.engine.work import FileResult, FileTask
from mediaml.errors import printable


class RunProgress(Protocol):
    """What a run reports; every method may be a no-op."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def begin(self, files: int, size_bytes: int) -> None: ...
    def started(self, slot: int, task: FileTask) -> None: ...
    def advanced(self, slot: int, frames: int, seconds: float) -> None: ...
    def finished(self, slot: int) -> None: ...
    def committed(self, result: FileResult, size_bytes: int) -> None: ...
    def note(self, text: str) -> None: ...


class SilentProgress:
    """Says nothing: the Python API's default."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        return None

    def begin(self, files: int, size_bytes: int) -> None: ...
    def started(self, slot: int, task: FileTask) -> None: ...
    def advanced(self, slot: int, frames: int, seconds: float) -> None: ...
    def finished(self, slot: int) -> None: ...
    def committed(self, result: FileResult, size_bytes: int) -> None: ...
    def note(self, text: str) -> None: ...


class RichProgress:
    """A bar over all files (weighted by bytes for the time left) and a line for each worker."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("[progress.description]{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=console,
            refresh_per_second=4,
        )
        self._lines: dict[int, TaskID] = {}
        self._frames_in_hand: dict[int, int] = {}
        self._frames = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._progress.stop()

    def begin(self, files: int, size_bytes: int) -> None:
        self._began = time.monotonic()
        self._bytes, self._bytes_done = size_bytes, 0
        self._total = self._progress.add_task("files", total=files, detail="")

    def started(self, slot: int, task: FileTask) -> None:
        name = printable(task.path.name)
        text = f"[dim]{escape(name if len(name) <= 40 else name[:37] + '...')}"
        line = self._lines.get(slot)
        if line is None:
            self._lines[slot] = self._progress.add_task(text, total=None, detail="")
        else:
            self._progress.reset(line, description=text, total=None, detail="", visible=True)
        self._frames_in_hand[slot] = 0

    def advanced(self, slot: int, frames: int, seconds: float) -> None:
        self._frames_in_hand[slot] = frames
        self._progress.update(self._lines[slot], detail=f"[dim]at {seconds:.1f} s, {frames} frames")
        self._show_rate()

    def finished(self, slot: int) -> None:
        self._frames_in_hand[slot] = 0
        if slot in self._lines:
            self._progress.update(self._lines[slot], visible=False)

    def committed(self, result: FileResult, size_bytes: int) -> None:
        self._frames += result.frames
        self._bytes_done += size_bytes
        self._progress.advance(self._total)
        for error in result.errors:
            self._progress.console.print(f"[red]failed[/] {escape(printable(error.path))}: {escape(error.message)}")
        self._show_rate()

    def note(self, text: str) -> None:
        self._progress.console.print(f"[dim]{escape(text)}")

    def _show_rate(self) -> None:
        spent = time.monotonic() - self._began
        frames = self._frames + sum(self._frames_in_hand.values())
        detail = f"{frames / spent:,.0f} frames/s" if spent > 0.5 else ""
        share = self._bytes_done / self._bytes if self._bytes else 0.0
        if 0.02 < share < 1:
            left = spent / share - spent
            detail += f", {left // 60:.0f} min {left % 60:.0f} s left" if left >= 60 else f", {left:.0f} s left"
        self._progress.update(self._total, detail=detail)

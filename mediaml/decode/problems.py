"""What is wrong inside a file that still decodes: counted, placed in time, never fatal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

KEPT = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in one stream.

    seconds  on the file's timeline; None where the fault has no time
    kind     snake_case: "audio_gap", "audio_overlap", "audio_format_change", "audio_not_finite", "decode_error", ...
    """

    stream_index: int
    seconds: float | None
    kind: str
    message: str


@dataclass(slots=True)
class ProblemLog:
    """The first `KEPT` problems, and how many there were in all."""

    kept: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problem: Problem) -> None:
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

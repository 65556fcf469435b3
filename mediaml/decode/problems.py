"""What is wrong inside a file that still decodes: counted, placed in time, never fatal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

KEPT = 100
_LASTING = ("corrupt_frame", "decode_error")  # that concern one picture after another
_JOIN_SECONDS = 0.25
_LOOKED_AT = 8  # of the last kept problems: faults come in coding order, and two kinds in turn


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault in one stream.

    seconds  on the file's timeline; None where the fault has no time
    kind     snake_case: "audio_gap", "audio_overlap", "audio_format_change", "audio_not_finite", "decode_error", ...
    end_seconds  where the last picture that has it ends; None where it has no length
    times    how often it was met from `seconds` to `end_seconds`
    """

    stream_index: int
    seconds: float | None
    kind: str
    message: str
    end_seconds: float | None = None
    times: int = 1

    def joined(self, other: Problem) -> Problem | None:
        """Both as one, where one picture after another has the same fault; None where they are apart."""
        same = (self.stream_index, self.kind) == (other.stream_index, other.kind)
        if not same or self.kind not in _LASTING or self.seconds is None or other.seconds is None:
            return None
        ends = [p.end_seconds if p.end_seconds is not None else p.seconds for p in (self, other)]
        if max(self.seconds, other.seconds) - min(ends) > _JOIN_SECONDS:  # type: ignore[type-var]
            return None
        start, end = min(self.seconds, other.seconds), max(ends)  # type: ignore[type-var]
        return replace(self, seconds=start, end_seconds=end, times=self.times + other.times)


@dataclass(slots=True)
class ProblemLog:
    """The first `KEPT` problems, those of successive pictures as one, and how many there were in all."""

    kept: list[Problem] = field(default_factory=list)
    count: int = 0

    def add(self, problem: Problem) -> None:
        self.count += 1
        for i in reversed(range(max(0, len(self.kept) - _LOOKED_AT), len(self.kept))):
            both = self.kept[i].joined(problem)
            if both is not None:
                self.kept[i] = both
                return
        if len(self.kept) < KEPT:
            self.kept.append(problem)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self.kept)

    def __len__(self) -> int:
        return len(self.kept)

"""Stretches with speech, cut from a stream by its voice probabilities: what a recogniser is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

_ON, _OFF = 0.5, 0.35


@dataclass(frozen=True, slots=True)
class VoiceChunk:
    """Samples from `start_sample` of the run on; `voiced` are the spans of speech in it, in samples of the run."""

    start_sample: int
    samples: Tensor
    voiced: tuple[tuple[int, int], ...]


class VoiceChunks:
    """Cuts runs of speech out of a stream, pauses of up to `pause_seconds` included, none longer than `longest_seconds`.

    step      samples a probability stands for
    padding   of either side of a span of speech, so that first and last sounds are whole
    Spans of speech below `least_seconds` are dropped: a cough, a door.
    """

    def __init__(
        self,
        rate: int,
        step: int,
        *,
        longest_seconds: float = 28.0,
        pause_seconds: float = 1.5,
        end_seconds: float = 0.3,
        least_seconds: float = 0.25,
        padding_seconds: float = 0.2,
    ) -> None:
        self._step = step
        self._longest = round(longest_seconds * rate)
        self._pause = round(pause_seconds * rate)
        self._end_steps = max(1, round(end_seconds * rate / step))
        self._least = round(least_seconds * rate)
        self._padding = round(padding_seconds * rate)
        self._samples = torch.zeros(0)
        self._origin = 0  # sample number of `_samples[0]`
        self._at = 0  # sample number that the next probability begins at
        self._open: int | None = None  # start of the span of speech that is on
        self._quiet = 0  # steps below the lower threshold since it was last heard
        self._spans: list[tuple[int, int]] = []  # finished, not yet given

    def push(self, samples: Tensor, voice: Tensor) -> Iterator[VoiceChunk]:
        """(T,) samples and the (N,) probabilities that have become known; the chunks that are complete."""
        self._samples = torch.cat([self._samples, samples])
        for value in voice.tolist():
            self._hear(value)
            self._at += self._step
            yield from self._complete()
        self._forget()

    def flush(self) -> Iterator[VoiceChunk]:
        """What the end of the stream completes."""
        if self._open is not None:
            self._close(self._at)
        if self._spans:
            yield self._give(len(self._spans))

    def _hear(self, value: float) -> None:
        if self._open is None:
            if value >= _ON:
                self._open, self._quiet = self._at, 0
        elif value >= _OFF:
            self._quiet = 0
        else:
            self._quiet += 1
            if self._quiet >= self._end_steps:
                self._close(self._at - (self._quiet - 1) * self._step)

    def _close(self, stop: int) -> None:
        assert self._open is not None
        if stop - self._open >= self._least:
            self._spans.append((self._open, stop))
        self._open = None

    def _complete(self) -> Iterator[VoiceChunk]:
        """Chunks that a long pause, or their length, ends."""
        now = self._at
        first = self._spans[0][0] if self._spans else self._open
        if first is None:
            return
        if self._open is None and now - self._spans[-1][1] > self._pause:
            yield self._give(len(self._spans))
        elif now - first >= self._longest - 2 * self._padding:
            if not self._spans:  # no pause at all: cut where we are
                self._close(now)
                self._open = now
            yield self._give(len(self._spans))

    def _give(self, count: int) -> VoiceChunk:
        spans, self._spans = self._spans[:count], self._spans[count:]
        start = max(spans[0][0] - self._padding, self._origin)
        stop = spans[-1][1] + self._padding
        samples = self._samples[start - self._origin : stop - self._origin].clone()
        return VoiceChunk(start, samples, tuple(spans))

    def _forget(self) -> None:
        """Samples before anything that may still be given."""
        first = self._spans[0][0] if self._spans else self._open if self._open is not None else self._at
        drop = max(0, first - self._padding - self._origin)
        self._samples, self._origin = self._samples[drop:].clone(), self._origin + drop

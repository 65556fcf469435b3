"""Analyzers for tests of the engine, loaded by MEDIAML_PLUGINS=tests.plugins; no weights, no time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from mediaml.analyzers.base import AudioAnalyzer, FrameAnalyzer, Rows
from mediaml.frames import AudioBlock, FrameBatch
from mediaml.media import MediaInfo
from mediaml.spec import AudioView, Column, Need, Spec, Table, View

SMALL = Need(View.rgb(16, 16))


class TestMean(FrameAnalyzer):
    __test__ = False
    spec = Spec(
        name="test_mean",
        version=1,
        summary="mean of all code values",
        outputs=(
            Column("test_mean", "float32", "code value", "mean code value", minimum=0, maximum=255),
            Column("test_step", "float32", "code value", "difference from the frame before", nullable=True),
            Column("test_frames", "int64", "frames", "frames seen", Table.FILES, minimum=0),
        ),
        need=SMALL,
        ordered=True,
        groups=("test",),
        default=False,
    )

    def start(self, media: MediaInfo) -> None:
        self.last = torch.full((1,), torch.nan)
        self.seen = 0

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        mean = batch.view(SMALL.view).float().mean(dim=(1, 2, 3))  # type: ignore[arg-type]
        step = torch.diff(mean, prepend=self.last)
        self.last, self.seen = mean[-1:], self.seen + len(batch)
        return {"test_mean": mean, "test_step": step}

    def finish(self) -> Rows:
        return {Table.FILES: {"test_frames": [self.seen]}}


class TestVector(FrameAnalyzer):
    __test__ = False
    spec = Spec(
        name="test_vector",
        version=1,
        summary="mean colour as a vector",
        outputs=(Column("vector", "float32", "1", "mean R, G, B in [0, 1]", Table.EMBEDDINGS, length=3),),
        need=Need(View.rgb(16, 16), fps=5.0),
        groups=("test",),
        default=False,
    )

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        return {"vector": batch.view(View.rgb(16, 16)).float().mean(dim=(2, 3)) / 255}


class TestTrouble(FrameAnalyzer):
    """Fails, kills its process or sleeps, as the file's name says."""

    __test__ = False
    spec = Spec(
        name="test_trouble",
        version=1,
        summary="fails, dies or sleeps on demand",
        outputs=(Column("test_fine", "float32", "1", "always one"),),
        need=SMALL,
        groups=("test",),
        default=False,
    )

    def start(self, media: MediaInfo) -> None:
        self.path = Path(media.path)
        self.name = self.path.name

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        if "fails" in self.name:
            raise ValueError("asked to fail")
        if "breaches" in self.name:
            return {"test_wrong": torch.ones(len(batch))}
        if "gives_nan" in self.name:
            return {"test_fine": torch.full((len(batch),), torch.nan)}
        if "dies_once" in self.name:
            marker = self.path.with_suffix(".died")
            if not marker.exists():
                marker.touch()
                os.kill(os.getpid(), signal.SIGKILL)
        elif "dies" in self.name:
            os.kill(os.getpid(), signal.SIGSEGV)
        if "gorges" in self.name:
            self.hoard = bytearray(b"x") * (1 << 30)
            time.sleep(20)
        if "sleeps" in self.name:
            time.sleep(60)
        return {"test_fine": torch.ones(len(batch))}


class TestPeak(AudioAnalyzer):
    __test__ = False
    spec = Spec(
        name="test_peak",
        version=1,
        summary="largest sample",
        outputs=(Column("test_peak", "float32", "1", "largest magnitude", Table.FILES, minimum=0),),
        need=Need(AudioView(16000, "mono")),
        groups=("test",),
        default=False,
    )

    def start(self, media: MediaInfo) -> None:
        self.peak = 0.0

    def update(self, batch: AudioBlock) -> Mapping[str, Tensor]:
        self.peak = max(self.peak, float(batch.samples.abs().max()))
        return {}

    def finish(self) -> Rows:
        return {Table.FILES: {"test_peak": [self.peak]}}

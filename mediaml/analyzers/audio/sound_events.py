"""What is heard, in AudioSet's 521 classes: YAMNet, with weights that the user supplies."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer, span_rows
from mediaml.analyzers.audio.window_vectors import WindowVectors
from mediaml.errors import WeightsCorrupt
from mediaml.nets.yamnet import CLASSES, DIMENSIONS, HOP, PATCH, SAMPLE_RATE, Yamnet
from mediaml.ops.hysteresis import Hysteresis
from mediaml.spec import AudioView, Column, Need, Spec, Table

_RULE = Hysteresis(on=0.5, off=0.3, join=2, minimum=1)
_TAGS = 10
_LEAST_TAG = 0.05
_BATCH = 16


class SoundEvents(RunAnalyzer):
    """Events over patches of 0.975 s that move by half of it.

    spans       "sound_event": a class whose score reaches 0.5, until it falls below 0.3, gaps of a second closed; the class
                is in sound_class, severity 0
    tags        the file's ten best classes by mean score, vocabulary "audioset"
    embeddings  a vector a patch (scope "window"), and their mean as the file's (scope "file"), both of unit length

    Sound shorter than a patch is filled up with silence. Not in the group "audio": no pull can bring the weights.
    """

    piece_seconds = HOP / SAMPLE_RATE
    spec = Spec(
        name="sound_events",
        version=1,
        summary="events in AudioSet's 521 classes, tags and embeddings (YAMNet, your own weights)",
        outputs=(
            Column("sound_class", "string", "class", "AudioSet display name", Table.SPANS),
            Column(
                "vector", "float32", "1", "unit vector of YAMNet's last layer but one", Table.EMBEDDINGS,
                minimum=-1.0001, maximum=1.0001, length=DIMENSIONS,
            ),
        ),
        need=Need(AudioView(SAMPLE_RATE, "mono")),
        ordered=True,
        weights=("yamnet", "yamnet_classes"),
        groups=("audio_events",),
        default=False,
        cite="Plakal & Ellis 2020, YAMNet; Gemmeke et al. 2017, Audio Set",
        cost_ms=20.0,
        kinds=("sound_event",),
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._net = Yamnet.from_file(weights.resolve("yamnet")).to(device)
        self._labels = class_names()
        self._sha256 = weights.weights_sha256("yamnet")

    def reset(self) -> None:
        self._classes: list[str] = []
        self._windows = WindowVectors()
        self._sum = np.zeros(CLASSES)

    def begin_run(self) -> None:
        self._before: Tensor | None = None
        self._waiting: list[Tensor] = []
        self._likely = array("l"), array("l"), array("d")  # patch, class, score of at least `_RULE.off`
        self._given = 0  # patches

    def add(self, piece: Tensor) -> None:
        samples = piece[0]
        if samples.shape[0] < HOP:
            samples = torch.nn.functional.pad(samples, (0, HOP - samples.shape[0]))
        if self._before is not None:
            self._waiting.append(torch.cat([self._before, samples]))
        self._before = samples
        if len(self._waiting) == _BATCH:
            self._run()

    def end_run(self) -> None:
        if not self._given and not self._waiting and self._before is not None:
            self._waiting.append(torch.nn.functional.pad(self._before, (0, PATCH - HOP)))
        self._run()
        patch, heard, score = (np.array(values) for values in self._likely)
        for column in np.unique(heard[score >= _RULE.on]).tolist():
            scores = np.zeros(self._given)
            scores[patch[heard == column]] = score[heard == column]
            for start, stop in _RULE.spans(scores):
                best = float(scores[start:stop].max())
                begin, end = start * HOP / SAMPLE_RATE, ((stop - 1) * HOP + PATCH) / SAMPLE_RATE
                self.find("sound_event", begin, end, 0.0, f"{self._labels[column][1]}, score {best:.2f}", best)
                self._classes.append(self._labels[column][1])

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        order = sorted(range(len(self.findings)), key=lambda i: (self.findings[i].start, self.findings[i].end))
        self._classes = [self._classes[i] for i in order]
        spans = dict(span_rows([self.findings[i] for i in order]))
        spans["sound_class"] = self._classes
        return {
            Table.SPANS: spans,
            Table.TAGS: self._tags(),
            Table.EMBEDDINGS: self._windows.rows(self.space, self._sha256),
        }

    def _run(self) -> None:
        if not self._waiting:
            return
        with torch.inference_mode():
            scores, vectors = self._net(torch.stack(self._waiting))
        self._waiting = []
        for vector, row in zip(torch.nn.functional.normalize(vectors, dim=1).cpu(), scores.cpu().numpy(), strict=True):
            start = self.origin + self._given * HOP / SAMPLE_RATE
            self._windows.add(start, start + PATCH / SAMPLE_RATE, vector)
            likely = np.flatnonzero(row >= _RULE.off)
            for kept, values in zip(
                self._likely, (np.full_like(likely, self._given), likely, row[likely]), strict=True
            ):
                kept.extend(values.tolist())
            self._sum += row
            self._given += 1

    def _tags(self) -> dict[str, list[Any]]:
        mean = self._sum / max(len(self._windows), 1)
        start, end = self._windows.span
        best = [int(k) for k in np.argsort(-mean, kind="stable")[:_TAGS] if mean[k] >= _LEAST_TAG]
        return {
            "scope": ["file"] * len(best),
            "start_seconds": [start] * len(best),
            "end_seconds": [end] * len(best),
            "vocabulary": ["audioset"] * len(best),
            "tag_id": [self._labels[k][0] for k in best],
            "label": [self._labels[k][1] for k in best],
            "score": [float(mean[k]) for k in best],
            "rank": list(range(1, len(best) + 1)),
        }


def class_names() -> list[tuple[str, str]]:
    """(AudioSet id, name) of each class from the user's yamnet_class_map.csv. Raises WeightsCorrupt."""
    path = weights.resolve("yamnet_classes")
    with path.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    if len(rows) != CLASSES or not {"mid", "display_name"} <= set(rows[0]):
        raise WeightsCorrupt(f"{path.name} must have {CLASSES} rows with the columns index, mid, display_name")
    return [(r["mid"], r["display_name"]) for r in rows]

"""Tags and embeddings of music by musicnn, only where music is likely."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.audio.runs import RunAnalyzer
from mediaml.analyzers.audio.window_vectors import WindowVectors
from mediaml.nets.audio_classes import CLASSES, AudioClasses
from mediaml.nets.musicnn import DIMENSIONS, MTT_TAGS, PATCH, SAMPLE_RATE, STEP, MusicLogMel, Musicnn
from mediaml.ops.mel import KaldiFbank
from mediaml.spec import AudioView, Column, Need, Spec, Table

_MUSIC = 0.5  # mean probability of music (FireRedVAD) from which a window is tagged: musicnn calls speech "techno"
_TAGS, _LEAST = 10, 0.05


class MusicTags(RunAnalyzer):
    """Windows of 3 s, one after the other; those that a classifier does not take for music are left out.

    tags        the file's ten best of MagnaTagATune's 50 by mean probability over its musical windows
    embeddings  the 200 values before the tags: a unit vector a window (scope "window") and their mean (scope "file")
    files       music_windows: how many windows were tagged
    """

    piece_seconds = STEP / SAMPLE_RATE
    spec = Spec(
        name="music_tags",
        version=1,
        summary="50 music tags and embeddings, where music is likely (musicnn)",
        outputs=(
            Column("music_windows", "int32", "windows", "windows of 3 s taken for music", Table.FILES, minimum=0),
            Column(
                "vector", "float32", "1", "unit vector of musicnn's last layer but one", Table.EMBEDDINGS,
                minimum=-1.0001, maximum=1.0001, length=DIMENSIONS,
            ),
        ),
        need=Need(AudioView(SAMPLE_RATE, "mono")),
        ordered=True,
        weights=("musicnn_mtt_index", "musicnn_mtt_data", "firered_audio_classes"),
        groups=("audio", "tags", "embeddings"),
        default=False,
        cite="Pons & Serra 2019, musicnn, arXiv:1909.06654; Law et al. 2009, MagnaTagATune",
        licence="ISC",
        cost_ms=35.0,
    )  # fmt: skip

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._classes = AudioClasses.from_file(weights.resolve("firered_audio_classes"))
        self._net = Musicnn.from_files(weights.resolve("musicnn_mtt_index"), weights.resolve("musicnn_mtt_data"))
        self._fbank, self._mel = KaldiFbank(), MusicLogMel()
        self._sha256 = "+".join(weights.weights_sha256(w) for w in ("musicnn_mtt_index", "musicnn_mtt_data"))

    def reset(self) -> None:
        self._windows = WindowVectors()
        self._tag_sum = np.zeros(len(MTT_TAGS))

    def begin_run(self) -> None:
        self._held: Tensor | None = None
        self._at = 0  # sample number of the piece that is held

    def add(self, piece: Tensor) -> None:
        samples = piece[0].cpu()
        if self._held is not None:
            self._judge(torch.cat([self._held, samples[: PATCH - STEP]]))
            self._at += STEP
        self._held = samples

    def end_run(self) -> None:
        if self._held is not None and self._held.shape[0] >= SAMPLE_RATE:
            self._judge(self._held)

    def rows(self) -> Mapping[Table, Mapping[str, list[Any]]]:
        return {
            Table.FILES: {"music_windows": [len(self._windows)]},
            Table.TAGS: self._tags(),
            Table.EMBEDDINGS: self._windows.rows(self.space, self._sha256),
        }

    def _judge(self, samples: Tensor) -> None:
        with torch.inference_mode():
            music = float(self._classes(self._fbank(samples))[:, CLASSES.index("music")].mean())
            if music < _MUSIC:
                return
            patch = torch.nn.functional.pad(samples, (0, max(0, PATCH - samples.shape[0])))[:PATCH]
            tags, vector = self._net(self._mel(patch[None]))
        start = self.origin + self._at / SAMPLE_RATE
        end = start + min(samples.shape[0], STEP) / SAMPLE_RATE
        self._windows.add(start, end, torch.nn.functional.normalize(vector, dim=1)[0])
        self._tag_sum += tags[0].double().numpy()

    def _tags(self) -> dict[str, list[Any]]:
        mean = self._tag_sum / max(len(self._windows), 1)
        start, end = self._windows.span
        best = [int(k) for k in np.argsort(-mean, kind="stable")[:_TAGS] if mean[k] >= _LEAST]
        return {
            "scope": ["file"] * len(best),
            "start_seconds": [start] * len(best),
            "end_seconds": [end] * len(best),
            "vocabulary": ["magnatagatune"] * len(best),
            "tag_id": [MTT_TAGS[k].replace(" ", "_") for k in best],
            "label": [MTT_TAGS[k] for k in best],
            "score": [float(mean[k]) for k in best],
            "rank": list(range(1, len(best) + 1)),
        }

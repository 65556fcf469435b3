"""Integrated loudness against an independent implementation of ITU-R BS.1770-4: torchaudio's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mediaml.analyzers.audio.loudness import Loudness
from mediaml.frames import AudioBlock
from mediaml.spec import Table
from tests.contract.inputs import media_info


def integrated(samples: torch.Tensor, rate: int, layout: str) -> float:
    analyzer = Loudness()
    analyzer.setup(torch.device("cpu"))
    analyzer.start(media_info())
    for start in range(0, samples.shape[1], rate):
        analyzer.update(AudioBlock(samples[:, start : start + rate].contiguous(), rate, start, start / rate, layout))
    return float(analyzer.finish()[Table.FILES]["integrated_lufs"][0])


@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo")])
@pytest.mark.parametrize("rate", [44100, 48000])
def test_noise_bursts_agree_within_a_tenth(channels: int, layout: str, rate: int) -> None:
    functional = pytest.importorskip("torchaudio").functional
    rng = np.random.default_rng(7)
    envelope = np.repeat([0.3, 0.003, 0.1, 0.0, 0.25], rate * 2)  # the quiet runs fall below the relative gate
    samples = torch.from_numpy((rng.standard_normal((channels, envelope.size)) * envelope * 0.3).astype(np.float32))
    expected = float(functional.loudness(samples, rate))
    assert integrated(samples, rate, layout) == pytest.approx(expected, abs=0.1)

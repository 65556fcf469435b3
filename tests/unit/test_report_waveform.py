"""The waveform of a file's card."""

from __future__ import annotations

import numpy as np

from mediaml.report.model import Curve
from mediaml.report.waveform import with_waveform


def curve(name: str, low: list[float], high: list[float]) -> Curve:
    a, b = np.array(low), np.array(high)
    return Curve(name, "1", "", np.arange(float(len(low))), a, (a + b) / 2, b)


def test_least_and_greatest_samples_become_one_curve_in_front() -> None:
    loud = curve("momentary_lufs", [-30, -20], [-29, -19])
    low, high = curve("waveform_low", [-0.5, -0.2], [-0.1, -0.1]), curve("waveform_high", [0.1, 0.2], [0.3, 0.9])
    made = with_waveform([loud, high, low])
    assert [c.name for c in made] == ["waveform", "momentary_lufs"]
    assert made[0].low.tolist() == [-0.5, -0.2] and made[0].high.tolist() == [0.3, 0.9]


def test_one_without_the_other_stays_as_it_is() -> None:
    alone = [curve("waveform_low", [-1], [0])]
    assert with_waveform(alone) == alone

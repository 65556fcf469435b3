"""The outline of the sound as one curve, for cards of files."""

from __future__ import annotations

from collections.abc import Sequence

from mediaml.report.model import Curve

NAME = "waveform"
_LOW, _HIGH = "waveform_low", "waveform_high"


def with_waveform(curves: Sequence[Curve]) -> list[Curve]:
    """The curves, with the least and the greatest sample as one named "waveform" in front; unchanged without both."""
    by_name = {c.name: c for c in curves}
    low, high = by_name.get(_LOW), by_name.get(_HIGH)
    if low is None or high is None or low.times.shape != high.times.shape:
        return list(curves)
    about = "All channels, share of full scale."
    joined = Curve(NAME, "", about, low.times, low.low, (low.low + high.high) / 2, high.high)
    return [joined, *(c for c in curves if c.name not in (_LOW, _HIGH))]

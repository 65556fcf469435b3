"""CAMBI: what it sees, both ways of counting, options, awkward input."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mediaml.errors import InvalidValue, UnknownName
from mediaml.metrics import CambiOptions, cambi, cambi_full_reference
from mediaml.metrics.cambi_counts import Steps, contrasts
from mediaml.metrics.cambi_thresholds import darkest_counted, highest_visible, luminance


def ramp(depth: int, step: int, height: int = 240, width: int = 320) -> Tensor:
    """A dark ramp in steps of so many 8-bit codes, (1, 1, H, W)."""
    line = torch.linspace(30, 60, width).div(step).floor().mul(step).to(torch.int32)
    codes = line.expand(1, 1, height, width) << (depth - 8)
    return codes.to(torch.uint8 if depth == 8 else torch.uint16).contiguous()


@pytest.mark.parametrize("depth", [8, 10, 12])
def test_bands_are_seen_and_noise_and_flat_are_not(depth: int) -> None:
    bands = ramp(depth, 1)
    noise = torch.randint(40, 200, (1, 1, 240, 320), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    noise = (noise << (depth - 8)).to(bands.dtype)
    assert cambi(bands, bit_depth=depth).item() > 3
    assert cambi(noise, bit_depth=depth).item() < 0.01
    assert cambi(torch.full_like(bands, 50), bit_depth=depth).item() == 0


def test_tiles_and_whole_pictures_count_the_same() -> None:
    rng = np.random.default_rng(3)
    image = torch.from_numpy((300 + np.cumsum(rng.integers(-1, 2, (70, 150)), axis=1)).astype(np.int16))
    mask = torch.from_numpy(rng.random((70, 150)) < 0.8)
    steps = Steps((300, 303, 1023, 1023), 0)
    found = contrasts(image, mask, 21, steps).numpy()
    expected = [_by_hand(image.numpy(), mask.numpy(), r, c, 10, steps) for r, c in np.argwhere(mask.numpy())]
    assert np.sort(found[found > 0]) == pytest.approx(np.sort([v for v in expected if v > 0]), rel=1e-5)
    from mediaml.metrics.cambi_counts import _by_codes

    other = _by_codes(torch.where(mask, image, 4095).to(torch.int16), 21, steps).numpy()
    assert np.sort(other[other > 0]) == pytest.approx(np.sort(found[found > 0]), rel=1e-6)


def _by_hand(image: np.ndarray, mask: np.ndarray, row: int, column: int, pad: int, steps: Steps) -> float:
    window = np.s_[max(row - pad, 0) : row + pad + 1, max(column - pad, 0) : column + pad + 1]
    around = image[window][mask[window]]
    code = int(image[row, column])
    own, best = np.sum(around == code), 0.0
    for step, (highest, weight) in enumerate(zip(steps.highest, (1, 2, 3, 4), strict=True), start=1):
        if code <= highest:
            near = max(np.sum(around == code + step), np.sum(around == code - step))
            best = max(best, weight * own * near / (own + near))
    return best


def test_thresholds_follow_the_display() -> None:
    assert luminance(64, "bt1886") == pytest.approx(0.01)
    assert luminance(940, "bt1886") == pytest.approx(300)
    assert luminance(940, "pq") == pytest.approx(10000)
    highest = highest_visible(1, 0.019, "bt1886")
    assert luminance(highest + 1, "bt1886") > 1.019 * luminance(highest, "bt1886")
    assert luminance(highest + 2, "bt1886") <= 1.019 * luminance(highest + 1, "bt1886")
    assert darkest_counted(0.0, "bt1886") == 0 and darkest_counted(1.0, "bt1886") > 64


def test_options_change_what_they_say() -> None:
    bands = ramp(8, 1)
    base = cambi(bands).item()
    assert cambi(bands, options=CambiOptions(max_val=1.5)).item() == 1.5
    assert cambi(bands, options=CambiOptions(vis_lum_threshold=300)).item() == 0
    assert cambi(bands, options=CambiOptions(topk=0.1)).item() > base
    assert cambi(bands, options=CambiOptions(tvi_threshold=0.5)).item() < base
    assert cambi(bands, options=CambiOptions(high_res_speedup=1080)).item() == base  # a smaller picture
    assert cambi(bands, options=CambiOptions(enc_width=640, enc_height=480)).item() == base  # was scaled down
    assert cambi_full_reference(bands, bands).item() == 0
    assert cambi_full_reference(torch.full_like(bands, 50), bands).item() == pytest.approx(base)


def test_refusals_say_what_is_wrong() -> None:
    with pytest.raises(InvalidValue, match="integer codes"):
        cambi(torch.rand(1, 1, 240, 320))
    with pytest.raises(InvalidValue, match="216 pixels"):
        cambi(torch.zeros(1, 1, 1, 1, dtype=torch.uint8))
    with pytest.raises(InvalidValue, match="lower window_size"):
        cambi(torch.zeros(1, 1, 16, 8000, dtype=torch.uint8))
    with pytest.raises(InvalidValue, match="window_size 5"):
        CambiOptions(window_size=5)
    with pytest.raises(UnknownName, match="bt1886"):
        CambiOptions(eotf="bt1866")  # type: ignore[arg-type]

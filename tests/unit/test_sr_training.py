"""The training's parts on tiny data: resuming, shares of the residual, relabelling."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml.nets.mediaml_sr import KNOTS, MediamlSr, StrengthEstimator, lanczos_x2
from pipelines.sr_training import training
from pipelines.sr_training.caution import Leeway, shares, shrink
from pipelines.sr_training.pairs import Pairs, downscaled
from pipelines.sr_training.training import as_estimated, fill_unseen_knots, train


def some_pairs(count: int = 6) -> Pairs:
    """Waves, their halves, and two frames of which the first belongs to the odd pairs."""
    at = np.arange(128)
    high = np.stack([127 + 90 * np.sin((0.6 + 0.1 * k) * at)[:, None] * np.cos(0.5 * at) for k in range(count)])
    high = high.astype(np.uint8)
    low = np.stack([downscaled(h) for h in high])
    frame = np.where(np.arange(count) % 2 == 1, 0, -1)
    return Pairs(low, high, np.full(count, 0.3, np.float32), frame, low[:2].copy(), np.array([0.3, 0], np.float32))


def run(folder: Path, minutes: float) -> tuple[MediamlSr, list[int]]:
    steps: list[int] = []
    net = train(
        some_pairs(), minutes, folder / "state.pt", channels=8, depth=1,
        report=lambda step, *_: steps.append(step),
    )  # fmt: skip
    return net, steps


def test_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    _, first = run(tmp_path, 0.02)
    assert first[0] == 1
    elapsed = torch.load(tmp_path / "state.pt", weights_only=True)["elapsed"]
    assert elapsed == pytest.approx(1.2)
    net, second = run(tmp_path, 0.04)
    assert second[0] == first[-1] + 1
    assert second[-1] > second[0]
    assert net.blocks[0].bias.shape == (8,)


def test_muon_moves_the_kernels_themselves() -> None:
    pairs = some_pairs()
    run = training._Run(channels=8, depth=1, seed=0)
    before = [k.detach().clone() for k in run.kernels]
    run.rates(0.5)
    for _ in range(2):  # the last one begins at zero, so that only it moves in the first step
        run.learn(pairs, np.cumsum(training.sampling(pairs)), decibels=False)
    for kernel, was in zip(run.net.convolutions(), before, strict=True):
        assert not torch.equal(kernel.weight, was)


def test_strengths_are_those_that_a_player_would_estimate() -> None:
    estimator = StrengthEstimator()
    with torch.no_grad():
        estimator.head[2].weight.zero_()
        estimator.head[2].bias.fill_(0.7)
    found = as_estimated(some_pairs(), estimator).strength
    np.testing.assert_allclose(found, [0.3, 0.7] * 3, atol=1e-6)


def test_a_residual_that_harms_is_left_out_and_one_that_helps_is_kept() -> None:
    helps = [Leeway("a", "x264", 20, 0.4, error=20.0, product=3.0, residual=3.0)]
    harms = [Leeway("b", "x264", 36, 0.8, error=20.0, product=-0.5, residual=1.0)]
    assert helps[0].gain(1.0) == pytest.approx(10 * np.log10(20 / 17))
    found = shares(helps + harms)
    assert found[4] == 1.0
    assert found[8] == 0.0
    assert len(found) == KNOTS
    assert found[0] == 1.0  # where no encode lies


def test_a_clip_that_a_part_of_the_residual_helps_gets_that_part() -> None:
    found = shares([Leeway("a", "x264", 30, 0.6, error=20.0, product=1.0, residual=4.0)])
    assert found[6] == pytest.approx(0.25, abs=0.03)


def test_shrinking_scales_the_residual() -> None:
    torch.manual_seed(0)
    net = MediamlSr(channels=8, depth=1)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    x, strength = torch.rand(1, 1, 12, 14), torch.tensor([0.5])
    base = lanczos_x2(x)
    before = net(x, strength) - base
    shrink(net, np.where(np.arange(KNOTS) == 5, 0.5, 0.25))
    torch.testing.assert_close(net(x, strength) - base, before * 0.5, atol=1e-5, rtol=0)


def test_unseen_knots_take_the_nearest_seen() -> None:
    net = MediamlSr(channels=8, depth=1)
    with torch.no_grad():
        net.modulation.copy_(torch.arange(KNOTS).float()[:, None].expand_as(net.modulation))
    fill_unseen_knots(net, [0.0] * 50 + [0.5] * 50)
    assert net.modulation[:, 0].tolist() == [0, 0, 0, 5, 5, 5, 5, 5, 5, 5, 5]

"""A small torch network from content to behaviour: one trunk, heads for collaborative factors, popularity, tags, completion.

In training the behaviour of a title is given beside its content and dropped for half of the titles in every step (DropoutNet,
Volkovs et al., 2017), so that one network serves titles with and without a history.
Seeded; the same on every run of one machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

Floats = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class TrunkSettings:
    width: int = 128
    steps: int = 150
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    dropout: float = 0.3
    id_dropout: float = 0.5  # share of titles whose behaviour is hidden in a step
    task_weight: float = 0.1  # of each head beside the factors
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """What the heads learn, a row a title. NaN in completion: not known."""

    factors: Floats  # (N, d), of about unit mean square
    log_popularity: Floats  # (N,) natural logarithm of 1 + users
    tags: Floats | None = None  # (N, T) 0/1
    completion: Floats | None = None  # (N,) [0, 1]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    factors: Floats  # (N, d)
    log_popularity: Floats  # (N,)
    tags: Floats | None = None  # (N, T) probability
    completion: Floats | None = None  # (N,) [0, 1]


class TrunkNet(nn.Module):
    """(content (N, C), factors (N, d), has_history (N, 1)) -> a row a title for every head."""

    def __init__(self, content: int, factors: int, tags: int, settings: TrunkSettings) -> None:
        super().__init__()
        width = settings.width
        self.trunk = nn.Sequential(
            nn.Linear(content + factors + 1, width),
            nn.GELU(),
            nn.Dropout(settings.dropout),
            nn.Linear(width, width),
            nn.GELU(),
        )
        self.factors = nn.Linear(width, factors)
        self.popularity = nn.Linear(width, 1)
        self.tags = nn.Linear(width, tags) if tags else None
        self.completion = nn.Linear(width, 1)

    def forward(self, content: Tensor, factors: Tensor, history: Tensor) -> dict[str, Tensor]:
        hidden = self.trunk(torch.cat([content, factors * history, history], dim=1))
        given = {
            "factors": self.factors(hidden),
            "popularity": self.popularity(hidden)[:, 0],
            "completion": self.completion(hidden)[:, 0],
        }
        return given if self.tags is None else given | {"tags": self.tags(hidden)}


@dataclass(slots=True)
class Trunk:
    """Fit on warm titles, then asked about titles without behaviour."""

    settings: TrunkSettings = field(default_factory=TrunkSettings)
    _net: TrunkNet | None = None
    _centre: tuple[float, float] = (0.0, 1.0)
    _scale: float = 1.0
    _heads: tuple[bool, bool] = (False, False)

    def fit(self, content: Floats, targets: Targets) -> Trunk:
        """Full-batch AdamW over the warm titles. # content: (N, C), standardised"""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self._fit(content, targets)
        return self

    def _fit(self, content: Floats, targets: Targets) -> None:
        settings, made = self.settings, targets.tags
        spread = float(targets.log_popularity.std()) or 1.0
        self._centre = (float(targets.log_popularity.mean()), spread)
        self._scale = float(np.sqrt(np.square(content).mean())) or 1.0
        self._heads = (made is not None, targets.completion is not None)
        inputs = torch.from_numpy(content / self._scale)
        factors = torch.from_numpy(np.ascontiguousarray(targets.factors))
        net = TrunkNet(content.shape[1], factors.shape[1], 0 if made is None else made.shape[1], settings)
        wanted = self._wanted(targets, factors)
        optimiser = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.steps)
        for _ in range(settings.steps):
            kept = (torch.rand(len(inputs), 1) >= settings.id_dropout).float()
            loss = _loss(net(inputs, factors, kept), wanted, settings.task_weight)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        self._net = net.eval()

    def _wanted(self, targets: Targets, factors: Tensor) -> dict[str, Tensor]:
        mean, spread = self._centre
        wanted = {"factors": factors, "popularity": torch.from_numpy((targets.log_popularity - mean) / spread).float()}
        if targets.tags is not None:
            wanted["tags"] = torch.from_numpy(targets.tags).float()
        if targets.completion is not None:
            wanted["completion"] = torch.from_numpy(targets.completion).float()
        return wanted

    @torch.no_grad()
    def predict(self, content: Floats) -> Predicted:
        """For titles without behaviour. # (N, C)"""
        if self._net is None:
            raise RuntimeError("predict before fit")
        none = torch.zeros(len(content), self._net.factors.out_features)
        given = self._net(torch.from_numpy(content / self._scale), none, torch.zeros(len(content), 1))
        mean, spread = self._centre
        return Predicted(
            factors=given["factors"].numpy(),
            log_popularity=(given["popularity"] * spread + mean).numpy(),
            tags=given["tags"].sigmoid().numpy() if self._heads[0] else None,
            completion=given["completion"].sigmoid().numpy() if self._heads[1] else None,
        )


def _loss(given: dict[str, Tensor], wanted: dict[str, Tensor], task_weight: float) -> Tensor:
    total = functional.mse_loss(given["factors"], wanted["factors"])
    total = total + task_weight * functional.mse_loss(given["popularity"], wanted["popularity"])
    if "tags" in wanted:
        total = total + task_weight * functional.binary_cross_entropy_with_logits(given["tags"], wanted["tags"])
    if "completion" in wanted and (known := ~wanted["completion"].isnan()).any():
        guessed = given["completion"].sigmoid()[known]
        total = total + task_weight * functional.mse_loss(guessed, wanted["completion"][known])
    return total

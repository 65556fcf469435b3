"""What came of scoring one pair."""

from __future__ import annotations

from dataclasses import dataclass, field

from numpy.typing import NDArray

from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.plan import PairPlan
from mediaml.engine.pooling import Pooled
from mediaml.engine.runner import Runner
from mediaml.spec import Column


@dataclass(frozen=True, slots=True)
class WorstFrame:
    """A frame among the worst by the first metric; numbers and times of both files."""

    frame_index: int
    reference_index: int
    pts_seconds: float
    reference_pts_seconds: float
    value: float


@dataclass(slots=True, eq=False)
class ScoreResult:
    """What came of one pair.

    frames          equally long columns: frame_index, pts_seconds (of the distorted file), reference_index,
                    reference_pts_seconds, then one a metric; NaN where a metric has no value
    columns         of the metrics wanted; those of `headline` first
    headline        names of the metrics asked for, without their parts
    pooled          metric -> mean, harmonic mean, percentiles, ...
    shots           metric -> pooled a shot, where shots were given
    runners         the analyzers that ran, with all their rows (for the lake)
    failed          analyzer -> why it gave nothing
    backend         what computed the metrics
    align_seconds   until scoring began: decoding for alignment (of a short pair all decoding), alignment and geometry
    notes           what was assumed, converted, cut off or not compared
    """

    distorted: VideoFile
    reference: VideoFile
    plan: PairPlan
    columns: tuple[Column, ...]
    headline: tuple[str, ...]
    frames: dict[str, NDArray]
    pooled: dict[str, Pooled]
    worst: list[WorstFrame]
    runners: list[Runner]
    failed: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    shots: list[ShotScore] = field(default_factory=list)
    wall_seconds: float = 0.0
    align_seconds: float = 0.0
    backend: str = "mediaml"

    @property
    def frames_scored(self) -> int:
        return len(self.frames["frame_index"])

    @property
    def primary(self) -> str:
        """The metric by which worst moments are chosen."""
        return self.headline[0]

    def __getitem__(self, metric: str) -> Pooled:
        return self.pooled[metric]


@dataclass(frozen=True, slots=True)
class ShotScore:
    """Metrics pooled over one shot of the distorted file, [start, end) in seconds."""

    start_seconds: float
    end_seconds: float
    pooled: dict[str, Pooled]

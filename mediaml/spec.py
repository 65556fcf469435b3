"""What an analyzer needs and what it gives, in plain data (no torch here).

A `Spec` is read by the planner (what to decode), the writer (the schema), the CLI listing, the docs table, the weights
gate and the conformance suite. Nothing else in the code knows an analyzer by name.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from mediaml.errors import InvalidValue

Dtype = Literal["float32", "float64", "int32", "int64", "bool", "string", "binary"]
Space = Literal["planes", "luma", "rgb"]
Fit = Literal["stretch", "cover", "contain"]
Filter = Literal["fast_bilinear", "bilinear", "bicubic", "area"]
Better = Literal["higher", "lower"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")


class Table(StrEnum):
    """The tables that analyzers may fill; their key columns are in `mediaml.tables.schema`."""

    FRAMES = "frames"  # one row a frame that was looked at
    SHOTS = "shots"  # one row a shot
    SPANS = "spans"  # one row a span with a kind: silence, black, a QC finding
    FILES = "files"  # one row a file
    SERIES = "series"  # one row a sample of a time series that is not tied to frames (loudness)
    EMBEDDINGS = "embeddings"  # one row a vector
    THUMBNAILS = "thumbnails"  # one row a small JPEG, for reports
    TAGS = "tags"  # one row a tag of a shot or a file; derived
    TRANSCRIPTS = "transcripts"  # one row a stretch of spoken words
    BOXES = "boxes"  # one row a thing found at a place in a picture: a face, an object, a line of text


@dataclass(frozen=True, slots=True)
class View:
    """The picture an analyzer wants to see, in display orientation for "rgb" (rotation and sample aspect ratio applied).

    space     "planes": native Y, U, V as decoded; "luma": native Y only; "rgb": (N, 3, H, W) uint8, sRGB-like, full range
    width, height   of the delivered picture, in pixels; None for native size ("planes" and "luma" are always native)
    fit       "stretch" to exactly width x height; "cover": fill it and crop the centre; "contain": keep the aspect ratio so
              that the picture fits inside width x height (the delivered size then depends on the file)
    filter    resampling filter; "area" is antialiased; "fast_bilinear" is the cheapest and enough for most models
    """

    space: Space
    width: int | None = None
    height: int | None = None
    fit: Fit = "stretch"
    filter: Filter = "fast_bilinear"

    def __post_init__(self) -> None:
        sized = self.width is not None and self.height is not None
        if self.space != "rgb" and (self.width is not None or self.height is not None):
            raise InvalidValue(f"View space {self.space!r} is native and takes no size")
        if sized and (self.width < 1 or self.height < 1):  # type: ignore[operator]
            raise InvalidValue(f"View size {self.width}x{self.height} must be at least 1x1")
        if (self.width is None) != (self.height is None):
            raise InvalidValue("View takes both width and height, or neither")

    @classmethod
    def planes(cls) -> View:
        """Native planes: `FrameBatch.planes`, Y, U and V at their own sizes and bit depth."""
        return cls("planes")

    @classmethod
    def luma(cls) -> View:
        """Native luma: (N, 1, H, W) uint8 or uint16, values as coded (range in `FrameBatch.colour`)."""
        return cls("luma")

    @classmethod
    def rgb(
        cls, width: int | None = None, height: int | None = None, fit: Fit = "stretch", filter: Filter = "fast_bilinear"
    ) -> View:
        """RGB uint8 (N, 3, H, W); without a size: native display size."""
        return cls("rgb", width, height, fit, filter)

    def __str__(self) -> str:
        if self.space != "rgb":
            return f"native {self.space}"
        size = f"{self.width}x{self.height}" if self.width else "native size"
        return f"rgb {size} {self.fit}"


@dataclass(frozen=True, slots=True)
class AudioView:
    """The sound an analyzer wants: float32 (C, T) in [-1, 1] nominal.

    sample_rate  in Hz; None for the stream's own
    layout       "native" (all channels of the stream) or "mono" (the mean of the channels)
    """

    sample_rate: int | None = None
    layout: Literal["native", "mono"] = "native"

    def __str__(self) -> str:
        rate = f"{self.sample_rate} Hz" if self.sample_rate else "native rate"
        return f"audio at {rate}, {'all channels' if self.layout == 'native' else self.layout}"


@dataclass(frozen=True, slots=True)
class Need:
    """What one or several analyzers ask of the decoder; equal needs are served once.

    fps                frames a second wanted; None for every frame. Sample instants are k / fps from the first frame on.
    tolerance_seconds  how far a delivered frame may lie from its instant; 0 asks for the frame displayed at the instant.
                       The planner uses it to pick key frames or reference frames where that is cheaper.
    bitstream          whether packet sizes, picture types and quantisers come along (`FrameBatch.bitstream`)
    previous           whether the luma of the picture before each comes along (`FrameBatch.previous`): all are then decoded
    """

    view: View | AudioView
    fps: float | None = None
    tolerance_seconds: float = 0.0
    bitstream: bool = False
    previous: bool = False

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise InvalidValue(f"fps {self.fps} must lie in (0, 1000]")
        if self.tolerance_seconds < 0:
            raise InvalidValue(f"tolerance_seconds {self.tolerance_seconds} must not be negative")
        if (self.bitstream or self.previous) and self.is_audio:
            raise InvalidValue("bitstream facts and previous pictures belong to pictures: an audio need takes none")

    @property
    def is_audio(self) -> bool:
        return isinstance(self.view, AudioView)

    def __str__(self) -> str:
        if self.is_audio:
            return str(self.view)
        rate = "every frame" if self.fps is None else f"{self.fps:g} fps"
        within = f" +-{self.tolerance_seconds:g} s" if self.tolerance_seconds else ""
        besides = [" with bitstream facts"] * self.bitstream + [" with the luma before"] * self.previous
        return f"{self.view}, {rate}{within}{''.join(besides)}"


@dataclass(frozen=True, slots=True)
class Column:
    """One output column. `unit`, `range` and `source` travel into the Parquet schema.

    name     snake_case; unique among all analyzers' columns of the same table unless it means the same thing
    unit     a physical unit, "1" for a ratio, "code value", "class", ...; never empty
    minimum, maximum   closed range of valid values; None for unbounded
    length   of a vector column (stored as a fixed-size list); None for a scalar
    nullable whether null ("does not apply to this row") may occur; NaN never may
    better   of a quality: "higher" or "lower" values are the good ones; None where neither is (a size, a motion)
    """

    name: str
    dtype: Dtype
    unit: str
    description: str
    table: Table = Table.FRAMES
    minimum: float | None = None
    maximum: float | None = None
    length: int | None = None
    nullable: bool = False
    better: Better | None = None

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidValue(f"column name {self.name!r} must be snake_case")
        if not self.unit or not self.description:
            raise InvalidValue(f"column {self.name!r} needs a unit and a description")


@dataclass(frozen=True, slots=True)
class Spec:
    """The declaration of an analyzer (or of a derivation, which has no `need`).

    name             registry name, snake_case; the value of `analyzer` in every row
    version          raised by one whenever any value it gives changes
    summary          one line for listings
    outputs          every column it may give
    need             what it wants decoded; None for derivations
    ordered          True: frames must come in display order, none skipped (temporal analyzers); False: in any grouping
    needs_reference  True: `update` gets batches whose `reference` is the aligned reference batch
    weights          names in weights/manifest.toml that `setup` resolves
    groups           names under which `--analyzers` selects it: "quality", "audio", ...
    default          whether `mediaml analyze` runs it unasked
    cite             the paper, standard or reference implementation that defines the values
    licence          of the method's weights or data where it differs from the code's, SPDX id
    cost_ms          rough CPU milliseconds a delivered frame (video) or a second of sound (audio), for the plan's estimate
    """

    name: str
    version: int
    summary: str
    outputs: tuple[Column, ...]
    need: Need | None = None
    ordered: bool = False
    needs_reference: bool = False
    weights: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    default: bool = True
    cite: str = ""
    licence: str = "Apache-2.0"
    cost_ms: float = 1.0
    kinds: tuple[str, ...] = field(default=())  # values of `spans.kind` that it may give
    series: tuple[str, ...] = field(default=())  # values of `series.series` that it may give

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise InvalidValue(f"analyzer name {self.name!r} must be snake_case")
        if self.version < 1:
            raise InvalidValue(f"{self.name}: version {self.version} must be at least 1")
        if not self.outputs:
            raise InvalidValue(f"{self.name}: declares no outputs")
        seen = [(c.table, c.name) for c in self.outputs]
        if len(set(seen)) != len(seen):
            raise InvalidValue(f"{self.name}: declares a column twice")

    @property
    def id(self) -> str:
        """name@version, the value of `analyzer` in every row."""
        return f"{self.name}@{self.version}"

    def columns(self, table: Table) -> tuple[Column, ...]:
        """The outputs that go to `table`."""
        return tuple(c for c in self.outputs if c.table == table)

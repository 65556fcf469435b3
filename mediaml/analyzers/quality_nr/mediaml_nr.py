"""mediaml_nr: predicted VMAF without a reference, by our own network, with an interval that means something."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import FrameAnalyzer, Rows
from mediaml.frames import FrameBatch, Planes
from mediaml.media import MediaInfo
from mediaml.nets.mediaml_nr import MAX_SCALE, Seen, interval, load, look
from mediaml.nets.nr_facts import bits_per_pixel, facts_vector
from mediaml.nets.nr_motion import changes
from mediaml.ops.quantiser import log2_step
from mediaml.spec import Column, Need, Spec, Table, View

SCREEN_LINES = 1080
_POINTS = "VMAF points"


def _column(name: str, description: str, table: Table = Table.FRAMES, *, nullable: bool = False) -> Column:
    return Column(name, "float32", _POINTS, description, table, 0, 100, nullable=nullable, better="higher")


class MediamlNrQuality(FrameAnalyzer):
    """Looks at one picture a second: twelve fragments of 96x96 px at native size, how much it differs from the picture
    before, and what the bitstream says (quantiser, bits, picture types, codec), where it can be read.

    `nr_quality` is the VMAF (v0.6.1) to be expected against what went into the encoder, at the file's own size: what was
    wrong with that already (blur, noise, an earlier encode) does not count, and is for the detectors of artifacts to find.
    `nr_quality_1080` is the same against a reference of 1080 lines with this file scaled up to it (null above 1080 lines,
    where the two mean the same, and below 360). The interval is conformal: it was made to hold the true value in 95 % of
    encodes of sources never trained on, and is wider for codecs never trained on. Trained on 8-bit SDR: other pictures are
    judged by their code values. What it was trained on and where it fails: weights/cards/mediaml_nr.md.
    """

    spec = Spec(
        name="mediaml_nr",
        version=6,
        summary="predicted VMAF without a reference, with its 95 % interval",
        outputs=(
            _column("nr_quality", "predicted VMAF at the file's own size"),
            _column("nr_quality_low", "lower end of the 95 % interval of nr_quality"),
            _column("nr_quality_high", "upper end of the 95 % interval of nr_quality"),
            _column(
                "nr_quality_1080", "predicted VMAF scaled up to 1080 lines; null outside 360 to 1080", nullable=True
            ),
            _column("nr_quality_mean", "mean of nr_quality over the pictures looked at", Table.FILES, nullable=True),
            _column("nr_quality_mean_low", "lower end of its 95 % interval", Table.FILES, nullable=True),
            _column("nr_quality_mean_high", "upper end of its 95 % interval", Table.FILES, nullable=True),
            _column("nr_quality_1080_mean", "mean of nr_quality_1080", Table.FILES, nullable=True),
        ),
        need=Need(View.planes(), fps=1.0, bitstream=True, previous=True),
        weights=("mediaml_nr",),
        groups=("quality", "quality_nr"),
        default=False,
        cite="own network, weights/cards/mediaml_nr.md; fragments: Wu et al. 2022, FAST-VQA, arXiv:2207.02595; "
        "intervals: Lei et al. 2018, distribution-free predictive inference for regression",
        cost_ms=35.0,
    )

    def setup(self, device: torch.device) -> None:
        super().setup(device)
        self._net, self._calibration = load(weights.resolve("mediaml_nr"), device)
        self._forget()

    def start(self, media: MediaInfo) -> None:
        video = media.main_video
        self._codec = "" if video is None else video.codec
        self._stream_bits = bits_per_pixel(media)

    def update(self, batch: FrameBatch) -> Mapping[str, Tensor]:
        planes = batch.planes
        assert planes is not None
        height, width = planes.size
        facts = facts_vector(
            self._codec, height * width, self._stream_bits, batch.bitstream, len(batch), _changed(batch, planes)
        )
        facts = facts.to(batch.device)
        seen = self._look(batch, planes)
        own = self._net(seen, facts, torch.ones(len(batch), device=batch.device), self._codec)
        shown = self._on_screen(seen, facts, height)
        self._kept.append(torch.stack([*own, shown]))  # (3, N)
        low, high = interval(own.quality, own.spread, self._calibration.of(known=self._net.knows(self._codec))[0])
        return {"nr_quality": own.quality, "nr_quality_low": low, "nr_quality_high": high, "nr_quality_1080": shown}

    def _look(self, batch: FrameBatch, planes: Planes) -> Seen:
        """Picture by picture."""
        unknown = torch.full((len(batch),), math.nan)
        steps = unknown if batch.bitstream is None else log2_step(self._codec, batch.bitstream.qp.cpu())
        pictures = zip(_pictures(planes), steps.split(1), strict=True)
        parts = [look(one, batch.colour.range, step) for one, step in pictures]
        return Seen._make(torch.cat(column) for column in zip(*parts, strict=True))

    def _on_screen(self, seen: Seen, facts: Tensor, height: int) -> Tensor:
        """(N,) predicted VMAF scaled up to 1080 lines; NaN where that is not asked or was not trained."""
        scale = SCREEN_LINES / height
        if not 1 <= scale <= MAX_SCALE:
            return facts.new_full((len(facts),), math.nan)
        return self._net(seen, facts, facts.new_full((len(facts),), scale), self._codec).quality

    def finish(self) -> Rows:
        kept = torch.cat(self._kept, dim=1) if self._kept else None
        self._forget()
        if kept is None:
            return {}
        quality, spread, shown = kept
        middle = quality.mean()
        low, high = interval(middle, spread.mean(), self._calibration.of(known=self._net.knows(self._codec))[1])
        values = [middle, low, high, shown[shown.isfinite()].mean()]  # the mean of none is NaN
        names = (c.name for c in self.spec.columns(Table.FILES))
        return {Table.FILES: {n: [_number(v)] for n, v in zip(names, values, strict=True)}}

    def _forget(self) -> None:
        self._kept: list[Tensor] = []


def _pictures(planes: Planes) -> Iterator[Planes]:
    """One by one: what a picture's fragments need in memory does not grow with the batch."""
    for i in range(planes.y.shape[0]):
        y, u, v = (None if p is None else p[i : i + 1] for p in (planes.y, planes.u, planes.v))
        assert y is not None
        yield Planes(y, u, v, planes.bit_depth)


def _changed(batch: FrameBatch, planes: Planes) -> Tensor | None:
    """(N, 2) of `changes`; NaN for the first picture of a file, which has none before it."""
    if batch.previous is None:
        return None
    found = changes(batch.previous.to(batch.device), planes.y, planes.bit_depth).cpu()
    found[batch.frame_index.cpu() == 0] = math.nan
    return found


def _number(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None

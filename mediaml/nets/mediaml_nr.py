"""mediaml_nr: predicts full-reference VMAF from fragments of a picture at native size and facts of its bitstream.

Our own. A fixed convolution (nr_statistics.py) turns each fragment into statistics of its spectrum; their mean and
deviation over the fragments are projected to the components in which training pictures vary most. Those, what the picture
loses where it is spoiled once more (nr_probes.py), the facts (nr_facts.py) and the size at which the picture is shown go to
a kernel regression over the training encodes (nr_kernel.py), which also says how far it expects to be off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mediaml.errors import WeightsCorrupt
from mediaml.frames import Planes
from mediaml.nets.nr_kernel import UNKNOWN, Kernel, codes_of
from mediaml.nets.nr_probes import CONTENT, PLAIN, QUANTISED, probes
from mediaml.nets.nr_statistics import STATISTICS, fragments, statistics

FACTS = 12  # numbers in `nr_facts.facts_vector`
MAX_SCALE = 3.0  # shown at up to this many times its own height in training
CODECS = (
    "h264",
    "hevc",
    "vp9",
    "vvc",
    "vp8",
    "mpeg2video",
    "mpeg4",
    "flv1",
    "theora",
    "mjpeg",
    "av1",
)  # numbers in weights
_KIN = {"mpeg1video": "mpeg2video", "h263": "flv1"}  # as good as the same
COMPONENTS = 160
_LARGEST = 5.0  # deviations of training, beyond which an input counts as so many
# how much inputs count, in the kernel's lengths; chosen by cross-validation over training sources, and over codecs
_COMPONENTS, _LOSSES, _CONTENT, _QUANTISED, _SIZE = 1.2, 2.5, 2.0, 5.0, 20.0
_FACTS = 12.0 * torch.tensor([1, 0.3, 1, 0.5, 0.5, 0.5, 1, 1, 1, 1, 0.5, 0.5])
_AT_QUANTISED = COMPONENTS + PLAIN
_AT_FACTS = _AT_QUANTISED + QUANTISED
_AT_SIZE = _AT_FACTS + FACTS
INPUTS = _AT_SIZE + 1
_OF_STEP, _OF_CHANGE = (0, 1, 8), (10, 11)  # facts that need the quantiser; that need the picture before
_NEEDED = ((0, 2, 6, 10), (0, 2, 6), (2, 6, 10), ())  # facts that must be known for each view


class Seen(NamedTuple):
    """What a picture looks like: statistics (N, K, 524) of its fragments, what it loses to another quantisation (N, 12; NaN
    where its own step is not known) and to what needs no step (N, 28)."""

    statistics: Tensor
    quantised: Tensor
    plain: Tensor


def look(planes: Planes, colour_range: Literal["limited", "full"], step: Tensor) -> Seen:
    """N pictures, and log2 of the step (N,) each was quantised with (NaN: not known)."""
    luma, chroma = fragments(planes, colour_range)
    found = statistics(luma.flatten(0, 1), chroma.flatten(0, 1)).unflatten(0, luma.shape[:2])
    return Seen(found, *probes(luma, step))


class Prediction(NamedTuple):
    """quality (N,) in VMAF's points, 0..100; spread (N,) > 0, the error to be expected, in points, before calibration."""

    quality: Tensor
    spread: Tensor


def _views() -> Tensor:
    """(4, 213): which inputs are used where all is known, the change is not, the quantiser is not, nothing but pixels is."""
    views = torch.ones(len(_NEEDED), INPUTS)
    views[1, [_AT_FACTS + i for i in _OF_CHANGE]] = 0
    views[2, [*range(_AT_QUANTISED, _AT_FACTS), *(_AT_FACTS + i for i in _OF_STEP)]] = 0
    views[3, _AT_QUANTISED:_AT_SIZE] = 0
    return views


class MediamlNr(nn.Module):
    """See `forward`. 0.17 M numbers in the projection; `points` encodes in the kernel."""

    centre: Tensor
    width: Tensor
    middle: Tensor
    basis: Tensor
    probes_centre: Tensor
    probes_width: Tensor

    def __init__(self, points: int = 0) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(STATISTICS))  # of the statistics in training: mean and deviation
        self.register_buffer("width", torch.ones(STATISTICS))
        self.register_buffer("middle", torch.zeros(2 * STATISTICS))  # of the pooled ones, in those units
        self.register_buffer("basis", torch.zeros(2 * STATISTICS, COMPONENTS))
        self.register_buffer("probes_centre", torch.zeros(PLAIN + QUANTISED))
        self.register_buffer("probes_width", torch.ones(PLAIN + QUANTISED))
        self.kernel = Kernel(points, _views())

    def pool(self, statistics: Tensor) -> Tensor:
        """(N, K, 524) of K fragments -> (N, 1048): mean and deviation over the fragments, in deviations of training."""
        scaled = ((statistics - self.centre) / self.width).clamp(-5, 5)
        return torch.cat([scaled.mean(dim=1), scaled.std(dim=1, correction=0)], dim=1)

    def inputs(self, seen: Seen, facts: Tensor, scale: Tensor) -> Tensor:
        """(N, 213): what the kernel takes; 0 for what is not known."""
        looks = (self.pool(seen.statistics) - self.middle) @ self.basis
        probes = (torch.cat([seen.plain, seen.quantised], dim=1) - self.probes_centre) / self.probes_width
        losses, content, quantised = _known(probes).split((PLAIN - CONTENT, CONTENT, QUANTISED), dim=1)
        parts = (
            (looks, _COMPONENTS), (losses, _LOSSES), (content, _CONTENT), (quantised, _QUANTISED),
            (_known(facts), _FACTS.to(facts.device)), (size_of(scale), _SIZE),
        )  # fmt: skip
        return torch.cat([part * weight for part, weight in parts], dim=1)

    def forward(self, seen: Seen, facts: Tensor, scale: Tensor, codec: str) -> Prediction:
        """What is seen of N pictures, facts (N, 12) with NaN where unknown, scale (N,): height shown over own, and the codec
        of all (FFmpeg's name)."""
        view = views_known(facts).int().argmax(dim=0)  # the first
        number = codec_number(codec) if self.knows(codec) else UNKNOWN
        quality, spread = self.kernel(self.inputs(seen, facts, scale), view, number)
        return Prediction(quality.clamp(0, 100), spread)

    def knows(self, codec: str) -> bool:
        """Whether an encode that it was fitted to is of that codec (FFmpeg's name)."""
        return bool((self.kernel.codecs == codec_number(codec)).any())


def views_known(facts: Tensor) -> Tensor:
    """(4, N): whether the facts (N, 12) that each view needs are known."""
    known = facts.isfinite()
    return torch.stack([known[:, list(needed)].all(dim=1) for needed in _NEEDED])


def codec_number(codec: str) -> int:
    """Its place among CODECS; UNKNOWN for others."""
    codec = _KIN.get(codec, codec)
    return CODECS.index(codec) if codec in CODECS else UNKNOWN


def _known(values: Tensor) -> Tensor:
    """0, the middle of training, for NaN."""
    return values.nan_to_num(0.0).clamp(-_LARGEST, _LARGEST)


def size_of(scale: Tensor) -> Tensor:
    """(N,) height shown over own height -> (N, 1) log2, within what was trained."""
    return scale.clamp(1.0, MAX_SCALE).log2()[:, None]


class Calibration(NamedTuple):
    """Conformal factors: an interval is the prediction plus and minus factor x spread, cut at 0 and 100.

    picture        for the quality of one picture
    clip           for the mean over several pictures of a file, with the mean of their spreads
    other_picture  and other_clip: the same where no training encode was of that codec
    """

    picture: float
    clip: float
    other_picture: float
    other_clip: float

    def of(self, *, known: bool) -> tuple[float, float]:
        """The factors of a picture and of a clip, of a codec that training encodes were of (`MediamlNr.knows`) or not."""
        return (self.picture, self.clip) if known else (self.other_picture, self.other_clip)


def interval(quality: Tensor, spread: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    """(lower, upper) ends, equally shaped, within 0..100."""
    return (quality - factor * spread).clamp(0, 100), (quality + factor * spread).clamp(0, 100)


def load(path: Path, device: torch.device) -> tuple[MediamlNr, Calibration]:
    """The network, ready for inference, and its calibration. Raises WeightsCorrupt where the file holds something else."""
    try:
        state = load_file(path)
        factors = [float(state.pop(f"calibration.{name}")) for name in Calibration._fields]
        state["kernel.points"] = state["kernel.points"] * state.pop("kernel.steps")
        net = MediamlNr(points=len(state["kernel.points"]))
        net.load_state_dict(state)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise WeightsCorrupt(f"{path}: not the weights of mediaml_nr: {error}") from error
    return net.to(device).eval().requires_grad_(False), Calibration(*factors)


def save(path: Path, net: MediamlNr, calibration: Calibration) -> None:
    """Half precision; the kernel's points in a byte a number, its coefficients and the calibration in full."""
    codes, steps = codes_of(net.kernel.points)
    full = ("kernel.points", "kernel.coefficients", "kernel.middles", "probes_centre", "probes_width")
    state = {
        name: (t.half() if t.dtype == torch.float32 and name not in full else t).contiguous()
        for name, t in net.state_dict().items()
    }
    state |= {"kernel.points": codes, "kernel.steps": steps}
    factors = {f"calibration.{name}": torch.tensor(value) for name, value in calibration._asdict().items()}
    save_file(state | factors, path)

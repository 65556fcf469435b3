"""The worst frames of a score as pictures: both files' frame, where they differ, and the spot where they differ most.

The frames are decoded once more, up to the last of them, in the form in which they were compared. Both pictures are JPEG at
one quality; the detail is lossless. The error map shows |distorted - reference| of luma in 8-bit codes times a gain that is
the same for all frames of a report.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mediaml.decode.colour import luma_matrix
from mediaml.decode.pair.stream import PairStream
from mediaml.decode.tonemap import ToneMap
from mediaml.engine.score.result import ScoreResult, WorstFrame
from mediaml.errors import MediaError
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.media import VideoStream
from mediaml.ops.colour import yuv_to_rgb

SHOWN = (1280, 960)  # (w, h) in px; larger pictures are shrunk
MAP = (720, 720)  # likewise for error maps
DETAIL = (240, 160)  # (w, h) of the detail, in samples of the compared pictures
_SPOT = 48  # the side of the square over which an error counts as one spot
_LARGEST_BYTES = 210_000  # of a picture; the quality falls until both fit
_QUALITIES = (92, 86, 78, 68, 55)
_GAINS = (32, 16, 8, 4, 2, 1)
_COLOURS = cv2.COLORMAP_INFERNO
Picture = NDArray[np.uint8]  # (H, W, 3) RGB
Errors = NDArray[np.float32]  # (H, W) in 8-bit codes


class Box(NamedTuple):
    """Shares of the picture's width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class PairPicture:
    """One pair of frames; pictures are data URIs.

    width, height            of `distorted` and `reference`, in px; `error` has the same shape
    detail                   distorted, reference and error around the largest local error, one picture sample a pixel
    detail_size, detail_at   (w, h) of the detail, and where it lies
    mean_error, peak_error   of luma, in 8-bit codes
    """

    worst: WorstFrame
    width: int
    height: int
    distorted: str
    reference: str
    error: str
    detail: tuple[str, str, str]
    detail_size: tuple[int, int]
    detail_at: Box
    mean_error: float
    peak_error: float


@dataclass(frozen=True, slots=True)
class Gallery:
    """`problem` says why pictures are missing; `legend` is the colour scale of the error maps, from 0 to 255 / gain codes."""

    pictures: list[PairPicture] = field(default_factory=list)
    gain: int = 1
    legend: str = ""
    problem: str = ""


@dataclass(slots=True, eq=False)
class _Pair:
    """A pair before the gain is known."""

    worst: WorstFrame
    shown: tuple[str, str]
    size: tuple[int, int]  # (w, h) shown
    errors: Errors  # at the size of the map
    details: tuple[Picture, Picture]
    detail_errors: Errors
    detail_at: Box
    mean_error: float
    peak_error: float


def worst_pictures(result: ScoreResult) -> Gallery:
    """Pictures of `result.worst`, worst first. A file that cannot be read any more leaves them out and says so."""
    found: list[_Pair] = []
    problem = ""
    try:
        found.extend(_read(result))
    except MediaError as error:
        problem = f"the pictures could not be read again: {error}"
    if not problem and len(found) < len(result.worst):
        problem = f"{len(result.worst) - len(found)} of the worst frames could not be decoded again"
    order = {w.frame_index: i for i, w in enumerate(result.worst)}
    found.sort(key=lambda pair: order[pair.worst.frame_index])
    gain = _gain([pair.errors for pair in found])
    return Gallery([_finished(pair, gain) for pair in found], gain, _legend(), problem)


def _read(result: ScoreResult) -> Iterator[_Pair]:
    wanted = {w.frame_index: w for w in result.worst}
    if not wanted:
        return
    pairs = np.array(sorted((w.frame_index, w.reference_index) for w in result.worst), np.int64)
    plan = result.plan
    stream = PairStream(plan.distorted, plan.reference, plan.form, pairs, crops=plan.crops)
    video = plan.reference.video
    with stream:
        for batch in stream:
            for row, number in enumerate(batch.frame_index.tolist()):
                yield _pair(wanted[number], batch, row, video, cropped=any(plan.crops))


def _pair(worst: WorstFrame, batch: FrameBatch, row: int, video: VideoStream, *, cropped: bool) -> _Pair:
    assert batch.planes is not None and batch.reference is not None and batch.reference.planes is not None
    distorted, reference = _one(batch.planes, row), _one(batch.reference.planes, row)
    step = 2.0 ** (distorted.bit_depth - 8)
    codes = [p.y[0, 0].numpy().astype(np.float32) for p in (distorted, reference)]
    errors = _turned(np.abs(codes[0] - codes[1]) / step, video)
    pictures = [_turned(_rgb(p, batch.colour, video), video) for p in (distorted, reference)]
    x, y, w, h = _spot(errors)
    shape = errors.shape[1], errors.shape[0], None if cropped else video
    size = _shown_size(*shape, SHOWN)
    details = [np.ascontiguousarray(p[y : y + h, x : x + w]) for p in pictures]
    height, width = errors.shape
    return _Pair(
        worst,
        _jpegs([_resized(p, size) for p in pictures]),
        size,
        _resized(errors, _shown_size(*shape, MAP)),
        (details[0], details[1]),
        errors[y : y + h, x : x + w],
        Box(x / width, y / height, w / width, h / height),
        float(errors.mean()),
        float(errors.max()),
    )


def _one(planes: Planes, row: int) -> Planes:
    u, v = (None if p is None else p[row : row + 1] for p in (planes.u, planes.v))
    return Planes(planes.y[row : row + 1], u, v, planes.bit_depth)


def _rgb(planes: Planes, colour: Colour, video: VideoStream) -> Picture:
    """8-bit R'G'B' as a screen shows it; HDR is tone-mapped."""
    invertible = replace(colour, matrix=luma_matrix(colour.matrix))
    rgb = yuv_to_rgb(planes, invertible)[0].permute(1, 2, 0).numpy()  # (H, W, 3)
    tone_map = ToneMap.of(colour, video.hdr)
    if tone_map is not None:
        return tone_map(np.rint(rgb * 65535).astype(np.uint16))
    return np.rint(rgb * 255).astype(np.uint8)


def _turned(array: NDArray, video: VideoStream) -> NDArray:
    """In display orientation."""
    if video.mirrored:
        array = array[:, ::-1]
    return np.ascontiguousarray(np.rot90(array, -(video.rotation_degrees // 90 % 4)))


def _shown_size(width: int, height: int, video: VideoStream | None, limit: tuple[int, int]) -> tuple[int, int]:
    """(w, h) on the page: with the display's aspect ratio, no larger than `limit`."""
    if video is not None:
        width = max(1, round(height * video.display_width / video.display_height))
    ratio = min(1.0, limit[0] / width, limit[1] / height)
    return max(1, round(width * ratio)), max(1, round(height * ratio))


def _resized(array: NDArray, size: tuple[int, int]) -> NDArray:
    if (array.shape[1], array.shape[0]) == size:
        return array
    return cv2.resize(array, size, interpolation=cv2.INTER_AREA)


def _spot(errors: Errors) -> tuple[int, int, int, int]:
    """(x, y, w, h) of the detail around the square with the largest squared error; the centre where nothing differs."""
    height, width = errors.shape
    w, h = min(DETAIL[0], width), min(DETAIL[1], height)
    side = min(_SPOT, width, height)
    local = cv2.boxFilter(errors * errors, -1, (side, side), borderType=cv2.BORDER_REFLECT)
    cy, cx = (height // 2, width // 2) if local.max() <= 0 else np.unravel_index(int(local.argmax()), local.shape)
    return max(0, min(int(cx) - w // 2, width - w)), max(0, min(int(cy) - h // 2, height - h)), w, h


def _gain(errors: Sequence[Errors]) -> int:
    """The largest with which all but a thousandth of the samples stay on the scale."""
    high = max((float(np.quantile(e, 0.999)) for e in errors), default=0.0)
    return next((g for g in _GAINS if high * g <= 255), 1)


def _finished(pair: _Pair, gain: int) -> PairPicture:
    width, height = pair.size
    error = _jpeg(_coloured(pair.errors, gain), 80)
    details = (*(_png(p) for p in pair.details), _png(_coloured(pair.detail_errors, gain)))
    return PairPicture(
        pair.worst,
        width,
        height,
        *pair.shown,
        error=_uri("jpeg", error),
        detail=(details[0], details[1], details[2]),
        detail_size=(pair.detail_errors.shape[1], pair.detail_errors.shape[0]),
        detail_at=pair.detail_at,
        mean_error=pair.mean_error,
        peak_error=pair.peak_error,
    )


def _coloured(errors: Errors, gain: int) -> Picture:
    codes = np.clip(np.rint(errors * gain), 0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(codes, _COLOURS), cv2.COLOR_BGR2RGB), np.uint8)


def _legend() -> str:
    ramp = np.arange(256, dtype=np.float32)[None, :].repeat(2, axis=0)
    return _png(_coloured(ramp, 1))


def _jpegs(pictures: Sequence[Picture]) -> tuple[str, str]:
    """Both at the best quality at which the larger one is small enough."""
    encoded: list[bytes] = []
    for quality in _QUALITIES:
        encoded = [_jpeg(p, quality) for p in pictures]
        if max(map(len, encoded)) <= _LARGEST_BYTES:
            break
    return _uri("jpeg", encoded[0]), _uri("jpeg", encoded[1])


def _jpeg(picture: Picture, quality: int) -> bytes:
    full_chroma = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, *full_chroma]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), settings)[1].tobytes()


def _png(picture: Picture) -> str:
    return _uri("png", cv2.imencode(".png", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))[1].tobytes())


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"

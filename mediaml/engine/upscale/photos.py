"""Still pictures: one file or a directory of PNG, JPEG and WebP, each enlarged into the same format."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from mediaml.engine.upscale.plan import UpscaleSettings
from mediaml.engine.upscale.video import load_enlarger
from mediaml.errors import InvalidValue, MediaError, MediaMissing, NotMedia, OutputUnwritable
from mediaml.ops.colour import rgb_luma
from mediaml.restore.enlarger import Enlarger
from mediaml.restore.strength import jpeg_strength

_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}


@dataclass(frozen=True, slots=True)
class PhotoOutcome:
    """One picture: `out` is written, or `error` says why not. `number` counts from 1 to `total`."""

    source: Path
    out: Path
    number: int
    total: int
    error: MediaError | None = None


def is_picture(path: Path) -> bool:
    """Whether `upscale_photos` takes it: a PNG, JPEG or WebP file, by its suffix."""
    return path.suffix.lower() in _FORMATS and not path.is_dir()


def upscale_photos(source: Path, out: Path, settings: UpscaleSettings) -> Iterator[PhotoOutcome]:
    """Enlarges each picture of a directory (or one picture), in the order of names; a bad one does not stop the others.

    Turned as EXIF says; the ICC profile is kept, other metadata are not; alpha is enlarged by Lanczos. Our own network takes
    the mean over eight orientations unless the settings say otherwise. A file appears under its name when it is whole. Raises
    InvalidValue where there is no picture, MediaMissing, OutputUnwritable.
    """
    pairs = _pairs(source, out)
    _make_folder(source, out)
    enlarger = load_enlarger(_for_stills(settings))
    for number, (picture, target) in enumerate(pairs, 1):
        error = None
        try:
            _one(picture, target, enlarger)
        except MediaError as failed:
            error = failed
        except OSError as failed:
            raise OutputUnwritable(f"{target} cannot be written: {failed.strerror or failed}") from failed
        yield PhotoOutcome(picture, target, number, len(pairs), error)


def estimate_photos(source: Path, out: Path, settings: UpscaleSettings) -> list[str]:
    """What `upscale_photos` would do and how long it takes, measured on a part of the first picture; writes nothing.

    Raises as `upscale_photos` does.
    """
    pairs = _pairs(source, out)
    settings = _for_stills(settings)
    enlarger = load_enlarger(settings)
    sizes = [_size(picture) for picture, _ in pairs]
    pixels = sum(width * height for width, height in filter(None, sizes))
    side = 256
    with torch.no_grad():
        begun = monotonic()
        enlarger.rgb(torch.rand(1, 3, side, side), torch.zeros(1))
        seconds = (monotonic() - begun) / side**2 * pixels
    unread = sizes.count(None)
    how = f"x{enlarger.scale} by {enlarger.name}" + (", the mean over eight orientations" if settings.ensemble else "")
    return [
        f"{source} -> {out}: {len(pairs) - unread} pictures, {pixels / 1e6:.1f} megapixels, {how}",
        *([f"note: {unread} cannot be read as pictures"] if unread else []),
        f"about {seconds // 60:.0f} min {seconds % 60:.0f} s",
    ]


def _for_stills(settings: UpscaleSettings) -> UpscaleSettings:
    if settings.ensemble is None and settings.model == "mediaml_sr_x2":
        return replace(settings, ensemble=True)
    return settings


def _size(picture: Path) -> tuple[int, int] | None:
    try:
        with Image.open(picture) as opened:
            return opened.size
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _pairs(source: Path, out: Path) -> list[tuple[Path, Path]]:
    if not source.exists():
        raise MediaMissing(source, "no such file or directory")
    if not source.is_dir():
        if out.is_dir():
            out = out / source.name
        if out.suffix.lower() not in _FORMATS:
            raise InvalidValue(f"{out}: pictures are written as {', '.join(_FORMATS)}")
        return [(source, out)]
    if out.exists() and (not out.is_dir() or out.samefile(source)):
        raise InvalidValue(f"{out} must be another directory than the source")
    found = sorted(p for p in source.iterdir() if is_picture(p))
    if not found:
        raise InvalidValue(f"{source} holds no picture ({', '.join(_FORMATS)})")
    return [(p, out / p.name) for p in found]


def _make_folder(source: Path, out: Path) -> None:
    """The directory of a directory's pictures."""
    if not source.is_dir():
        return
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputUnwritable(f"{out} cannot be made: {error.strerror or error}") from error


def _one(source: Path, target: Path, enlarger: Enlarger) -> None:
    try:
        with Image.open(source) as opened:
            profile = opened.info.get("icc_profile")
            known = _known_strength(opened)
            picture = ImageOps.exif_transpose(opened)
            alpha = picture.convert("RGBA").getchannel("A") if picture.has_transparency_data else None
            rgb = np.asarray(picture.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise NotMedia(source, f"not a picture that can be read: {error}") from error
    frame = torch.from_numpy(rgb.copy()).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        luma = rgb_luma(frame) * (219 / 255) + 16 / 255
        shown = enlarger.rgb(frame, enlarger.estimate(luma) if known is None else torch.tensor([known]))
    made = Image.fromarray(_codes(shown))
    if alpha is not None and _FORMATS[target.suffix.lower()] != "JPEG":
        made.putalpha(alpha.resize(made.size, Image.Resampling.LANCZOS))
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        extra = {} if profile is None else {"icc_profile": profile}
        made.save(part, _FORMATS[target.suffix.lower()], quality=95, **extra)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _known_strength(opened: Image.Image) -> float | None:
    """How strongly the file compresses its picture: PNG not at all, JPEG as its table says; None: to be estimated."""
    if opened.format == "PNG":
        return 0.0
    tables = getattr(opened, "quantization", None)
    return jpeg_strength(tables[0]) if tables else None


def _codes(shown: Tensor) -> np.ndarray:
    """(1, 3, H, W) in [0, 1] -> (H, W, 3) uint8."""
    return (shown[0] * 255).round_().to(torch.uint8).permute(1, 2, 0).cpu().numpy()

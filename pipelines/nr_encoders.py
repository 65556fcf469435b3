"""The encoders of mediaml_nr's second round of encodes: many codecs, several encoders a codec, their presets and tunes.

They are those of the FFmpeg inside the package imageio-ffmpeg, which has more of them than PyAV's. All quality settings are
constant quality or constant quantiser. AV1's encoders are for tests and the fourth round alone.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from mediaml.engine.upscale.encoder import keeping_priority
from mediaml.errors import InvalidValue
from pipelines.training_media.encodes import Planes

_X264 = (
    "-preset ultrafast", "-preset veryfast", "-preset medium", "-preset medium -tune film", "-preset slow",
    "-preset medium -tune grain", "-preset medium -tune animation", "-preset medium -tune psnr",
    "-preset veryfast -tune zerolatency", "-preset fast -tune stillimage",
)  # fmt: skip
_X265 = (
    "-preset ultrafast", "-preset veryfast", "-preset medium", "-preset veryfast -tune grain", "-preset fast -tune psnr",
)  # fmt: skip
_VP9 = (
    "-cpu-used 8 -deadline realtime", "-cpu-used 6 -aq-mode 2", "-cpu-used 5 -arnr-strength 5",
    "-cpu-used 6 -lag-in-frames 0", "-cpu-used 4",
)  # fmt: skip
_MPEG = ("-bf 0", "-bf 2", "-bf 2 -mbd rd -trellis 2")
# more of them, from the third round on
_X264_LATER = (
    "-preset slower",
    "-preset superfast",
    "-preset medium -x264-params aq-mode=3",
    "-preset slow -tune ssim",
)
_X265_LATER = ("-preset slow", "-preset superfast", "-preset fast -tune ssim", "-preset medium -tune animation")
_VP9_LATER = (
    "-cpu-used 3", "-cpu-used 2 -tune ssim", "-cpu-used 5 -auto-alt-ref 6", "-cpu-used 7 -deadline realtime -aq-mode 3",
)  # fmt: skip
_BY_QP = "-rc_mode bitrate -b:v 100M -qmin {q} -qmax {q}"  # OpenH264's only way to a constant quantiser
_QUIET = "log-level=none:pools=none:keyint={gop}"


@dataclass(frozen=True, slots=True)
class Encoder:
    """codec: FFmpeg's name of the format. quality: the setting's arguments with {q} in them, and its range. variants: further
    arguments, one of which is drawn; later: of the third round's training too. gop: the argument that sets the key frames'
    distance. weights: how often it is drawn for training, and for a test."""

    codec: str
    name: str
    quality: str
    best: float
    worst: float
    variants: Sequence[str] = ("",)
    gop: str = "-g {gop}"
    interval: int | None = None  # of key frames, where it cannot be chosen
    weights: tuple[float, float] = (0.0, 0.0)
    later: Sequence[str] = ()


ENCODERS = {
    "x264_crf": Encoder("h264", "libx264", "-crf {q}", 14, 44, _X264, weights=(0.13, 0.09), later=_X264_LATER),
    "x264_qp": Encoder("h264", "libx264", "-qp {q}", 14, 44, _X264, weights=(0.05, 0.03), later=_X264_LATER),
    "openh264": Encoder("h264", "libopenh264", _BY_QP, 16, 46, weights=(0.05, 0.03)),
    "x265_crf": Encoder(
        "hevc", "libx265", f"-crf {{q}} -x265-params {_QUIET}", 16, 45, _X265, "", None, (0.11, 0.09), _X265_LATER
    ),
    "x265_qp": Encoder(
        "hevc", "libx265", f"-x265-params qp={{q}}:{_QUIET}", 16, 45, _X265, "", None, (0.03, 0.02), _X265_LATER
    ),
    "kvazaar": Encoder(
        "hevc", "libkvazaar", "-kvazaar-params qp={q},threads=0,period=64,preset=", 16, 45,
        ("ultrafast,gop=8", "superfast,gop=lp-g4d3t1", "ultrafast,gop=lp-g4d3t1"), "", 64, (0.08, 0.04),
        ("veryfast,gop=8", "faster,gop=lp-g4d3t1", "ultrafast,gop=8,vaq=5"),
    ),
    "libvpx-vp9": Encoder("vp9", "libvpx-vp9", "-crf {q} -b:v 0", 12, 62, _VP9, weights=(0.14, 0.10), later=_VP9_LATER),
    "vp8": Encoder(
        "vp8", "libvpx", "-crf {q} -b:v 100M -qmin {q} -qmax {q}", 6, 62,
        ("-cpu-used 4", "-cpu-used 1", "-cpu-used 8 -deadline realtime"), weights=(0.09, 0.04),
        later=("-cpu-used 2 -auto-alt-ref 1", "-cpu-used 5 -sharpness 4"),
    ),
    "vvenc": Encoder(
        "vvc", "libvvenc", "-qp {q}", 20, 46, ("-preset faster -qpa 0", "-preset faster -qpa 1"), "", 250, (0.09, 0.04)
    ),
    "mpeg1": Encoder("mpeg1video", "mpeg1video", "-qscale:v {q}", 2, 31, _MPEG, weights=(0.02, 0.01)),
    "mpeg2": Encoder("mpeg2video", "mpeg2video", "-qscale:v {q}", 2, 31, _MPEG, weights=(0.06, 0.02)),
    "mpeg4": Encoder("mpeg4", "mpeg4", "-qscale:v {q}", 2, 31, (*_MPEG, "-mpeg_quant 1"), weights=(0.05, 0.02)),
    "xvid": Encoder("mpeg4", "libxvid", "-qscale:v {q}", 2, 31, ("", "-mpeg_quant 1"), weights=(0.03, 0.02)),
    "h263": Encoder("flv1", "flv", "-qscale:v {q}", 2, 31, ("", "-mbd rd -trellis 2"), weights=(0.03, 0.02)),
    "theora": Encoder("theora", "libtheora", "-qscale:v {q}", 10, 0, weights=(0.02, 0.01)),
    "mjpeg": Encoder("mjpeg", "mjpeg", "-qscale:v {q} -huffman 0", 2, 31, gop="", interval=1, weights=(0.02, 0.02)),
    "svt-av1_crf": Encoder(
        "av1", "libsvtav1", "-crf {q}", 16, 62, ("-preset 8", "-preset 10", "-preset 12"), weights=(0, 0.22)
    ),
    "aom": Encoder("av1", "libaom-av1", "-crf {q} -b:v 0", 14, 62, ("-cpu-used 6", "-cpu-used 8"), weights=(0, 0.09)),
    "rav1e": Encoder("av1", "librav1e", "-qp {q}", 40, 235, ("-speed 10",), weights=(0, 0.09)),
}  # fmt: skip


def draw(
    test: bool, size: tuple[int, int], rng: np.random.Generator, *, later: bool = False, codec: str | None = None
) -> tuple[str, float, str]:
    """The name of an encoder, its quality setting, and which variant, for a picture of `size` (width, height); `later`: one
    of the third round's variants too; `codec`: one of its encoders, as often as in a test."""
    fits = [name != "kvazaar" or (size[0] % 8 == 0 and size[1] % 8 == 0) for name in ENCODERS]  # it takes no others
    wanted = [codec in (None, e.codec) for e in ENCODERS.values()]
    weights = np.array([e.weights[int(test or codec is not None)] for e in ENCODERS.values()]) * fits * wanted
    name = str(rng.choice(list(ENCODERS), p=weights / weights.sum()))
    encoder = ENCODERS[name]
    quality = encoder.best + (encoder.worst - encoder.best) * rng.random()
    variants = (*encoder.variants, *encoder.later) if later else encoder.variants
    return name, float(np.rint(quality)), str(rng.choice(variants))


def encode(
    frames: Sequence[Planes], name: str, quality: float, variant: str, interval: int, target: Path, fps: int = 25
) -> None:
    """Writes `target`, a Matroska file. Raises InvalidValue with the encoder's own word where it fails."""
    encoder = ENCODERS[name]
    height, width = frames[0][0].shape
    at, gop = f"{quality:g}", str(interval)
    settings = encoder.quality.format(q=at, gop=gop)
    settings = f"{settings}{variant}" if settings.endswith("=") else f"{settings} {variant}"
    given = f"-v error -y -f rawvideo -pix_fmt yuv420p -s {width}x{height} -r {fps} -i - -threads 1 -c:v {encoder.name}"
    command = [_ffmpeg(), *f"{given} {settings} {encoder.gop.format(gop=gop)} -f matroska".split(), str(target)]
    raw = b"".join(np.ascontiguousarray(p).tobytes() for f in frames for p in f)
    with keeping_priority():
        done = subprocess.run(command, input=raw, capture_output=True, check=False)
    if done.returncode:
        raise InvalidValue(f"{encoder.name} {settings} on {width}x{height}: {done.stderr.decode()[-300:]}")


@cache
def _ffmpeg() -> str:
    import imageio_ffmpeg

    return imageio_ffmpeg.get_ffmpeg_exe()

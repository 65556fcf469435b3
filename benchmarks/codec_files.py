"""Makes the files of the codec and container matrix with an independent ffmpeg: one second, 128x96, 25 frames/s."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

PICTURE = ["-f", "lavfi", "-i", "testsrc2=s=128x96:r=25:d=1"]
SOUND = ["-f", "lavfi", "-i", "sine=440:d=1"]
X264 = ["-c:v", "libx264", "-preset", "ultrafast"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none"]

Make = Callable[[Path], None]


def ffmpeg(*arguments: str) -> None:
    """Runs the tool; raises CalledProcessError with its own words."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def _encode(*options: str, sound: tuple[str, ...] = ()) -> Make:
    inputs = [*PICTURE, *(SOUND if sound else [])]
    return lambda path: ffmpeg(*inputs, *options, *(["-shortest", *sound] if sound else []), str(path))


def _copied(source: str, *options: str, before: tuple[str, ...] = ()) -> Make:
    """A copy of another file of the matrix, remuxed."""

    def make(path: Path) -> None:
        origin = path.with_name(source)
        if not origin.exists():
            FILES[source][0](origin)
        ffmpeg(*before, "-i", str(origin), "-c", "copy", *options, str(path))

    return make


def _two_sizes(path: Path) -> None:
    """Transport streams may simply be joined: the picture grows in the middle."""
    parts = []
    for size in ("128x96", "192x144"):
        part = path.with_name(f"part-{size}.ts")
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25:d=0.6", *X264, "-g", "10", str(part))
        parts.append(part.read_bytes())
        part.unlink()
    path.write_bytes(b"".join(parts))


# name -> (how, codec, container, what is special)
FILES: dict[str, tuple[Make, str, str, str]] = {
    "h264.mp4": (_encode(*X264, sound=("-c:a", "aac")), "H.264", "MP4", "with AAC"),
    "h264-bframes.mkv": (_encode(*X264, "-bf", "3", "-g", "12"), "H.264", "MKV", "B-frames"),
    "h264-open-gop.mp4": (
        _encode(*X264, "-bf", "3", "-x264-params", "open-gop=1:keyint=8:min-keyint=8"),
        "H.264", "MP4", "open GOP",
    ),
    "h264-fragmented.mp4": (
        _copied("h264.mp4", "-movflags", "frag_keyframe+empty_moov+default_base_moof"), "H.264", "fragmented MP4", "",
    ),
    "h264.ts": (_copied("h264.mp4"), "H.264", "TS", "with AAC"),
    "h264.h264": (_copied("h264.mp4", "-an"), "H.264", "raw", "no timestamps, no duration"),
    "h264-live.mkv": (_copied("h264.mp4", "-live", "1"), "H.264", "MKV", "no duration in the header"),
    "h264-edit-list.mp4": (_copied("h264-open-gop.mp4", before=("-ss", "0.52")), "H.264", "MP4", "edit list"),
    "h264-rotated.mp4": (_copied("h264.mp4", before=("-display_rotation", "90")), "H.264", "MP4", "rotated by 90 degrees"),
    "h264-vfr.mkv": (
        _encode("-vf", "setpts='(N+mod(N,3)*0.6)/25/TB'", "-fps_mode", "vfr", *X264), "H.264", "MKV", "variable frame rate",
    ),
    "h264-interlaced.ts": (_encode(*X264, "-flags", "+ildct+ilme", "-x264-params", "tff=1"), "H.264", "TS", "interlaced"),
    "h264-10bit.mp4": (_encode("-pix_fmt", "yuv420p10le", *X264), "H.264", "MP4", "10-bit"),
    "h264-444.mp4": (_encode("-pix_fmt", "yuv444p", *X264), "H.264", "MP4", "4:4:4"),
    "h264-two-sizes.ts": (_two_sizes, "H.264", "TS", "the picture's size changes mid-stream"),
    "hevc.mp4": (_encode(*X265, "-bf", "3"), "HEVC", "MP4", "B-frames"),
    "hevc-hdr10.mkv": (
        _encode("-pix_fmt", "yuv420p10le", "-color_primaries", "bt2020", "-color_trc", "smpte2084",
                "-colorspace", "bt2020nc", *X265),
        "HEVC", "MKV", "10-bit PQ (HDR)",
    ),
    "av1.mp4": (_encode("-c:v", "libsvtav1", "-preset", "12"), "AV1", "MP4", ""),
    "av1.webm": (_encode("-c:v", "libsvtav1", "-preset", "12", sound=("-c:a", "libopus")), "AV1", "WebM", "with Opus"),
    "vp9.webm": (_encode("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"), "VP9", "WebM", ""),
    "vp9-alpha.webm": (
        _encode("-pix_fmt", "yuva420p", "-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime"),
        "VP9", "WebM", "alpha",
    ),
    "mpeg2.ts": (_encode("-c:v", "mpeg2video", "-bf", "2", sound=("-c:a", "mp2")), "MPEG-2", "TS", "with MP2"),
    "mpeg2.mpg": (_encode("-c:v", "mpeg2video", "-bf", "2"), "MPEG-2", "PS", "B-frames"),
    "prores.mov": (_encode("-c:v", "prores_ks", "-profile:v", "3"), "ProRes 422 HQ", "MOV", "10-bit 4:2:2"),
    "prores-4444.mov": (
        _encode("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le"), "ProRes 4444", "MOV", "alpha",
    ),
    "mjpeg.avi": (_encode("-c:v", "mjpeg"), "MJPEG", "AVI", "full range"),
    "mpeg4.avi": (_encode("-c:v", "mpeg4", "-bf", "2"), "MPEG-4 Part 2", "AVI", "B-frames, no presentation times"),
    "animated.gif": (_encode("-vf", "fps=10"), "GIF", "GIF", "palette"),
    "animated.webp": (_encode("-vf", "fps=10", "-c:v", "libwebp_anim", "-loop", "0"), "WebP", "animated WebP", ""),
    "ffv1.mkv": (_encode("-c:v", "ffv1", "-pix_fmt", "yuv422p10le"), "FFV1", "MKV", "10-bit 4:2:2"),
    "apng.apng": (_encode("-vf", "fps=10", "-plays", "0"), "APNG", "APNG", ""),
}  # fmt: skip


def make_files(folder: Path) -> dict[str, Path]:
    """name -> path of every file of the matrix; what this ffmpeg cannot encode is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (make, *_) in FILES.items():
        path = folder / name
        if not path.exists():
            try:
                make(path)
            except subprocess.CalledProcessError:
                path.unlink(missing_ok=True)
    return {name: folder / name for name in FILES if (folder / name).exists()}

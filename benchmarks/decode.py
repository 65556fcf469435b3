"""Decode and fan-out: CPU seconds of one minute (`--seconds`) of 1080p, beside a bare decode, OpenCV and torchcodec.

    OMP_NUM_THREADS=1 python -m benchmarks.decode                      # everything; several minutes
    OMP_NUM_THREADS=1 python -m benchmarks.decode --codecs h264 --work "bare decode" "four needs"
    OMP_NUM_THREADS=1 python -m benchmarks.decode --seconds 15 --work "224x224 every frame"   # shorter clips

The clips are made once (looping, zooming and panning over Big Buck Bunny from the shared test data, else a test pattern)
and kept in the temporary directory. Every measurement is a process of its own, on one decode thread; CPU seconds come from
`getrusage` around the work alone; the best of three rounds counts, the rounds interleaved. torchcodec needs FFmpeg's shared
libraries: it is measured on those inside PyAV, so that all but OpenCV run the same decoders; where it is absent its rows
are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

SECONDS = 60
ROUNDS = 3
SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
PLACE = Path(tempfile.gettempdir()) / "mediaml-benchmarks"
ENCODERS = {
    "h264": ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-bf", "3", "-refs", "3"],
    "hevc": ["-c:v", "libx265", "-preset", "superfast", "-crf", "26", "-x265-params", "log-level=none"],
    "av1": ["-c:v", "libsvtav1", "-preset", "10", "-crf", "36", "-g", "240"],
}
FOUR = ((27, 48, None), (224, 224, 1.0), (288, 512, 2.0), (144, 256, 0.5))  # height, width, frames a second

Work = Callable[[str], int]


def bare_decode(path: str) -> int:
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        return sum(len(stream.codec_context.decode(packet)) for packet in container.demux(stream))


def _mediaml(*needs: tuple) -> Work:
    def work(path: str) -> int:
        from mediaml.decode.plan import make_plan
        from mediaml.decode.probe import probe
        from mediaml.decode.stream import MediaStream
        from mediaml.spec import Need, View

        info = probe(path)
        wanted = [Need(View.rgb(*view) if view else View.planes(), fps, tolerance) for view, fps, tolerance in needs]
        with MediaStream(path, info, make_plan(info, wanted)) as stream:
            return sum(len(delivery.batch) for delivery in stream)

    return work


def opencv_each(path: str) -> int:
    return _opencv(path, ((224, 224, None),))


def opencv_four(path: str) -> int:
    return _opencv(path, FOUR)


def _opencv(path: str, wanted: tuple) -> int:
    import cv2

    cv2.setNumThreads(1)
    capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    rate, count, made = capture.get(cv2.CAP_PROP_FPS), 0, 0
    while capture.grab():
        due = [(h, w) for h, w, fps in wanted if fps is None or count % round(rate / fps) == 0]
        if due:
            picture = capture.retrieve()[1]
            for h, w in due:
                cv2.cvtColor(cv2.resize(picture, (w, h), interpolation=cv2.INTER_LINEAR), cv2.COLOR_BGR2RGB)
                made += 1
        count += 1
    return made


def torchcodec_each(path: str) -> int:
    return _torchcodec(path, ((224, 224, None),))


def torchcodec_four(path: str) -> int:
    """One decoder a need: a decoder has one output size."""
    return _torchcodec(path, FOUR)


def _torchcodec(path: str, wanted: tuple) -> int:
    from torchcodec.decoders import VideoDecoder  # type: ignore[import-not-found]
    from torchcodec.transforms import Resize  # type: ignore[import-not-found]

    made = 0
    for h, w, fps in wanted:
        decoder = VideoDecoder(path, num_ffmpeg_threads=1, seek_mode="approximate", transforms=[Resize((h, w))])
        count = decoder.metadata.num_frames
        step = 1 if fps is None else round(decoder.metadata.average_fps / fps)
        indices = list(range(0, count, step))
        for at in range(0, len(indices), 32):
            made += len(decoder.get_frames_at(indices[at : at + 32]).data)
    return made


THUMB, EACH = (48, 27), (224, 224)
WORK: dict[str, Work] = {
    "bare decode": bare_decode,
    "four needs": _mediaml(
        (THUMB, None, 0.0), ((224, 224, "cover"), 1.0, 0.0), ((512, 288), 2.0, 0.0), ((256, 256, "contain"), 0.5, 0.0)
    ),
    "four needs, OpenCV": opencv_four,
    "four needs, torchcodec": torchcodec_four,
    "48x27 every frame": _mediaml((THUMB, None, 0.0)),
    "48x27 every frame, area": _mediaml(((48, 27, "stretch", "area"), None, 0.0)),
    "224x224 every frame": _mediaml((EACH, None, 0.0)),
    "224x224 every frame, OpenCV": opencv_each,
    "224x224 every frame, torchcodec": torchcodec_each,
    "native planes every frame": _mediaml((None, None, 0.0)),
    "224x224 at 1 fps, exact": _mediaml((EACH, 1.0, 0.0)),
    "224x224 at 1 fps, +-5 s": _mediaml((EACH, 1.0, 5.0)),
    "224x224 at 1/15 fps, exact": _mediaml((EACH, 1 / 15, 0.0)),
}  # fmt: skip


def clip(codec: str, seconds: int = SECONDS) -> Path:
    """1080p at 25 frames/s."""
    import imageio_ffmpeg

    path = PLACE / f"{codec}-{seconds}s.mp4"
    if path.exists():
        return path
    PLACE.mkdir(exist_ok=True)
    real = next(SHARED.rglob("bigbuckbunny.mp4"), None) if SHARED.is_dir() else None
    source = ["-stream_loop", "-1", "-i", str(real)] if real else ["-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25"]
    pan = "x='(iw-ow)*(0.5+0.5*sin(t/5))':y='(ih-oh)*(0.5+0.5*cos(t/7))'"
    filters = f"scale=2304:1296:flags=bicubic,crop=1920:1080:{pan},fps=25,format=yuv420p"
    unfinished = path.with_suffix(".part.mp4")
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    command = [ffmpeg, "-y", "-v", "error", *source, "-t", str(seconds), "-vf", filters, "-an", *ENCODERS[codec]]
    subprocess.run([*command, str(unfinished)], check=True, stderr=subprocess.DEVNULL)
    return unfinished.rename(path)


def measure(name: str, path: str) -> None:
    """In a process of its own: prints one JSON line."""
    WORK[name](str(clip_head(path)))  # imports, lazy initialisation
    began, wall = _cpu_seconds(), time.perf_counter()
    frames = WORK[name](path)
    print(json.dumps({"cpu": _cpu_seconds() - began, "wall": time.perf_counter() - wall, "frames": frames}))


def clip_head(path: str) -> Path:
    """The first half second of a clip, to warm up with."""
    head = PLACE / f"head-{Path(path).name}"
    if not head.exists():
        import imageio_ffmpeg

        ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
        subprocess.run([ffmpeg, "-y", "-v", "error", "-i", path, "-t", "0.5", "-c", "copy", str(head)], check=True)
    return head


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _environment() -> dict[str, str]:
    """For child processes: FFmpeg's libraries from PyAV under the names that torchcodec looks for."""
    import av

    libraries = PLACE / "ffmpeg"
    libraries.mkdir(exist_ok=True)
    for library in Path(av.__file__).parent.with_name("av.libs").glob("*"):
        short = re.sub(r"^(lib(?:av|sw)[a-z]+)-[0-9a-f]+\.so\.(\d+).*", r"\1.so.\2", library.name)
        for name in {library.name, short}:
            if not (libraries / name).exists():
                (libraries / name).symlink_to(library)
    return {**os.environ, "LD_LIBRARY_PATH": str(libraries), "OMP_NUM_THREADS": "1"}


def run(codec: str, names: list[str], seconds: int) -> None:
    path = clip(codec, seconds)
    clip_head(str(path))
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name in names:
            environment = _environment() if "torchcodec" in name else {**os.environ, "OMP_NUM_THREADS": "1"}
            command = [sys.executable, "-m", "benchmarks.decode", "--measure", name, str(path)]
            done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
            if done.returncode:
                best.setdefault(name, {"failed": 1.0})
                continue
            got = json.loads(done.stdout.splitlines()[-1])
            if name not in best or got["cpu"] < best[name].get("cpu", float("inf")):
                best[name] = got
    floor = best["bare decode"]
    print(f"\n{codec}, {seconds} s of 1920x1080 at 25 frames/s, {path.stat().st_size / 1e6:.0f} MB\n")
    print("| work | CPU s | of bare decode | wall s | source fps/core | pictures |\n|---|---|---|---|---|---|")
    for name in names:
        if "failed" in best[name] or best[name]["frames"] == 0:
            print(f"| {name} | fails | - | - | - | {best[name].get('frames', 0):.0f} |")
            continue
        cpu, wall, made = best[name]["cpu"], best[name]["wall"], best[name]["frames"]
        print(
            f"| {name} | {cpu:.2f} | {cpu / floor['cpu']:.3f} | {wall:.2f} | {floor['frames'] / cpu:.0f} | {made:.0f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--work", nargs="+", choices=list(WORK), default=list(WORK))
    parser.add_argument("--seconds", type=int, default=SECONDS, help="length of the clips")
    parser.add_argument("--measure", nargs=2, metavar=("WORK", "FILE"), help="one measurement, in this process")
    given = parser.parse_args()
    if given.measure:
        measure(*given.measure)
        return
    names = ["bare decode", *(n for n in given.work if n != "bare decode")]
    if importlib.util.find_spec("torchcodec") is None:
        print("torchcodec is not installed: its rows are left out")
        names = [n for n in names if "torchcodec" not in n]
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()) if sys.platform == "linux" else None
    machine = f"{model[1] if model else platform.processor()}, {os.cpu_count()} cores"
    print(f"{datetime.now(UTC):%Y-%m-%d}; {machine}; best of {ROUNDS}; load {os.getloadavg()[0]:.0f}")
    for codec in given.codecs:
        run(codec, names, given.seconds)


if __name__ == "__main__":
    main()

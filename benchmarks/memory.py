"""Flat memory: a film of three hours with the default set, and many small files, with resident memory and handles watched.

    OMP_NUM_THREADS=1 python -m benchmarks.memory --film              # 3 h of 1080p at 2 frames/s: 21,600 frames; long
    OMP_NUM_THREADS=1 python -m benchmarks.memory --film --minutes 9  # the same at a twentieth of the length
    OMP_NUM_THREADS=1 python -m benchmarks.memory --files 10000       # ten thousand stills and clips, one worker

The film is made by ffmpeg at a low frame rate, so that three hours of timeline cost the decoding of 21,600 frames; sound
is at its full rate. Memory is the resident set of the process that analyses (bar for the film: 1.5 GB), sampled four times
a second.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

FPS = 2
PLACE = Path(tempfile.gettempdir()) / "mediaml-benchmarks"


@dataclass(slots=True)
class Watch:
    """Resident bytes and open handles of a process and its children, over time."""

    process: int
    samples: list[tuple[float, int, int]] = field(default_factory=list)  # (seconds, bytes, handles) of the largest

    def look(self, began: float) -> None:
        found = [(_resident(p), _handles(p)) for p in _family(self.process)]
        if found:
            largest = max(found)
            self.samples.append((time.monotonic() - began, *largest))

    def thirds(self) -> list[tuple[float, int]]:
        """(peak gigabytes, most handles) of the first, second and last third."""
        size = max(1, len(self.samples) // 3)
        parts = [self.samples[:size], self.samples[size : 2 * size], self.samples[2 * size :]]
        return [(max(s[1] for s in p) / 1e9, max(s[2] for s in p)) for p in parts if p]


def _family(process: int) -> list[int]:
    """The process and all below it."""
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        found.append(one)
        try:
            waiting += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
        except OSError:
            continue
    return found


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def _handles(process: int) -> int:
    try:
        return len(list(Path(f"/proc/{process}/fd").iterdir()))
    except OSError:
        return 0


def film(minutes: int) -> Path:
    """1080p H.264 at 2 frames/s with stereo sound at 48 kHz."""
    import imageio_ffmpeg

    path = PLACE / f"film-{minutes}min.mkv"
    if not path.exists():
        PLACE.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".part.mkv")
        source = f"testsrc2=s=1920x1080:r={FPS}:d={minutes * 60},hue=h='90*floor(t/9)'"
        inputs = ["-f", "lavfi", "-i", source, "-f", "lavfi", "-i", f"anoisesrc=d={minutes * 60}:r=48000:a=0.1"]
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *inputs]
        command += ["-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-c:a", "pcm_s16le", "-ac", "2"]
        subprocess.run([*command, str(unfinished)], check=True)
        unfinished.rename(path)
    return path


def small_files(folder: Path, count: int) -> Path:
    """`count` files of a few kilobytes: stills, clips and sounds, no two alike."""
    from PIL import Image

    from tests.clips import gradient, make_clip, sine

    folder.mkdir(parents=True)
    clip = make_clip(folder / "clip.mp4", 3, audio=sine(0.1)).read_bytes()
    tone = make_clip(folder / "tone.wav", 0, audio=sine(0.05), audio_codec="pcm_s16le").read_bytes()
    Image.fromarray(gradient(1)).save(folder / "still.png")
    still = (folder / "still.png").read_bytes()
    for i in range(count):
        kind, data = (("png", still), ("mp4", clip), ("wav", tone))[i % 3]
        (folder / f"{i:06d}.{kind}").write_bytes(data + i.to_bytes(4, "big"))  # trailing bytes make another content
    return folder


def watched(arguments: list[str]) -> Watch:
    """Runs `mediaml analyze` and watches it."""
    command = [sys.executable, "-m", "mediaml", "analyze", *arguments, "--quiet", "--no-derive", "--workers", "1"]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    watch, began = Watch(process.pid), time.monotonic()
    while process.poll() is None:
        watch.look(began)
        time.sleep(0.25)
    if process.returncode > 1:
        sys.exit(process.returncode)
    return watch


def show(title: str, watch: Watch) -> None:
    first, *_, last = thirds = watch.thirds()
    peak = max(gigabytes for gigabytes, _ in thirds)
    print(f"\n{title}: {watch.samples[-1][0]:.0f} s, peak {peak:.2f} GB resident (largest process)")
    print("| | first third | second | last |\n|---|---|---|---|")
    print("| peak GB | " + " | ".join(f"{g:.3f}" for g, _ in thirds) + " |")
    print("| most handles | " + " | ".join(str(n) for _, n in thirds) + " |")
    print(f"growth from first to last third: {last[0] - first[0]:+.3f} GB, {last[1] - first[1]:+d} handles", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--film", action="store_true")
    parser.add_argument("--minutes", type=int, default=180)
    parser.add_argument("--files", type=int, default=0)
    parser.add_argument("--analyzers", default="", help="comma-separated; the default set if empty")
    given = parser.parse_args()
    chosen = ["-a", given.analyzers] if given.analyzers else []
    place = Path(tempfile.mkdtemp(prefix="mediaml-memory-"))
    try:
        if given.film:
            path = film(given.minutes)
            watch = watched([str(path), "-o", str(place / "film"), *chosen])
            show(f"{given.minutes} min of 1080p at {FPS} frames/s", watch)
        if given.files:
            media = small_files(place / "media", given.files)
            watch = watched([str(media), "-o", str(place / "files"), *(chosen or ["-a", "siti,silence,thumbnails"])])
            show(f"{given.files} small files", watch)
    finally:
        shutil.rmtree(place)


if __name__ == "__main__":
    main()

"""The codec and container matrix: presentation times of every frame against an independent ffmpeg, or a typed error.

    python -m benchmarks.codecs                 # the table of docs/codecs.md on stdout; generated and shared files

The independent program decodes each file by itself (`-f framecrc -copyts`): its frame count and its times, tick by
tick, must be ours. Files are made by `benchmarks.codec_files`; real ones come from the shared test data.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.codec_files import FILES, make_files
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.stream import MediaStream
from mediaml.errors import MediaError
from mediaml.frames import FrameBatch
from mediaml.spec import Need, View

SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
TOLERANCE_SECONDS = 1e-6


@dataclass(frozen=True, slots=True)
class Outcome:
    """One file: our times and the other program's, in seconds; `error` where we refuse it; problems met on the way."""

    path: Path
    ours: tuple[float, ...] = ()
    theirs: tuple[float, ...] = ()
    error: MediaError | None = None
    problems: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Every frame, each at its time."""
        pairs = zip(self.ours, self.theirs, strict=False)
        return len(self.ours) == len(self.theirs) > 0 and all(abs(a - b) <= TOLERANCE_SECONDS for a, b in pairs)

    def __str__(self) -> str:
        if self.error is not None:
            return f"`{self.error.kind}`"
        text = (
            f"{len(self.ours)} frames, times exact" if self.exact else f"{len(self.ours)} of {len(self.theirs)} frames"
        )
        return text + (f"; reported: {', '.join(self.problems)}" if self.problems else "")


def examine(path: Path) -> Outcome:
    """Decodes every frame of the main video by mediaml, then by ffmpeg."""
    ours: list[float] = []
    try:
        info = probe(path)
        if info.main_video is None:
            return Outcome(path)
        with MediaStream(path, info, make_plan(info, [Need(View.luma())])) as stream:
            for delivery in stream:
                if isinstance(delivery.batch, FrameBatch):
                    ours += delivery.batch.pts_seconds.tolist()
            problems = tuple(sorted({p.kind for p in stream.report.problems}))
    except MediaError as error:
        return Outcome(path, tuple(ours), error=error)
    return Outcome(path, tuple(ours), tuple(reference_times(path, info.main_video.index)), problems=problems)


def reference_times(path: Path, stream: int) -> list[float]:
    """Times of all frames by the independent ffmpeg, in seconds."""
    import imageio_ffmpeg

    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "quiet", "-copyts", "-noautorotate", "-i", str(path)]
    command += ["-map", f"0:{stream}", "-fps_mode", "passthrough", "-enc_time_base", "demux"]
    command += ["-noautoscale", "-c:v", "rawvideo", "-f", "framecrc", "-"]  # a size that changes is left as it is
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    base = next((line.split(": ")[1] for line in lines if line.startswith("#tb")), "1/1")
    num, den = map(int, base.split("/"))
    return [int(line.split(",")[2]) * num / den for line in lines if not line.startswith("#")]


def shared_files() -> list[Path]:
    """Real files of the shared test data, by name."""
    groups = ("media-edge", "video")
    return sorted((p for g in groups for p in (SHARED / g).rglob("*") if p.suffix in ENDINGS), key=lambda p: p.name)


ENDINGS = (".mp4", ".mkv", ".webm", ".ts", ".avi", ".3gp")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="mediaml-codecs-") as place:
        print("| file | codec | container | special | result |\n|---|---|---|---|---|")
        for name, path in make_files(Path(place)).items():
            _, codec, container, special = FILES[name]
            print(f"| {name} | {codec} | {container} | {special} | {examine(path)} |", flush=True)
        for path in shared_files():
            print(f"| {path.name} | | | real | {examine(path)} |", flush=True)


if __name__ == "__main__":
    main()

"""The same faulted encodes scored by several tools: VMAF v0.6.1 of each, beside the oracle on the true pairs.

    python -m benchmarks.alignment_tools CLIP [--frames 110] [--crf 24] [--faults NAME ...] [--slow NAME ...]

    mediaml     `mediaml score`
    n to n      libvmaf of an ffmpeg, frame n against frame n, as its own program and most wrappers compare
    times       the same ffmpeg, frames matched by their times from the first one on (setpts=PTS-STARTPTS)
    fqm         the package ffmpeg-quality-metrics
    easyVmaf    the package easyVmaf, which looks for the best offset in the reference's first second (--sync-window 1). It
                scales both to 1080p, so its figures compare with its own first row; only for the faults of --slow

The packages are optional (`pip install --target DIR ffmpeg-quality-metrics easyVmaf`, then PYTHONPATH=DIR) and need ffmpeg
and ffprobe on the PATH; the ffmpeg of imageio-ffmpeg has libvmaf.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import imageio_ffmpeg

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.alignment import encode, measure, pictures
from benchmarks.alignment_faults import faults

Tool = Callable[[Path, Path, Path], float]  # distorted, reference, scratch folder -> mean VMAF
_COUNTED = "settb=1/25,setpts=N"
_TIMED = "settb=AVTB,setpts=PTS-STARTPTS"


def libvmaf(prepare: str) -> Tool:
    def run(distorted: Path, reference: Path, folder: Path) -> float:
        log = folder / "libvmaf.json"
        graph = (
            f"[0:v]{prepare}[a];[1:v]{prepare}[b];[a][b]scale2ref=flags=bicubic[c][d];"
            f"[c][d]libvmaf=model=version=vmaf_v0.6.1:shortest=1:log_fmt=json:log_path={log}"
        )
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", distorted, "-i", reference]
        _run([*map(str, command), "-lavfi", graph, "-f", "null", "-"])
        return float(json.loads(log.read_text())["pooled_metrics"]["vmaf"]["mean"])

    return run


def quality_metrics(distorted: Path, reference: Path, folder: Path) -> float:
    del folder
    found = _run([sys.executable, "-m", "ffmpeg_quality_metrics", str(distorted), str(reference), "-m", "vmaf"])
    return float(json.loads(found)["global"]["vmaf"]["vmaf"]["average"])


def easy_vmaf(distorted: Path, reference: Path, folder: Path) -> float:
    del folder
    command = [sys.executable, "-m", "easyvmaf", "-d", str(distorted), "-r", str(reference), "--vmaf-version", "0.6"]
    _run([*command, "--sync-window", "1", "--shortest"])
    log = json.loads(distorted.with_name(f"{distorted.stem}_vmaf.json").read_text())
    return float(next(v["mean"] for k, v in log["pooled_metrics"].items() if k.startswith("vmaf")))


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"})
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
    return done.stdout


def tools() -> dict[str, Tool]:
    """Those that can run here."""
    found: dict[str, Tool] = {"n to n": libvmaf(_COUNTED), "times": libvmaf(_TIMED)}
    on_path = shutil.which("ffmpeg") and shutil.which("ffprobe")
    if on_path and importlib.util.find_spec("ffmpeg_quality_metrics"):
        found["fqm"] = quality_metrics
    if on_path and importlib.util.find_spec("easyvmaf"):
        found["easyVmaf"] = easy_vmaf
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--frames", type=int, default=110)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--crf", type=int, default=24)
    parser.add_argument("--faults", nargs="+", default=[])
    parser.add_argument("--slow", nargs="*", default=[], help="faults that easyVmaf is asked about too")
    given = parser.parse_args()
    given.metric, given.all_scores = "vmaf", True
    shown = pictures(given.clip, given.skip, given.frames)
    available = tools()
    print(f"{'fault':18}{'oracle':>10}{'mediaml':>10}" + "".join(f"{name:>10}" for name in available))
    for fault in faults(len(shown)):
        if given.faults and fault.name not in given.faults:
            continue
        with tempfile.TemporaryDirectory() as folder:
            found = measure(given.clip.stem, shown, fault, given.crf, Path(folder), given)
            files = encode(shown, fault, given.crf, Path(folder))
            row = f"{fault.name:18}{found.oracle:10.2f}{found.score:10.2f}"
            for name, tool in available.items():
                if name == "easyVmaf" and fault.name not in given.slow:
                    row += f"{'-':>10}"
                    continue
                try:
                    row += f"{tool(*files, Path(folder)):10.2f}"
                except (RuntimeError, OSError, KeyError, ValueError, StopIteration) as error:
                    row += f"{'failed':>10}"
                    print(f"{name}: {error}", file=sys.stderr)
        print(row, flush=True)


if __name__ == "__main__":
    main()

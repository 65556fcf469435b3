"""Hands an aligned pair to the libvmaf inside an ffmpeg: the same frames in the same form, the same columns out.

The pictures go through one pipe, distorted and reference in turn, so any size and format passes, and nothing but libvmaf's
log is written to disk. Two formats that libvmaf does not take go as others of equal value: grey as 4:2:0 with level chroma,
9 and 14 bits shifted up to 10 and 16. The ffmpeg is a program of the user's: MEDIAML_FFMPEG, else the one on the PATH, else
imageio-ffmpeg's.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mediaml import weights
from mediaml.analyzers.base import Analyzer
from mediaml.analyzers.quality_fr.vmaf_any import AnyVmaf
from mediaml.decode.pair.plan import PairPlan
from mediaml.decode.pair.stream import PairStream
from mediaml.engine.run import Progress
from mediaml.engine.runner import Runner, nullable
from mediaml.errors import AnalyzerError, InvalidValue, printable
from mediaml.frames import FrameBatch, Planes
from mediaml.spec import Table

Numbers = tuple[NDArray[Any], ...]
_PLANES = (("y", "y"), ("u", "cb"), ("v", "cr"))


@dataclass(frozen=True, slots=True)
class _Metric:
    """`model` or `feature` as the filter takes it; columns: ours -> the name in libvmaf's log."""

    columns: Mapping[str, str]
    model: str = ""
    feature: str = ""


_PARTS = {
    **{n: f"integer_{n}" for s in range(4) for n in (f"vif_scale{s}", f"adm_scale{s}")},
    "adm2": "integer_adm2",
    "motion2": "integer_motion2",
}
_METRICS: Mapping[str, _Metric] = {
    "vmaf": _Metric({"vmaf": "vmaf", **_PARTS}, model="version=vmaf_v0.6.1"),
    "vmaf_neg": _Metric({"vmaf_neg": "vmaf_neg"}, model="version=vmaf_v0.6.1neg"),
    "vmaf_v1": _Metric(
        {
            "vmaf_v1": "vmaf_v1",
            "adm3": "integer_adm3_csf_2_dlmw_0.7_egl_1_min_0.5_nw_0.02",
            "motion3": "integer_motion3_mmxv_18",
            "speed_chroma": "speed_chroma_uv_mxv_45_nnf_0.1_snn_0.19_wvm_5",
            "cambi_v1": "cambi_hrs_1080_cmxv_17_vlt_0.06",
        },
        model="version=vmaf_v1.0.16_3d0h",
    ),
    "vmaf_4k": _Metric({"vmaf_4k": "vmaf_4k"}, model="version=vmaf_4k_v0.6.1"),
    "vmaf_phone": _Metric({"vmaf_phone": "vmaf_phone"}, model="version=vmaf_v0.6.1\\:enable_transform=true"),
    "psnr": _Metric(
        {**{f"psnr_{p}": f"psnr_{q}" for p, q in _PLANES}, **{f"mse_{p}": f"mse_{q}" for p, q in _PLANES}},
        feature="psnr\\:enable_mse=true",
    ),
    "ssim": _Metric({"ssim": "float_ssim"}, feature="float_ssim"),
    "ms_ssim": _Metric({"ms_ssim": "float_ms_ssim"}, feature="float_ms_ssim"),
    "ciede2000": _Metric({"ciede2000": "ciede2000"}, feature="ciede"),
    "psnr_hvs": _Metric(
        {"psnr_hvs": "psnr_hvs", **{f"psnr_hvs_{p}": f"psnr_hvs_{q}" for p, q in _PLANES}}, feature="psnr_hvs"
    ),
    "cambi": _Metric({"cambi": "cambi"}, feature="cambi"),
}


@dataclass(frozen=True, slots=True)
class LibvmafBackend:
    """An ffmpeg that has the filter. `name` stands in results."""

    program: str
    version: str

    @property
    def name(self) -> str:
        return f"libvmaf in ffmpeg {self.version} ({printable(self.program)})"


def find_libvmaf() -> LibvmafBackend:
    """Raises InvalidValue, naming where was looked, where no ffmpeg has the filter."""
    looked = []
    for where, find in _PLACES.items():
        program = find()
        if program is None:
            looked.append(f"{where}: none")
            continue
        found = _filters(program)
        if found is not None:
            return LibvmafBackend(program, found)
        looked.append(f"{where}: {printable(program)} does not run, or has no libvmaf")
    raise InvalidValue(
        f"--backend libvmaf needs an ffmpeg with the libvmaf filter ({'; '.join(looked)}); set MEDIAML_FFMPEG to one, or "
        "pip install imageio-ffmpeg"
    )


def _from_package() -> str | None:
    if importlib.util.find_spec("imageio_ffmpeg") is None:
        return None
    import imageio_ffmpeg

    try:
        return imageio_ffmpeg.get_ffmpeg_exe()
    except RuntimeError:
        return None


_PLACES: Mapping[str, Callable[[], str | None]] = {
    "MEDIAML_FFMPEG": lambda: os.environ.get("MEDIAML_FFMPEG") or None,
    "PATH": lambda: shutil.which("ffmpeg"),
    "imageio-ffmpeg": _from_package,
}


def _filters(program: str) -> str | None:
    """ffmpeg's version where it has libvmaf."""
    try:
        listed = subprocess.run([program, "-filters"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    if not re.search(r"\blibvmaf\b", listed.stdout):
        return None
    said = re.search(r"ffmpeg version (\S+)", listed.stderr + listed.stdout)
    return said[1] if said else "of unknown version"


def check_libvmaf_has(analyzers: Sequence[type[Analyzer]]) -> None:
    """Raises InvalidValue for a metric that this backend does not give."""
    for cls in analyzers:
        if _metric(cls) is None:
            raise InvalidValue(
                f"--backend libvmaf does not give {cls.spec.name}; it gives {', '.join(_METRICS)} and models by their path; "
                "leave the metric out, or the backend"
            )


def _metric(cls: type[Analyzer]) -> _Metric | None:
    """What to ask for; a single model of the user's is asked for by a link in the working folder."""
    known = _METRICS.get(cls.spec.name)
    if known is None and issubclass(cls, AnyVmaf) and len(cls.spec.outputs) == 1:
        name = cls.spec.name
        return _Metric({name: name}, f"path={name}.json" + ("\\:enable_transform=true" if cls.transform else ""))
    return known


def run_libvmaf(
    backend: LibvmafBackend,
    plan: PairPlan,
    stream: PairStream,
    analyzers: Sequence[type[Analyzer]],
    numbers_of: Callable[[FrameBatch], Numbers],
    progress: Progress | None,
) -> tuple[list[Runner], list[Numbers]]:
    """Runners that hold libvmaf's values as their rows, and the numbers of every batch. Raises AnalyzerError, MediaError."""
    numbers: list[Numbers] = []
    if plan.form.bit_depth not in (8, 10, 12) and any(c.spec.name == "psnr_hvs" for c in analyzers):
        raise InvalidValue(
            f"libvmaf's psnr_hvs takes 8, 10 and 12 bits, this pair has {plan.form.bit_depth}; leave --backend libvmaf out"
        )
    with tempfile.TemporaryDirectory() as folder:
        log, said = Path(folder) / "log.json", Path(folder) / "said.txt"
        for cls in analyzers:
            if issubclass(cls, AnyVmaf):
                (Path(folder) / f"{cls.spec.name}.json").symlink_to(weights.resolve(cls.spec.weights[0]))
        with said.open("wb") as errors, stream:
            process = subprocess.Popen(
                _command(backend, plan, analyzers, log),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=folder,
            )
            try:
                _send(process, stream, numbers, numbers_of, progress)
            finally:
                process.stdin = None if process.stdin is None or process.stdin.closed else process.stdin
                if process.stdin is not None:
                    process.kill()
                process.wait()
        if process.returncode or (numbers and not log.is_file()):
            text = said.read_text(errors="replace").strip().splitlines()
            raise AnalyzerError("libvmaf", f"{backend.program} failed: {'; '.join(text[:3]) or process.returncode}")
        logged = json.loads(log.read_text())["frames"] if numbers else []
    return [_runner(cls, logged, numbers, plan) for cls in analyzers], numbers


def _send(
    process: subprocess.Popen[bytes],
    stream: PairStream,
    numbers: list[Numbers],
    numbers_of: Callable[[FrameBatch], Numbers],
    progress: Progress | None,
) -> None:
    """Every pair down the pipe, which is closed at the end; what ffmpeg says about a broken pipe is read by the caller."""
    pipe, frames = process.stdin, 0
    assert pipe is not None
    try:
        for batch in stream:
            assert batch.planes is not None and batch.reference is not None and batch.reference.planes is not None
            for row in range(len(batch)):
                for planes in (batch.planes, batch.reference.planes):
                    pipe.write(_raw(planes, row))
            numbers.append(numbers_of(batch))
            frames += len(batch)
            if progress is not None:
                progress(frames, float(batch.pts_seconds[-1]))
        pipe.close()
    except BrokenPipeError:
        process.wait()


def _raw(planes: Planes, row: int) -> bytes:
    shift = sent_depth(planes.bit_depth) - planes.bit_depth
    parts = [p[row, 0].numpy() for p in (planes.y, planes.u, planes.v) if p is not None]
    if len(parts) == 1:
        height, width = parts[0].shape
        level = np.full(((height + 1) // 2, (width + 1) // 2), 1 << (planes.bit_depth - 1), parts[0].dtype)
        parts += [level, level]
    return b"".join((p << shift if shift else p).tobytes() for p in parts)


def sent_depth(bit_depth: int) -> int:
    """The next depth that libvmaf takes."""
    return next(d for d in (8, 10, 12, 16) if d >= bit_depth)


def _command(backend: LibvmafBackend, plan: PairPlan, analyzers: Sequence[type[Analyzer]], log: Path) -> list[str]:
    wanted = [(cls.spec.name, metric) for cls in analyzers if (metric := _metric(cls)) is not None]
    models = "|".join(f"{m.model}\\:name={name}" for name, m in wanted if m.model)
    features = "|".join(f"name={m.feature}" for _, m in wanted if m.feature)
    options = [f"log_fmt=json:log_path={_escaped(log)}", f"model='{models}'" if models else "model="]
    if features:
        options.append(f"feature='{features}'")
    graph = (
        "[0:v]split[a][b];[a]select='not(mod(n,2))',setpts=N/25/TB[d];[b]select='mod(n,2)',setpts=N/25/TB[r];"
        f"[d][r]libvmaf={':'.join(options)}"
    )
    size, kind = plan.form.size, "yuv420p" if plan.form.grey else plan.form.base
    depth = sent_depth(plan.form.bit_depth)
    pixels = kind if depth == 8 else f"{kind}{depth}le"
    source = ["-f", "rawvideo", "-pix_fmt", pixels, "-s", f"{size[0]}x{size[1]}", "-r", "25", "-i", "-"]
    return [backend.program, "-hide_banner", "-loglevel", "error", *source, "-lavfi", graph, "-f", "null", "-"]


def _escaped(path: Path) -> str:
    """For a filter graph, in which colons and backslashes mean something."""
    return re.sub(r"([\\:',\[\];])", r"\\\1", path.as_posix())


def _peak(plan: PairPlan) -> float:
    """The largest code of the pair's depth, as it is sent."""
    depth = plan.form.bit_depth
    return (2.0**depth - 1) * 2.0 ** (sent_depth(depth) - depth)


def _runner(cls: type[Analyzer], logged: Sequence[Mapping[str, Any]], numbers: list[Numbers], plan: PairPlan) -> Runner:
    runner = Runner(cls())
    keys = [np.concatenate(part) for part in zip(*numbers, strict=True)] if numbers else [np.zeros(0)] * 2
    frames: dict[str, Any] = {"frame_index": keys[0], "pts_seconds": keys[1]}
    metric = _metric(cls)
    names = metric.columns if metric is not None else {}
    for column in cls.spec.columns(Table.FRAMES):
        logged_as = names.get(column.name, "")
        values = np.array([float(f["metrics"].get(logged_as, np.nan)) for f in logged])
        if plan.form.grey and column.name.endswith(("_u", "_v")):
            values[:] = np.nan
        if column.name.startswith("mse_"):
            values /= _peak(plan) ** 2
        if column.name.startswith("psnr_") and not column.name.startswith("psnr_hvs"):
            values += 20 * np.log10(_peak(plan) / (2.0 ** sent_depth(plan.form.bit_depth) - 1))
        frames[column.name] = values
    if "psnr_611" in frames:
        frames["psnr_611"] = (6 * frames["psnr_y"] + frames["psnr_u"] + frames["psnr_v"]) / 8
    packed = {c.name: nullable(c, frames[c.name]) for c in cls.spec.columns(Table.FRAMES)}
    runner.rows = {Table.FRAMES: {"frame_index": keys[0], "pts_seconds": keys[1], **packed}}
    return runner

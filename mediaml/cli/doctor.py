"""`mediaml doctor`: is this machine ready, and if not, what to do."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Literal

import typer

from mediaml.cli.console import output_console, print_json

Verdict = Literal["ok", "warning", "error"]
PACKAGES = (
    "torch",
    "torchvision",
    "torchaudio",
    "av",
    "opencv-python-headless",
    "open-clip-torch",
    "duckdb",
    "pyarrow",
)
DECODERS = ("h264", "hevc", "av1", "vp9", "mpeg2video", "prores", "vvc", "aac", "opus", "flac", "mp3", "ac3")
MINIMUM_FREE_BYTES = 2 << 30


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found, and the step that helps where it is not well."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


def register(app: typer.Typer) -> None:
    app.command("doctor")(doctor)


def doctor(
    lake: Annotated[Path | None, typer.Option(help="Also check that this lake can be read and written.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON.")] = False,
) -> None:
    """Check this machine: packages, decoders, weights, GPU, disk. Exit code 1 where something is missing."""
    findings = list(examine(lake))
    if as_json:
        print_json([{"check": f.check, "verdict": f.verdict, "found": f.found, "advice": f.advice} for f in findings])
    else:
        colour = {"ok": "green", "warning": "yellow", "error": "red"}
        for f in findings:
            output_console().print(f"[{colour[f.verdict]}]{f.verdict:8}[/]", end="")
            text = f"{f.check}: {f.found}" + (f"; {f.advice}" if f.advice else "")
            output_console().print(text, markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(int(any(f.verdict == "error" for f in findings)))


def examine(lake: Path | None = None) -> Iterator[Finding]:
    """All checks, in the order a reader would want them."""
    yield Finding("python", "ok", f"{platform.python_version()} on {platform.machine()}, {os.cpu_count()} cores")
    yield from _packages()
    checks: list[Callable[[], Iterator[Finding]]] = [_gpu, _decoders, _weights, _disk]
    for check in checks:
        yield from check()
    if lake is not None:
        yield from _lake(lake)


def _packages() -> Iterator[Finding]:
    for name in PACKAGES:
        try:
            yield Finding(name, "ok", version(name))
        except PackageNotFoundError:
            yield Finding(name, "error", "not installed", f"run: {sys.executable} -m pip install {name}")


def _gpu() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        yield _gpu_fits(torch.cuda.get_device_name(), torch.cuda.get_device_capability(), torch.cuda.get_arch_list())
        yield _hardware_decoder()
    elif shutil.which("nvidia-smi"):
        built = torch.version.cuda
        found = "nvidia-smi is there, but torch finds no CUDA device" if built else "a GPU, but this torch is CPU-only"
        advice = (
            f"this torch was built for CUDA {built}, which the driver may be too old for: compare `nvidia-smi`"
            if built
            else "install torch from its CUDA index, or leave it: everything runs on the CPU"
        )
        yield Finding("gpu", "warning", found, advice)
    else:
        yield Finding("gpu", "ok", "none; everything runs on the CPU")


def _gpu_fits(name: str, capability: tuple[int, int], architectures: Sequence[str]) -> Finding:
    """Whether this torch has kernels for the GPU: of its major number, and no newer than it."""
    major, minor = capability
    pattern = re.compile(r"(?:sm|compute)_(\d+)(\d)[a-z]?")
    built = [(int(m[1]), int(m[2])) for m in map(pattern.fullmatch, architectures) if m]
    if any(a == major and b <= minor for a, b in built):
        return Finding("gpu", "ok", f"{name} (compute capability {major}.{minor})")
    found = f"{name} has compute capability {major}.{minor}; this torch has kernels for {', '.join(architectures)}"
    return Finding("gpu", "error", found, "install a torch built for it, or run with --device cpu")


def _hardware_decoder() -> Finding:
    from av.codec.hwaccel import hwdevices_available

    if "cuda" in hwdevices_available():
        return Finding("hardware decoder", "ok", "FFmpeg has CUDA decoders (NVDEC)")
    return Finding("hardware decoder", "warning", "FFmpeg has no CUDA decoders", "install PyAV from its wheel")


def _decoders() -> Iterator[Finding]:
    import av
    import av.codec

    absent = [name for name in DECODERS if not _has_decoder(name)]
    libraries = ", ".join(
        f"{k} {'.'.join(map(str, v))}" for k, v in sorted(av.library_versions.items()) if k == "libavcodec"
    )
    if absent:
        yield Finding("decoders", "warning", f"{libraries}; absent: {', '.join(absent)}", "install PyAV from its wheel")
    else:
        yield Finding("decoders", "ok", f"{libraries}; {', '.join(DECODERS)}")


def _has_decoder(name: str) -> bool:
    import av.codec

    try:
        av.codec.Codec(name, "r")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def _weights() -> Iterator[Finding]:
    from mediaml import weights
    from mediaml.errors import WeightsError

    for entry in weights.entries():
        if not entry.default:
            continue
        try:
            weights.resolve(entry.name)
            yield Finding(f"weights {entry.name}", "ok", "present and verified")
        except WeightsError as error:
            yield Finding(f"weights {entry.name}", "error", str(error))


def _disk() -> Iterator[Finding]:
    from mediaml import weights

    place = weights.store_root()
    existing = next(p for p in (place, *place.parents) if p.exists())
    free = shutil.disk_usage(existing).free
    verdict: Verdict = "ok" if free >= MINIMUM_FREE_BYTES else "warning"
    yield Finding("disk", verdict, f"{free / 1e9:.1f} GB free for weights in {place}")


def _lake(path: Path) -> Iterator[Finding]:
    from mediaml.errors import LakeError
    from mediaml.tables import Lake
    from mediaml.tables.storage import url_of

    try:
        lake = Lake.open(path)
        rows = sum(t.rows for t in lake.tables())
        writable = url_of(path) is not None or os.access(path, os.W_OK)
        yield Finding("lake", "ok" if writable else "warning", f"{rows:,} rows" + ("" if writable else ", read-only"))
    except LakeError as error:
        yield Finding("lake", "error", str(error))

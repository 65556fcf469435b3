"""Full-reference metrics on real encodes: accuracy against libvmaf and the packages, then frames a second, in one run.

    OMP_NUM_THREADS=1 python -m benchmarks.full_reference                  # twenty minutes of CPU; resumable
    OMP_NUM_THREADS=1 python -m benchmarks.full_reference --frames 48 --clips carphone_distorted.mp4
    OMP_NUM_THREADS=1 python -m benchmarks.full_reference --only speed

Encodes are x264 at CRF 23, 32 and 40 in 8 and 10 bit, made here of the first frames of each clip. Ours is `mediaml.score` on
the two files, frame against frame. A finished case is kept in a file under the system's temporary folder, by the content
of mediaml/metrics, so that a run that was cut off goes on where it stopped (`--fresh` computes all again). Other packages
are compared where they can be imported; the run says which are missing and how to install them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

import mediaml
from benchmarks.full_reference_material import Case, Planes, decode, libvmaf
from benchmarks.full_reference_peers import applies, conventions, missing, vmaf_torch
from benchmarks.full_reference_speed import show_speed
from mediaml import metrics

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MEDIAML_SHARED_DATA", ROOT.parent / "shared" / "data"))
PLACE = Path(tempfile.gettempdir()) / "mediaml-benchmarks" / "full_reference"
CLIPS = (
    "carphone_distorted.mp4",
    "nasa_13013.mp4",
    "bear-vp9.webm",
    "roadtrip-vp92-10bit.webm",
    "bigbuckbunny.mp4",
    "testvideo.mp4",
)  # small ones first: of 720p a case takes a minute of CPU
CRFS = (23, 32, 40)
MODELS = {
    "vmaf": "version=vmaf_v0.6.1",
    "vmaf_neg": "version=vmaf_v0.6.1neg",
    "vmaf_4k": "version=vmaf_4k_v0.6.1",
    "vmaf_phone": "version=vmaf_v0.6.1\\:enable_transform=true",
    "vmaf_v1": "version=vmaf_v1.0.16_3d0h",
}
PARTS = {"vif": [f"vif_scale{i}" for i in range(4)], "adm2": ["adm2"], "motion2": ["motion2"]}
FEATURES = {  # analyzer -> libvmaf's feature, and our columns -> its names
    "psnr": ("psnr", {"psnr_y": "psnr_y", "psnr_u": "psnr_cb", "psnr_v": "psnr_cr"}),
    "ssim": ("float_ssim", {"ssim": "float_ssim"}),
    "ms_ssim": ("float_ms_ssim", {"ms_ssim": "float_ms_ssim"}),
    "ciede2000": ("ciede", {"ciede2000": "ciede2000"}),
    "psnr_hvs": ("psnr_hvs", {"psnr_hvs": "psnr_hvs"}),
    "cambi": ("cambi", {"cambi": "cambi"}),
}
SMALLEST = {"ms_ssim": 176, "cambi": 160, "vmaf_v1": 160}  # pixels of the shorter side
Values = dict[str, float]


def measure(case: Case, folder: Path) -> dict[str, Values]:
    """Greatest differences a frame: ours from libvmaf, vmaf-torch from libvmaf, conventions from their packages and
    those packages from libvmaf."""
    ref, dist = case.make(folder)
    pair = decode(ref, case), decode(dist, case)
    smaller = min(pair[0].y.shape[2:])
    names = [n for n in (*MODELS, *FEATURES) if smaller >= SMALLEST.get(n, 1)]
    theirs = libvmaf(
        ref, dist, folder / "log.json",
        {n: m for n, m in MODELS.items() if n in names}, [FEATURES[n][0] for n in names if n in FEATURES],
    )  # fmt: skip
    ours = mediaml.score(dist, ref, names, align=False).frames
    found = {n: apart(ours[n], theirs[n]) for n in names if n in MODELS}
    found |= {n: max(apart(ours[c], theirs[f"integer_{c}"]) for c in cs) for n, cs in PARTS.items()}
    for name, (_, columns) in FEATURES.items():
        if name in names:
            found[name] = max(apart(ours[c], theirs[t]) for c, t in columns.items())
    peers = {} if "vmaf_torch" in missing() else {
        "vmaf": apart(vmaf_torch(*pair, case.bit_depth), theirs["vmaf"])
    }  # fmt: skip
    more = (
        passports(pair, case.bit_depth, theirs) if case.crf == CRFS[1] else {}
    )  # they take minutes of a large picture
    return {"mean": {"vmaf": float(theirs["vmaf"].mean())}, "ours": found, "peers": peers} | more


def apart(a: Tensor | np.ndarray, b: Tensor) -> float:
    """Greatest difference; a missing value counts as infinitely far."""
    return float((torch.as_tensor(a) - b).abs().nan_to_num(torch.inf).max())


def passports(pair: tuple[Planes, Planes], bit_depth: int, theirs: dict[str, Tensor]) -> dict[str, Values]:
    """Of the first and the last frame: our convention from its package, and that package from libvmaf."""
    count, _, height, width = pair[0].y.shape
    same: Values = {}
    other: Values = {}
    for name, peer in conventions().items():
        if not applies(name, height, width):
            continue
        metric, convention = name.split(":")
        for at in (0, count - 1):
            x, y = (p.y[at : at + 1] for p in pair)
            unit = [t.double() / (2**bit_depth - 1) for t in (x, y)]
            value = float(peer(*unit))
            mine = getattr(metrics, metric)(x, y, bit_depth=bit_depth, convention=convention).item()
            same[name] = max(same.get(name, 0.0), abs(mine - value))
            as_libvmaf = theirs["psnr_y" if metric == "psnr" else f"float_{metric}"][at].item()
            other[name] = max(other.get(name, 0.0), abs(value - as_libvmaf))
    return {"conventions": same, "packages": other}


def remembered(cases: Sequence[Case], kept: Path) -> dict[str, dict[str, Values]]:
    """Every case, measured now or before; each is kept as soon as it is there."""
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    for at, case in enumerate(cases):
        key = f"{case.clip.stem} {case.bit_depth} {case.crf} {case.frames}"
        if key not in known:
            print(f"({at + 1} of {len(cases)}: {key})", flush=True)
            with tempfile.TemporaryDirectory() as folder:
                known[key] = measure(case, Path(folder))
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.with_suffix(".part").write_text(json.dumps(known, indent=1))
            kept.with_suffix(".part").replace(kept)
    return {
        f"{c.clip.stem} {c.bit_depth} {c.crf}": known[f"{c.clip.stem} {c.bit_depth} {c.crf} {c.frames}"] for c in cases
    }


def state_file() -> Path:
    """By the content of the metrics and of the packages that are there: other code is measured again."""
    code = hashlib.sha256()
    for path in sorted((ROOT / "mediaml" / "metrics").glob("*.py")):
        code.update(path.read_bytes())
    code.update(repr(sorted(missing())).encode())
    return PLACE / f"{code.hexdigest()[:16]}.json"


def show(found: dict[str, dict[str, Values]], kind: str, title: str) -> None:
    """One Markdown table; its last row is the worst of each column."""
    found = {case: values for case, values in found.items() if values.get(kind)}
    names = list(dict.fromkeys(n for values in found.values() for n in values[kind]))
    if not names:
        return
    print(f"\n## {title}\n| clip, bits, CRF | mean VMAF | " + " | ".join(names) + " |\n|---|---|" + "---|" * len(names))
    for case, values in found.items():
        cells = [f"{values[kind][n]:.1e}" if n in values[kind] else "-" for n in names]
        print(f"| {case} | {values['mean']['vmaf']:.2f} | " + " | ".join(cells) + " |")
    worst = [max(v[kind][n] for v in found.values() if n in v[kind]) for n in names]
    print("| worst | | " + " | ".join(f"{w:.1e}" for w in worst) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=6, help="of each clip, from its start")
    parser.add_argument("--clips", nargs="*", default=CLIPS)
    parser.add_argument("--only", choices=["accuracy", "speed"])
    parser.add_argument("--fresh", action="store_true", help="forget what earlier runs measured")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for name, command in missing().items():
        print(f"not compared: {name} is missing; {command}")
    clips = [next(SHARED.rglob(name)) for name in given.clips]
    if given.only != "speed":
        kept = state_file()
        if given.fresh:
            kept.unlink(missing_ok=True)
        cases = [Case(c, b, q, given.frames) for c in clips for b in (8, 10) for q in CRFS]
        found = remembered(cases, kept)
        title = f"over {given.frames} frames, first and last included"
        show(found, "ours", f"mediaml: greatest difference a frame from libvmaf, {title}")
        show(found, "peers", f"vmaf-torch: greatest difference a frame from libvmaf, {title}")
        show(found, "conventions", "mediaml's conventions: greatest difference from the package they name")
        show(found, "packages", "those packages: greatest difference from libvmaf under the same name")
    if given.only != "accuracy":
        show_speed(next(SHARED.rglob("bigbuckbunny.mp4")))


if __name__ == "__main__":
    main()

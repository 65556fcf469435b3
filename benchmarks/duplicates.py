"""Are copies found? Clips re-encoded, cropped, trimmed and mirrored, against each other: precision and recall.

    python -m benchmarks.duplicates --shared ../shared/data

Every variant is made here with PyAV. All pairs of files are compared; those of one clip should match, others should not.
The thresholds of mediaml/retrieval/duplicates.py were read off this table: it is the tuning set.
"""

from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

import mediaml
from mediaml.retrieval.duplicates import Track, compare

CLIPS = (
    "testvideo.mp4",
    "nasa_13013.mp4",
    "bigbuckbunny.mp4",
    "carphone_pristine.mp4",
    "bt709_full_range.mp4",
    "sample.mp4",
)
Picture = NDArray[np.uint8]
Edit = Callable[[list[Picture]], list[Picture]]


def cropped(share: float) -> Edit:
    def edit(frames: list[Picture]) -> list[Picture]:
        h, w = frames[0].shape[:2]
        y, x = int(h * share / 2), int(w * share / 2)
        return [f[y : h - y or None, x : w - x or None] for f in frames]

    return edit


EDITS: dict[str, tuple[Edit, str]] = {
    "re-encoded (crf 23, 320 px)": (lambda f: f, "23"),
    "re-encoded (crf 40, 320 px)": (lambda f: f, "40"),
    "cropped by 10 %": (cropped(0.1), "23"),
    "cropped by 30 %": (cropped(0.3), "23"),
    "trimmed (middle 60 %)": (lambda f: f[int(len(f) * 0.2) : int(len(f) * 0.8)], "23"),
    "trimmed (last 40 %)": (lambda f: f[int(len(f) * 0.6) :], "23"),
    "cropped 15 %, trimmed, crf 32": (lambda f: cropped(0.15)(f[int(len(f) * 0.3) :]), "32"),
    "mirrored": (lambda f: [p[:, ::-1] for p in f], "23"),
}


def decode(path: Path) -> tuple[list[Picture], Fraction]:
    """At most 20 s, 320 px wide."""
    with av.open(str(path)) as source:
        stream = source.streams.video[0]
        rate = Fraction(stream.average_rate or 25)
        height = max(2, round(stream.height * 320 / stream.width / 2) * 2)
        frames = itertools.islice(source.decode(stream), int(20 * rate))
        return [f.reformat(width=320, height=height, format="rgb24").to_ndarray() for f in frames], rate


def encode(frames: list[Picture], rate: Fraction, crf: str, path: Path) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=rate, options={"crf": crf, "preset": "veryfast"})
        stream.width, stream.height = frames[0].shape[1] // 2 * 2, frames[0].shape[0] // 2 * 2
        stream.pix_fmt = "yuv420p"
        for picture in frames:
            whole = np.ascontiguousarray(picture[: stream.height, : stream.width])
            out.mux(stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb24")))
        out.mux(stream.encode(None))


def tracks(shared: Path, folder: Path) -> dict[tuple[str, str], Track]:
    """(clip, variant) -> its frames' vectors."""
    for name in CLIPS:
        found = sorted(shared.rglob(name))
        if not found:
            continue
        frames, rate = decode(found[0])
        encode(frames, rate, "18", folder / f"{Path(name).stem}~original.mp4")
        for variant, (edit, crf) in EDITS.items():
            encode(edit(frames), rate, crf, folder / f"{Path(name).stem}~{variant.replace('/', '-')}.mp4")
    made = {}
    for batch in mediaml.embed(folder, "lite0", level="frame"):
        if batch.error is not None:
            raise batch.error
        clip, variant = Path(batch.path).stem.split("~")
        values = np.asarray(batch.values)
        made[clip, variant] = Track(batch.start_seconds, values / np.linalg.norm(values, axis=1, keepdims=True))
    return made


def table(made: dict[tuple[str, str], Track], alike: float, run_alike: float) -> None:
    found: dict[str, list[bool]] = {}
    wrong = pairs = 0
    for (a, va), (b, vb) in itertools.combinations(made, 2):
        match = compare(made[a, va], made[b, vb], alike, run_alike) is not None
        if a == b and "original" in (va, vb):
            found.setdefault(va if vb == "original" else vb, []).append(match)
        elif a != b:
            pairs += 1
            wrong += match
    right = sum(sum(v) for k, v in found.items() if k != "mirrored")
    wanted = sum(len(v) for k, v in found.items() if k != "mirrored")
    precision = right / (right + wrong) if right + wrong else float("nan")
    print(
        f"frames alike from {alike:.2f}, runs from {run_alike:.2f}: recall {right}/{wanted} = {right / wanted:.3f}, ",
        end="",
    )
    print(f"{wrong} of {pairs} pairs of other clips matched (precision {precision:.3f})")
    print("   " + "; ".join(f"{k} {sum(v)}/{len(v)}" for k, v in found.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        made = tracks(options.shared, Path(folder))
    print(f"{len(made)} files of {len({c for c, _ in made})} clips")
    for alike, run_alike in ((0.6, 0.7), (0.7, 0.8), (0.75, 0.8), (0.75, 0.85), (0.8, 0.85), (0.85, 0.9)):
        table(made, alike, run_alike)


if __name__ == "__main__":
    main()

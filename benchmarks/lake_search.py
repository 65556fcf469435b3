"""Search through a lake of a million vectors: the index, the command, and Python kept warm; one core.

    python -m benchmarks.lake_search make big_lake                 # 2,000 films of 500 shots, about 4 GB of disk
    mediaml index big_lake
    python -m benchmarks.lake_search measure big_lake              # milliseconds a search, the first and warm
    python -m benchmarks.lake_search recall big_lake               # of the index, against exact search

The lake is written by mediaml's own writer: media, shots, thumbnails (1 kB each) and vectors of 512 with the structure that
benchmarks/vector_index.py describes, in the space of an open_clip ViT-B-32 with random weights (`make` saves its checkpoint
beside the lake), so that a search by words pays for a real text tower. What the words find is meaningless.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import resource
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.vector_index import World
from mediaml.derive.inputs import matrix
from mediaml.media import MediaInfo, VideoStream
from mediaml.retrieval.index import open_index
from mediaml.retrieval.search import search
from mediaml.retrieval.spaces import choose
from mediaml.retrieval.where import HIT
from mediaml.spec import Table
from mediaml.tables import AnalyzerRows, Lake
from mediaml.tables.rows import MediaRows

SHOT_SECONDS, SHOTS, DIMENSIONS = 5.0, 500, 512
AT_ONCE = 25  # films a commit
EMBEDDER = "embed_open_clip_random"


def checkpoint_of(lake: Path) -> Path:
    return lake.with_name(lake.name + "_model.safetensors")


def space_of(checkpoint: Path) -> tuple[str, str]:
    """(model, weights_sha256) as the analyzer would write them."""
    sha256 = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return f"open_clip:ViT-B-32/@{sha256[:12]}", sha256


def save_model(path: Path) -> None:
    import open_clip
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32", load_weights=False)
    save_file({k: v.contiguous().clone() for k, v in model.state_dict().items()}, path)


def info(path: str) -> MediaInfo:
    seconds = SHOTS * SHOT_SECONDS
    stream: dict[str, Any] = dict.fromkeys(VideoStream.__dataclass_fields__)
    stream |= {
        "index": 0,
        "codec": "h264",
        "width": 1920,
        "height": 1080,
        "display_width": 1920,
        "display_height": 1080,
    }
    stream |= {"rotation_degrees": 0, "is_attached_picture": False, "default": True}
    return MediaInfo(
        path, 10**9, "video", "mov", "QuickTime / MOV", None, 0.0, seconds, seconds, (VideoStream(**stream),)
    )


def film(name: str, values: NDArray[np.float32], space: tuple[str, str], jpeg: bytes) -> list[AnalyzerRows]:
    """Shots with their vectors and thumbnails, and the file's vector."""
    start = np.arange(len(values)) * SHOT_SECONDS
    whole = values.mean(0, keepdims=True)
    vectors = {
        "start_seconds": np.append(start, 0.0),
        "end_seconds": np.append(start + SHOT_SECONDS, len(values) * SHOT_SECONDS),
        "scope": ["shot"] * len(values) + ["file"],
        "model": [space[0]] * (len(values) + 1),
        "weights_sha256": [space[1]] * (len(values) + 1),
        "vector": np.concatenate([values, whole / np.linalg.norm(whole)]),
    }
    pictures = {
        "pts_seconds": start + SHOT_SECONDS / 2,
        "width": [160] * len(values),
        "height": [90] * len(values),
        "jpeg": [jpeg + f"{name} {i}".encode() for i in range(len(values))],
    }
    return [
        AnalyzerRows(f"{EMBEDDER}_pooled@1", "", {}, {Table.EMBEDDINGS: vectors}),
        AnalyzerRows("thumbnails@1", "", {}, {Table.THUMBNAILS: pictures}),
    ]


def small_jpeg() -> bytes:
    from PIL import Image

    made = io.BytesIO()
    noise = np.random.default_rng(0).integers(100, 156, (9, 16, 3), dtype=np.uint8)
    Image.fromarray(noise).resize((160, 90), Image.Resampling.BICUBIC).save(made, "JPEG", quality=60)
    return made.getvalue()


def make(path: Path, films: int) -> None:
    if not checkpoint_of(path).exists():
        save_model(checkpoint_of(path))
    space = space_of(checkpoint_of(path))
    world, jpeg = World(films * SHOTS), small_jpeg()
    lake = Lake.open(path, create=True)
    staged = []
    for number in range(films):
        name = f"film{number:05d}"
        media_id = hashlib.sha256(name.encode()).hexdigest()
        rows = film(name, world.stored(SHOTS), space, jpeg)
        moment = datetime(2026, 11, 29, tzinfo=UTC)
        media = MediaRows(info(f"/films/{name}.mp4"))
        staged.append(lake.stage(media_id, media=media, analyzers=rows, valid_from=moment, computed_at=moment))
        if len(staged) == AT_ONCE or number + 1 == films:
            lake.commit(staged)
            staged = []
            print(f"{number + 1} of {films} films", flush=True)


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def spent(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """CPU milliseconds, wall milliseconds, and what came of it."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return 1e3 * (time.process_time() - cpu), 1e3 * (time.perf_counter() - wall), result


def measure(path: Path, queries: int) -> None:
    """The first search and later ones, by example and by words; then recall@10 of the index against exact search."""
    import torch

    torch.set_num_threads(1)
    model = f"open_clip:ViT-B-32/@{checkpoint_of(path)}"
    lake = Lake.open(path)
    rng = np.random.default_rng(1)
    examples = [
        f"film{rng.integers(2000):05d}.mp4@{rng.integers(SHOTS) * SHOT_SECONDS + 1:.1f}" for _ in range(queries + 1)
    ]
    words = [
        f"a {a} {b}" for a in ("red", "blue", "small", "wet", "old") for b in ("car", "dog", "ship", "house", "hat")
    ]
    cpu, wall, found = spent(lambda: search(lake, like=examples[0], top=10))
    print(f"first search by example: {cpu:.0f} CPU ms, {wall:.0f} ms, by {found.method}, {found.candidates} candidates")
    print(f"peak memory {peak_mb():.0f} MB", flush=True)

    def bare(query: str) -> Any:
        return search(lake, query, top=10, model=model, pictures=False)

    rows = {"by example, with pictures": [spent(lambda e=e: search(lake, like=e, top=10)) for e in examples[1:]]}
    rows["by example"] = [spent(lambda e=e: search(lake, like=e, top=10, pictures=False)) for e in examples[1:]]
    cpu, wall, _ = spent(lambda: bare(words[0]))
    print(f"first search by words (reads the text tower): {cpu:.0f} CPU ms, {wall:.0f} ms", flush=True)
    rows["by words"] = [spent(lambda w=w: bare(w)) for w in words[1:]]
    space = choose(lake, "example", model)
    index = open_index(lake, space)
    assert index is not None, "run: mediaml index LAKE"
    queries_alone = World(2000 * SHOTS).queries(queries // 2)
    rows["the index alone"] = [spent(lambda q=q: index.search(q, 10)) for q in queries_alone]
    for name, times in rows.items():
        cpu, wall = (np.array([t[i] for t in times]) for i in (0, 1))
        print(
            f"warm, {name}: {len(times)} searches, CPU ms median {np.median(cpu):.1f}, 95 % {np.percentile(cpu, 95):.1f}; "
            f"wall ms median {np.median(wall):.1f}"
        )
    print(f"peak memory {peak_mb():.0f} MB", flush=True)


def recall(lake: Lake, queries: NDArray[np.float32], model: str) -> None:
    """Of the index, against a product with every vector that the lake holds; half of the queries lie between scenes."""
    space = choose(lake, "example", model)
    index = open_index(lake, space)
    assert index is not None, "run: mediaml index LAKE"
    media = sorted(lake.query("SELECT DISTINCT media_id FROM media").column("media_id").to_pylist())
    scores = np.zeros((len(queries), 0), np.float32)
    keys: list[list[tuple[str, float]]] = [[] for _ in queries]
    compared = 0
    for begin in range(0, len(media), 50):
        found = lake.rows_of("embeddings", media[begin : begin + 50], [*HIT, "vector"], "scope = 'shot'")
        compared += found.num_rows
        names = list(zip(*(found.column(n).to_pylist() for n in ("media_id", "start_seconds")), strict=True))
        new = queries @ matrix(found.column("vector")).T
        both = np.concatenate([scores, new], axis=1)
        best = np.argsort(-both, axis=1, kind="stable")[:, :10]
        held = scores.shape[1]
        keys = [[k[i] if i < held else names[i - held] for i in row] for k, row in zip(keys, best, strict=True)]
        scores = np.take_along_axis(both, best, 1)
    shares = []
    for query, true in zip(queries, keys, strict=True):
        rows = index.rows_at(index.search(query, 10)[0]).to_pylist()
        shares.append(len({(r["media_id"], r["start_seconds"]) for r in rows} & set(true)) / 10)
    half = len(shares) // 2
    print(
        f"recall@10 {np.mean(shares):.4f} over {len(shares)} queries (near a scene {np.mean(shares[:half]):.4f}, between "
        f"scenes {np.mean(shares[half:]):.4f}), exact over {compared} vectors"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "measure", "recall"))
    parser.add_argument("lake", type=Path)
    parser.add_argument("--films", type=int, default=2000)
    parser.add_argument("--queries", type=int, default=50)
    options = parser.parse_args()
    if options.what == "make":
        make(options.lake, options.films)
    elif options.what == "measure":
        measure(options.lake, options.queries)
    else:
        model = f"open_clip:ViT-B-32/@{checkpoint_of(options.lake)}"
        recall(Lake.open(options.lake), World(2000 * SHOTS).queries(options.queries), model)


if __name__ == "__main__":
    main()

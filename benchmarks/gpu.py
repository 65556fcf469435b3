"""Decode and embed on a GPU: NVDEC -> views -> a vision transformer, and the default set on short clips.

    python -m benchmarks.gpu                     # needs CUDA; prints why not where there is none
    python -m benchmarks.gpu --seconds 120 --workers 4

Measured: frames a second and multiples of real time for decoding alone, decode and 224 px views, and decode, views and a
CLIP ViT-B/32 image tower (its shape is what counts: seeded weights do); clips a second of `mediaml analyze` with the default
set on 15-second clips; the share of time the GPU is busy (nvidia-smi, sampled). Goals: >= 450x real time for 1080p decode and
embedding, >= 12 clips a second, >= 90 % busy.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks.analyze import clip
from mediaml.decode.nvdec import device_batches, why_not
from mediaml.decode.probe import probe
from mediaml.spec import View

VIEW = View.rgb(224, 224, fit="cover")


def model() -> torch.nn.Module:
    """CLIP ViT-B/32's image tower, bfloat16, weights from a seed."""
    import open_clip

    torch.manual_seed(0)
    net = open_clip.create_model("ViT-B-32", pretrained=None).visual
    return net.cuda().eval().to(torch.bfloat16)


def embed(net: torch.nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    """(N, 3, 224, 224) uint8 -> (N, 512)."""
    scaled = pictures.to(torch.bfloat16).div_(127.5).sub_(1)
    return net(scaled)


@torch.inference_mode()
def work(path: Path, step: Callable[..., object] | None, stream: torch.cuda.Stream) -> int:
    """All frames of one file; each worker has a stream of its own, so that copies and kernels of several files overlap."""
    frames = 0
    with torch.cuda.stream(stream):
        for batch in device_batches(path, probe(path), torch.device("cuda")):
            if step is not None:
                step(batch.view(VIEW))
            frames += len(batch)
    stream.synchronize()
    return frames


class Busy:
    """Mean GPU utilisation as nvidia-smi samples it, while the block runs."""

    def __enter__(self) -> Busy:
        self.samples: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._stop.wait(0.2):
            self.samples.append(
                int(subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0])
            )

    @property
    def share(self) -> float:
        return sum(self.samples) / max(1, len(self.samples)) / 100


def measure(name: str, path: Path, workers: int, seconds: int, step: Callable[..., object] | None) -> None:
    streams = [torch.cuda.Stream() for _ in range(workers)]
    work(path, step, streams[0])  # warm up
    with Busy() as busy, ThreadPoolExecutor(workers) as pool:
        began = time.perf_counter()
        frames = sum(pool.map(lambda s: work(path, step, s), streams))
        spent = time.perf_counter() - began
    print(f"| {name} | {frames / spent:,.0f} | {workers * seconds / spent:.0f}x | {busy.share:.0%} |", flush=True)


def default_set(clips: int, workers: int) -> None:
    """`mediaml analyze --device cuda` on copies of one clip that differ in their last bytes."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "media"
        folder.mkdir()
        body = clip(15, 720).read_bytes()
        for i in range(clips):
            (folder / f"{i}.mp4").write_bytes(body + i.to_bytes(4, "big"))
        command = [
            "mediaml",
            "analyze",
            str(folder),
            "-o",
            f"{place}/lake",
            "-q",
            "--device",
            "cuda",
            "-w",
            str(workers),
        ]
        with Busy() as busy:
            began = time.perf_counter()
            subprocess.run(command, check=True)
            spent = time.perf_counter() - began
    print(f"| default set, 15 s clips at 720p | {clips / spent:.2f} clips a second | | {busy.share:.0%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--workers", type=int, default=4, help="files at once")
    parser.add_argument("--clips", type=int, default=64)
    given = parser.parse_args()
    path = clip(given.seconds, 1080)
    main_video = probe(path).main_video
    reason = "no video" if main_video is None else why_not(main_video)
    if reason is not None or shutil.which("nvidia-smi") is None:
        print(f"nothing measured: {reason or 'nvidia-smi is not there'}")
        return
    net = model()
    print(
        f"{torch.cuda.get_device_name()}, torch {torch.__version__}; {given.workers} files of {given.seconds} s, 1080p\n"
    )
    print("| work | frames a second | real time | GPU busy |\n|---|---|---|---|")
    measure("decode (NVDEC)", path, given.workers, given.seconds, None)
    measure("decode, 224 px views", path, given.workers, given.seconds, lambda view: view)
    measure("decode, views, ViT-B/32", path, given.workers, given.seconds, lambda view: embed(net, view))
    default_set(given.clips, given.workers)


if __name__ == "__main__":
    main()

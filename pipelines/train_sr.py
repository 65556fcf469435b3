"""`mediaml_sr_x2` from nothing: pictures, clips, encodes, training, evaluation, card.

    apt-get update && python -m pipelines.train_sr work/ --minutes 60

Needs Debian 12's apt-get for the pictures (1.4 GB) and 3 GB of memory. Shards and the state of training below `work/` are
kept: the same call again goes on from there, also after a kill. The result is `work/mediaml_sr_x2.safetensors` with its
figures beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from mediaml.nets.mediaml_sr import MediamlSr
from pipelines.sr_training.caution import leeways, shares, shrink
from pipelines.sr_training.evaluation import (
    CodedScore,
    coded_scores,
    held_out_clips,
    lanczos,
    still_psnr,
    validation_clips,
)
from pipelines.sr_training.pairs import make_shard, read_shards
from pipelines.sr_training.training import as_estimated, fill_unseen_knots, save, train, train_estimator
from pipelines.training_media.encodes import Codec
from pipelines.training_media.pictures import fetch, listed

SHARDS = 180
ENCODES: tuple[tuple[Codec, int], ...] = tuple((codec, crf) for codec in ("x264", "svt-av1") for crf in (20, 26, 32))
CAUTION: tuple[tuple[Codec, int], ...] = (
    *(("x264", crf) for crf in (19, 23, 27, 30, 33, 36)),
    *(("svt-av1", crf) for crf in (22, 30, 38, 46)),
    *(("x265", crf) for crf in (22, 28, 34)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for shards, checkpoints and the result")
    parser.add_argument("--minutes", type=float, default=92, help="of training the network, by the clock")
    parser.add_argument("--shards", type=int, default=SHARDS, help="some 230 pairs each; 1.5 s each on one core")
    parser.add_argument("--channels", type=int, default=48)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--frames", type=int, default=8, help="of each clip that caution and the figures look at")
    parser.add_argument("--set5", type=Path, help="folder of Set5's PNG files, for measuring only")
    chosen = parser.parse_args()
    torch.set_num_threads(1)

    fetch()
    pictures = listed(split="train")
    pairs = read_shards([make_shard(pictures, seed, chosen.work / "pairs") for seed in range(chosen.shards)])
    print(f"{len(pairs.low)} pairs, {len(pairs.frames)} whole frames", flush=True)
    estimator = train_estimator(pairs)
    pairs = as_estimated(pairs, estimator)
    result = chosen.work / "mediaml_sr_x2.safetensors"

    def report(step: int, share: float, loss: float, net: MediamlSr) -> None:
        save(net, result.with_suffix(".unfinished.safetensors"), estimator)
        print(f"{time.strftime('%H:%M')} step {step}, {share:.0%} of the time, loss {loss:.4f}", flush=True)

    state = chosen.work / "training.pt"
    net = train(pairs, chosen.minutes, state, channels=chosen.channels, depth=chosen.depth, report=report)
    fill_unseen_knots(net, pairs.strength)
    share = shares(list(leeways(net, estimator, validation_clips(chosen.frames), CAUTION)))
    print("share of the residual by strength:", " ".join(f"{s:.2f}" for s in share))
    shrink(net, share)
    save(net, result, estimator)
    scores = list(coded_scores(net, held_out_clips(chosen.frames), ENCODES))
    result.with_suffix(".md").write_text(figures(scores, net, chosen.set5), "utf-8")
    print(f"{result}, {result.with_suffix('.md')}")


def figures(scores: list[CodedScore], net: MediamlSr, set5: Path | None) -> str:
    """The figures of a run, as a table."""
    lines = ["| clip | codec | CRF | Lanczos dB | mediaml_sr_x2 dB | gain |", "|---|---|---|---|---|---|"]
    lines += [f"| {s.clip} | {s.codec} | {s.crf} | {s.lanczos:.2f} | {s.ours:.2f} | {s.gain:+.2f} |" for s in scores]
    gains = [s.gain for s in scores]
    lines.append(f"\nmean gain {sum(gains) / len(gains):+.3f} dB, least {min(gains):+.3f} dB")
    if set5 is not None:
        ours, base = still_psnr(net, set5), still_psnr(lanczos, set5)
        lines.append(f"Set5: {sum(ours.values()) / len(ours):.2f} dB (Lanczos {sum(base.values()) / len(base):.2f})")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

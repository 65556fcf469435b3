"""`mediaml_sr_x2` from nothing: pictures, clips, encodes, training, evaluation, card.

    apt-get update && python -m pipelines.train_sr work/ --minutes 60

Needs Debian 12's apt-get for the pictures (250 MB) and 2 GB of memory. Shards and checkpoints below `work/` are kept: a
second call goes on with the data that is there. The result is `work/mediaml_sr_x2.safetensors` with a card beside it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch

from mediaml.nets.mediaml_sr import MediamlSr
from pipelines.sr_training.evaluation import CodedScore, coded_scores, held_out_clips, lanczos, still_psnr
from pipelines.sr_training.pairs import SOFT_SEEDS, make_shard, read_shards
from pipelines.sr_training.training import fill_unseen_knots, save, train, train_estimator
from pipelines.training_media.encodes import Codec
from pipelines.training_media.pictures import fetch, listed

ENCODES: tuple[tuple[Codec, int], ...] = tuple((codec, crf) for codec in ("x264", "svt-av1") for crf in (20, 26, 32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path, help="folder for shards, checkpoints and the result")
    parser.add_argument("--minutes", type=float, default=60, help="of training the network, by the clock")
    parser.add_argument("--shards", type=int, default=330, help="192 pairs each; 2.3 s each on one core")
    parser.add_argument("--channels", type=int, default=48)
    parser.add_argument("--depth", type=int, default=4)
    parser.add_argument("--set5", type=Path, help="folder of Set5's PNG files, for measuring only")
    chosen = parser.parse_args()
    torch.set_num_threads(1)

    fetch()
    pictures = listed(split="train")
    sharp = [make_shard(pictures, seed, chosen.work / "pairs") for seed in range(chosen.shards)]
    soft = [make_shard(pictures, SOFT_SEEDS + seed, chosen.work / "pairs") for seed in range(chosen.shards // 8)]
    pairs = read_shards(sharp)
    print(f"{len(pairs.low)} pairs, {len(pairs.frames)} whole frames")

    def report(step: int, loss: float, net: MediamlSr) -> None:
        stills = still_psnr(net, chosen.set5) if chosen.set5 else {}
        print(f"{time.strftime('%H:%M')} step {step}, loss {loss:.5f}", *(f"{k} {v:.2f}" for k, v in stills.items()))

    result = chosen.work / "mediaml_sr_x2.safetensors"
    net = train(pairs, chosen.minutes, result, channels=chosen.channels, depth=chosen.depth, wide=None, report=report)
    pairs = read_shards([*sharp[::2], *soft * 2])  # originals like real video, which is soft, and was coded before
    net = train(
        pairs, chosen.minutes / 6, result, channels=chosen.channels, depth=chosen.depth, wide=None, report=report,
        start=net, peak_rate=4e-4,
    )  # fmt: skip
    fill_unseen_knots(net, pairs.strength)
    save(net, result, train_estimator(pairs))
    scores = list(coded_scores(net, held_out_clips(16), ENCODES))
    result.with_suffix(".md").write_text(card(scores, net, chosen.set5), "utf-8")
    print(f"{result}, {result.with_suffix('.md')}")


def card(scores: list[CodedScore], net: MediamlSr, set5: Path | None) -> str:
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

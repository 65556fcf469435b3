"""Spans of speech and music on generated mixtures of known content: F1 by tenths of a second.

    OMP_NUM_THREADS=1 python -m benchmarks.audio_spans [SHARED_DATA] [--tuning] [--minutes 8]

Recordings of pipelines/training_media/sounds.toml (Debian packages, fetched by apt-get on the first run), ESC-10 by recording
number, a NASA talk, sentences that espeak-ng reads, and the two sample pieces of music. What is held out shares no package
of music or speech and no recording with what was trained on or tuned on. A mixture is a row of scenes of 4 to 10 s: speech,
music, a sound, speech over music (12 dB down), speech over a sound (10 dB down), silence.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import audio_material
from benchmarks.audio_material import Split
from mediaml.analyzers.audio.sound_classes import SoundClasses
from mediaml.analyzers.base import AudioAnalyzer
from mediaml.decode.samples import RateConverter
from mediaml.frames import AudioBlock
from mediaml.spec import Table
from pipelines.train_music import esc10
from pipelines.training_media.sound_mixtures import Material, heard_part, material, mixture
from pipelines.training_media.sounds import RATE, Sound

TENTHS = 10


def recordings(data: Path, half: Split) -> Material:
    """Of a half, at 16 kHz."""
    synthetic = [to_16k(s) for s in audio_material.speech(data, half) if s.size < 14 * audio_material.RATE]
    piece = to_16k(audio_material.music(half))
    extra = [piece[at : at + 12 * RATE] for at in range(0, piece.size - 4 * RATE, 12 * RATE)]
    return material(half, seed=1).with_more(Material([synthetic], extra, esc10(data, half)))


def to_16k(sound: Sound) -> Sound:
    converter = RateConverter(audio_material.RATE, RATE, 1)
    return heard_part(np.concatenate([converter.push(sound[None]), converter.flush()], axis=1)[0])


def found(analyzer: AudioAnalyzer, sound: Sound) -> dict[str, NDArray[np.bool_]]:
    """kind -> (tenths,) bool, as the analyzer's spans say."""
    samples = torch.from_numpy(sound[None])
    with torch.inference_mode():
        for at in range(0, samples.shape[1], RATE):
            analyzer.update(AudioBlock(samples[:, at : at + RATE].contiguous(), RATE, at, at / RATE, "mono"))
        rows = analyzer.finish()[Table.SPANS]
    grid = {k: np.zeros(sound.size * TENTHS // RATE, bool) for k in ("speech", "singing", "music")}
    for kind, start, end in zip(rows["kind"], rows["start_seconds"], rows["end_seconds"], strict=True):
        grid[kind][round(start * TENTHS) : round(end * TENTHS)] = True
    return grid


def tenths(truth: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return truth[: truth.size * TENTHS // RATE * (RATE // TENTHS)].reshape(-1, RATE // TENTHS).mean(axis=1) >= 0.5


def scores(given: Material, minutes: float) -> dict[str, tuple[float, float, float]]:
    """class -> (F1, precision, recall)."""
    analyzer = SoundClasses()
    analyzer.setup(torch.device("cpu"))
    counts = {k: np.zeros(3) for k in ("speech", "music")}  # hits, given, wanted
    for seed in range(max(1, round(minutes))):
        sound, said, plays = mixture(given, 60.0, seed)
        grid = found(analyzer, sound)
        for (kind, total), truth in zip(counts.items(), (said, plays), strict=True):
            wanted = tenths(truth)
            marked = grid[kind][: wanted.size] | (grid["singing"][: wanted.size] if kind == "music" else False)
            total += [(marked & wanted).sum(), marked.sum(), wanted.sum()]
    return {k: (2 * h / (g + w), h / max(g, 1), h / max(w, 1)) for k, (h, g, w) in counts.items()}


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("data", nargs="?", type=Path, default=audio_material.DATA, help="the shared data folder")
    asked.add_argument("--tuning", action="store_true", help="the recordings that thresholds were chosen on")
    asked.add_argument("--minutes", type=float, default=8)
    given = asked.parse_args()
    torch.set_num_threads(1)
    half: Split = "tuning" if given.tuning else "held_out"
    print(f"## Spans on {given.minutes:g} min of mixtures of {half} recordings\n\n| class | F1 | precision | recall |")
    print("|---|---|---|---|")
    for kind, (f1, precision, recall) in scores(recordings(given.data, half), given.minutes).items():
        print(f"| {kind} | {f1:.3f} | {precision:.3f} | {recall:.3f} |")


if __name__ == "__main__":
    main()

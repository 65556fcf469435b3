"""Trains mediaml_music from nothing: fetches recordings, mixes them with known spans, trains, writes the weights.

    python -m pipelines.train_music ../shared/data -o weights/mediaml_music.safetensors

DATA is the shared data folder: ESC-10's recordings of odd number are trained on (chainsaws and roosters among them), those
of even number never. Needs the weights firered_audio_classes, and apt-get for the packages of
training_media/sounds.toml. About two minutes of CPU.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from mediaml import weights
from mediaml.nets.audio_classes import AudioClasses, ClassFrames
from mediaml.nets.mediaml_music import CONTEXT, FIRST_CENTRE, INPUTS, LEAD, MediamlMusic, step_inputs
from mediaml.nets.mediaml_music import STEP_SECONDS as STEP
from mediaml.ops.mel import KaldiFbank
from mediaml.ops.pitch_salience import PitchSalience
from pipelines.training_media.sound_mixtures import Levels, Material, heard_part, material, mixture
from pipelines.training_media.sounds import RATE, Part, read

LEVELS = Levels((-32.0, -16.0), (-36.0, -16.0), (-36.0, -16.0), (0.0, 18.0), (0.0, 18.0))
CROP, BATCH = 96, 16  # steps of 0.16 s, mixtures


def esc10(data: Path, part: Part) -> list[np.ndarray]:
    """ESC-10's sounds: even recordings are held out; of the odd ones, every fourth is for tuning."""
    found = []
    for path in sorted((data / "audio-tag").rglob("*.ogg")):
        number = int(path.stem.split("-")[1])
        mine: Part = "held_out" if number % 2 == 0 else "tuning" if number // 2 % 4 == 0 else "train"
        if mine == part and (sound := heard_part(read(path))).size > RATE // 2:
            found.append(sound)
    return found


class Inputs:
    """Sound -> the network's inputs, by the analyzer's own code."""

    def __init__(self) -> None:
        self.net = AudioClasses.from_file(weights.resolve("firered_audio_classes"))
        self.fbank, self.pitch = KaldiFbank(), PitchSalience()

    @torch.inference_mode()
    def __call__(self, sound: np.ndarray) -> Tensor:
        samples = torch.from_numpy(sound)
        memory = self.net.memory(self.fbank(samples))
        salience = self.pitch(torch.cat([torch.zeros(LEAD), samples]))
        return step_inputs(ClassFrames(self.net.classes(memory), memory), salience)


def truth_at_steps(plays: np.ndarray, steps: int) -> Tensor:
    centres = ((np.arange(steps) * STEP + FIRST_CENTRE) * RATE).astype(int)
    return torch.from_numpy(plays[np.minimum(centres, plays.size - 1)]).float()


def examples(given: Material, minutes: int, seed: int, levels: Levels) -> list[tuple[Tensor, Tensor]]:
    make, found = Inputs(), []
    for k in range(minutes):
        sound, _, plays = mixture(given, 60.0, seed + k, levels)
        inputs = make(sound)
        found.append((inputs.half(), truth_at_steps(plays, len(inputs))))
    return found


def stored(path: Path) -> list[tuple[Tensor, Tensor]]:
    tensors = load_file(path)
    return [(tensors[f"x{k}"], tensors[f"y{k}"]) for k in range(len(tensors) // 2)]


def train(given: list[tuple[Tensor, Tensor]], steps: int, seed: int) -> MediamlMusic:
    torch.manual_seed(seed)
    net = MediamlMusic(dropout=0.4)
    every = torch.cat([x for x, _ in given]).float()
    net.centre.copy_(every.mean(dim=0))
    net.width.copy_(every.std(dim=0).clamp(min=1e-3))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    rng = np.random.default_rng(seed)
    total = 0.0
    for step in range(1, steps + 1):
        picks = [(int(k), int(rng.integers(len(given[k][1]) - CROP))) for k in rng.integers(len(given), size=BATCH)]
        x = torch.stack([given[k][0][a : a + CROP] for k, a in picks]).float()
        y = torch.stack([given[k][1][a : a + CROP] for k, a in picks])
        noise = torch.randn(BATCH, 1, INPUTS) + torch.randn(BATCH, CROP, INPUTS)  # of the recording, of the moment
        x = x + 0.5 * noise * net.width
        loss = F.binary_cross_entropy_with_logits(net(x), y * 0.96 + 0.02, reduction="none")
        loss = loss[:, CONTEXT // 2 : -CONTEXT // 2].mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if step % 100 == 0:
            print(f"step {step}: loss {total / 100:.3f}", flush=True)
            total = 0.0
    return net.eval()


def accuracy(net: MediamlMusic, given: list[tuple[Tensor, Tensor]]) -> float:
    with torch.inference_mode():
        right = [((net(x.float()) > 0) == (y > 0.5)).float().mean() for x, y in given]
    return float(torch.stack(right).mean())


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("data", type=Path, help="the shared data folder, for ESC-10")
    asked.add_argument("-o", "--out", type=Path, required=True)
    asked.add_argument("--minutes", type=int, default=45, help="of mixtures to train on")
    asked.add_argument("--work", type=Path, help="a folder in which the mixtures' inputs are kept for another run")
    asked.add_argument("--steps", type=int, default=400)
    given = asked.parse_args()
    torch.set_num_threads(1)
    began = time.process_time()
    sets: dict[Part, list[tuple[Tensor, Tensor]]] = {}
    wanted: list[tuple[Part, int, Levels]] = [("train", given.minutes, LEVELS), ("tuning", 8, Levels())]
    for part, minutes, levels in wanted:
        kept = given.work / f"music_{part}_{minutes}.safetensors" if given.work else None
        if kept is not None and kept.is_file():
            sets[part] = stored(kept)
            continue
        made = material(part, seed=1)
        made = made.with_more(Material([], [], esc10(given.data, part)))
        print(f"{part}: {len(made.speech)} speakers, {len(made.music)} excerpts, {len(made.other)} sounds", flush=True)
        sets[part] = examples(made, minutes, 1000, levels)
        print(f"{part}: {minutes} min of mixtures, {time.process_time() - began:.0f} s of CPU", flush=True)
        if kept is not None:
            kept.parent.mkdir(parents=True, exist_ok=True)
            save_file(
                {f"{n}{k}": t for k, pair in enumerate(sets[part]) for n, t in zip("xy", pair, strict=True)}, kept
            )
    net = train(sets["train"], given.steps, seed=0)
    net.save(given.out)
    done = MediamlMusic.from_file(given.out)
    print(f"steps right: {accuracy(done, sets['train']):.3f} trained on, {accuracy(done, sets['tuning']):.3f} tuning")
    print(f"{time.process_time() - began:.0f} s of CPU; wrote {given.out}, {given.out.stat().st_size} bytes")


if __name__ == "__main__":
    main()

"""YAMNet on ESC-10: the network here beside the supplied model in its own runtime, top-1 a clip under a class map.

    OMP_NUM_THREADS=1 python -m benchmarks.audio_events [SHARED_DATA]

A clip's scores are the mean over its patches; the clip counts as right where the greatest score among all classes of the map
belongs to its own. "of 521": where the greatest score of all 521 does.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from benchmarks import audio_material as material
from mediaml.nets.yamnet import HOP, PATCH, Yamnet

CLASS_MAP: dict[str, tuple[str, ...]] = {
    "Dog bark": ("Dog", "Bark", "Bow-wow", "Yip", "Growling", "Whimper (dog)", "Domestic animals, pets"),
    "Rain": ("Rain", "Raindrop", "Rain on surface"),
    "Sea waves": ("Ocean", "Waves, surf", "Water"),
    "Baby cry": ("Baby cry, infant cry", "Crying, sobbing", "Whimper", "Wail, moan"),
    "Clock tick": ("Tick", "Tick-tock", "Clock"),
    "Person sneeze": ("Sneeze",),
    "Helicopter": ("Helicopter", "Aircraft", "Propeller, airscrew"),
    "Chainsaw": ("Chainsaw", "Light engine (high frequency)", "Power tool", "Lawn mower"),
    "Rooster": ("Chicken, rooster", "Crowing, cock-a-doodle-doo", "Fowl", "Cluck"),
    "Fire crackling": ("Fire", "Crackle"),
}


def main() -> None:
    torch.set_num_threads(1)
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else material.DATA
    path = next((data / "tag-weights").rglob("yamnet.tflite"))
    with next((data / "labels").rglob("yamnet_class_map.csv")).open(encoding="utf-8") as text:
        names = [r["display_name"] for r in csv.DictReader(text)]
    classes = {k: [names.index(n) for n in v] for k, v in CLASS_MAP.items()}
    net, theirs = Yamnet.from_file(path), runtime(path)
    right = np.zeros((2, 2), int)  # ours and theirs, of the map and of all classes
    same = patches = clips = 0
    for file in sorted((data / "audio-tag").rglob("*.ogg")):
        sound = material.read(file, 16000)
        starts = range(0, max(1, sound.size - PATCH + 1), HOP)
        cut = np.stack([np.pad(sound[s : s + PATCH], (0, max(0, PATCH - sound[s:].size))) for s in starts])
        cut = cut[np.abs(cut).max(axis=1) > 1e-4]  # clips are padded with silence
        with torch.inference_mode():
            ours = net(torch.from_numpy(cut))[0].numpy()
        other = np.stack([theirs(c) for c in cut])
        same, patches, clips = same + int((ours.argmax(1) == other.argmax(1)).sum()), patches + len(cut), clips + 1
        label = file.parent.name.split(" - ")[1]
        for row, scores in enumerate((ours.mean(0), other.mean(0))):
            best = max(classes, key=lambda k, s=scores: s[classes[k]].max())
            right[row] += [best == label, int(scores.argmax()) in classes[label]]
    print(f"{clips} clips, {patches} patches; the same top class on {same / patches:.1%} of patches\n")
    print("| | top-1 among the map's classes | top-1 of 521 |\n|---|---|---|")
    for who, counts in zip(("this network (float32)", "supplied model (TensorFlow Lite)"), right, strict=True):
        print(f"| {who} | {counts[0] / clips:.1%} | {counts[1] / clips:.1%} |")


def runtime(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    made = Interpreter(str(path), num_threads=1)
    made.allocate_tensors()
    given, out = made.get_input_details()[0]["index"], made.get_output_details()[0]["index"]

    def run(samples: np.ndarray) -> np.ndarray:
        made.set_tensor(given, samples)
        made.invoke()
        return made.get_tensor(out)[0].copy()

    return run


if __name__ == "__main__":
    main()

"""Keyframes: how often the chosen frame lies in a transition or is dark or burnt, by the rule in use and by a simpler one.

    OMP_NUM_THREADS=1 python -m benchmarks.keyframes --sequences 8

Generated sequences (benchmarks/shot_material.py, held-out sources) at 25 fps; a third of the shots is dark in its middle
half. Shots and transitions are those that `shots_fast` finds before that; two looks a second are candidates.
"""

from __future__ import annotations

import argparse
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.shot_material import Frames, load, make_sequence
from benchmarks.shots import by_analyzer
from mediaml.analyzers.shots.fast import FastShots
from mediaml.derive.keyframes import Candidates, choose

FPS = 25.0
STEP = 12  # frames between looks


def facts(frames: Frames) -> tuple[NDArray, NDArray]:
    """Spatial information (deviation of Sobel's gradient) and mean luma in [0, 1] of each frame."""
    grey = [np.asarray(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), np.float32) for f in frames]
    sharp = [float(np.hypot(cv2.Sobel(g, cv2.CV_32F, 1, 0), cv2.Sobel(g, cv2.CV_32F, 0, 1)).std()) for g in grey]
    return np.array(sharp), np.array([g.mean() / 255 for g in grey])


def simple(of: Candidates, start: float, end: float) -> float:
    """The sharpest of the middle half, else the one nearest to the middle."""
    middle = np.abs(of.seconds - (start + end) / 2) <= (end - start) / 4
    if middle.any():
        return float(of.seconds[middle][np.argmax(of.sharpness[middle])])
    return float(of.seconds[np.argmin(np.abs(of.seconds - (start + end) / 2))])


def darkened(frames: Frames, bounds: list[int], random: np.random.Generator) -> Frames:
    frames = frames.copy()
    for first, last in pairwise(bounds):
        if random.random() < 1 / 3 and last - first > 40:
            quarter = (last - first) // 4
            part = slice(first + quarter, last - quarter)
            frames[part] = (frames[part] * 0.06).astype(np.uint8)
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=8, help="of 16 shots each")
    given = parser.parse_args()
    shots, detect = load("held out"), by_analyzer(FastShots)
    counts = {
        "rule in use": [0, 0, 0],
        "sharpest of the middle half": [0, 0, 0],
    }  # in a transition, dark or burnt, shots
    for seed in range(given.sequences):
        sequence = make_sequence(shots, 16, seed)
        true_bounds = [0, *(e.last for e in sequence.events), len(sequence.frames)]
        frames = darkened(sequence.frames, true_bounds, np.random.default_rng(seed))
        sharp, luma = facts(frames)
        inside = np.zeros(len(frames), bool)
        for event in sequence.events:
            inside[event.first : event.last + 1] |= event.kind != "cut"
        found = detect(sequence.frames)
        bounds = [0, *((a + b) // 2 for a, b in found), len(frames)]
        spans = [(a / FPS, (b + 1) / FPS) for a, b in found if b > a]
        for first, last in pairwise(bounds):
            looks = np.arange(-(-first // STEP) * STEP, last, STEP)
            if not len(looks):
                continue
            unknown = np.full(len(looks), np.nan)
            of = Candidates(looks / FPS, sharp[looks], luma[looks], unknown, unknown, np.zeros(len(looks), bool))
            for name, at in (
                ("rule in use", choose(of, first / FPS, last / FPS, spans)),
                ("sharpest of the middle half", simple(of, first / FPS, last / FPS)),
            ):
                assert at is not None
                frame = round(at * FPS)
                counts[name][0] += bool(inside[frame])
                counts[name][1] += not 0.05 < luma[frame] < 0.95
                counts[name][2] += 1
    print("| rule | in a dissolve, wipe or fade | dark or burnt | shots |\n|---|---|---|---|")
    for name, (mixed, unlit, total) in counts.items():
        print(f"| {name} | {mixed} | {unlit} | {total} |")


if __name__ == "__main__":
    main()

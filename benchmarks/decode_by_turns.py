"""Decode with views beside the bare decode on a machine that is shared: the same 32 frames by turns, in one process.

    OMP_NUM_THREADS=1 python -m benchmarks.decode_by_turns                    # 224x224 of every frame, three codecs
    OMP_NUM_THREADS=1 python -m benchmarks.decode_by_turns --codecs h264 --rounds 8 --seconds 60

A neighbour on the other core makes the same decode cost a tenth more from one second to the next, which is what the views
themselves cost. Here the bare decode and each kind of work take turns every 32 frames, on threads of their own of which one
runs at a time, and of each 32 frames the cheapest of all rounds counts, by the thread's CPU time. What a file costs once
(opening and probing it) is told apart. The clips are those of benchmarks/decode.py.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Semaphore, Thread

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.decode import ENCODERS, clip
from mediaml.decode.opening import open_container
from mediaml.decode.passes import run_plan
from mediaml.decode.plan import make_plan
from mediaml.decode.probe import probe
from mediaml.decode.report import DecodeReport
from mediaml.spec import Need, View

TURN = 32  # frames; a batch of 224x224 pictures is as many
Pause = Callable[[], None]
Work = Callable[[str, Pause], None]


@dataclass(slots=True)
class Never:
    """Nobody asks the decoder to stop."""

    stopped: bool = False


def bare(path: str, pause: Pause) -> None:
    count = 0
    with av.open(path) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        stream.codec_context.thread_type = "NONE"
        pause()
        for packet in container.demux(stream):
            for _ in stream.codec_context.decode(packet):
                count += 1
                if count % TURN == 0:
                    pause()


def viewing(view: View) -> Work:
    def work(path: str, pause: Pause) -> None:
        info = probe(path)
        plan = make_plan(info, [Need(view)])

        def reopen() -> av.container.InputContainer:
            container = open_container(path)
            pause()
            return container

        run_plan(reopen, info, plan, DecodeReport(mode=plan.mode), lambda _need, _batch: pause(), Never())

    return work


@dataclass(slots=True)
class Player:
    """One kind of work on a thread of its own, which runs when it is let and notes the CPU time of each turn."""

    work: Work
    path: str
    turns: list[float] = field(default_factory=list)
    over: bool = False
    _go: Semaphore = field(default_factory=lambda: Semaphore(0))
    _paused: Semaphore = field(default_factory=lambda: Semaphore(0))
    _since: float = 0.0

    def start(self) -> None:
        Thread(target=self._run, daemon=True).start()

    def turn(self) -> None:
        self._go.release()
        self._paused.acquire()

    def _run(self) -> None:
        self._go.acquire()
        self._since = time.thread_time()
        self.work(self.path, self._pause)
        self.turns.append(time.thread_time() - self._since)
        self.over = True
        self._paused.release()

    def _pause(self) -> None:
        self.turns.append(time.thread_time() - self._since)
        self._paused.release()
        self._go.acquire()
        self._since = time.thread_time()


def least(path: str, works: dict[str, Work], rounds: int) -> dict[str, NDArray[np.float64]]:
    """Of each kind of work the CPU seconds of its turns, the least of the rounds; the first turn is opening (and probing)."""
    found: dict[str, NDArray[np.float64]] = {}
    for _ in range(rounds):
        for name, turns in one_round(path, works):
            found[name] = np.minimum(found.get(name, turns), turns)
    return found


def one_round(path: str, works: dict[str, Work]) -> Iterator[tuple[str, NDArray[np.float64]]]:
    players = {name: Player(work, path) for name, work in works.items()}
    for player in players.values():
        player.start()
    while any(not player.over for player in players.values()):
        for player in players.values():
            if not player.over:
                player.turn()
    return ((name, np.array(player.turns)) for name, player in players.items())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codecs", nargs="+", choices=list(ENCODERS), default=list(ENCODERS))
    parser.add_argument("--seconds", type=int, default=15, help="length of the clips")
    parser.add_argument("--rounds", type=int, default=6)
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    works: dict[str, Work] = {
        "bare decode": bare,
        "224x224 every frame": viewing(View.rgb(224, 224)),
        "224x224 every frame, area": viewing(View.rgb(224, 224, filter="area")),
    }
    print(f"{datetime.now(UTC):%Y-%m-%d}; least of {asked.rounds} a turn; load {os.getloadavg()[0]:.0f}")
    print("\n| codec | work | CPU ms a frame | rate, of the bare one | once a file, CPU ms |\n|---|---|---|---|---|")
    for codec in asked.codecs:
        found = least(str(clip(codec, asked.seconds)), works, asked.rounds)
        whole = min(len(turns) for turns in found.values()) - 1  # turns of 32 frames
        floor = found["bare decode"][1:whole].sum()
        for name, turns in found.items():
            cost = turns[1:whole].sum()
            each = 1000 * cost / (TURN * (whole - 1))
            print(f"| {codec} | {name} | {each:.2f} | {100 * floor / cost:.1f} % | {1000 * turns[0]:.0f} |", flush=True)


if __name__ == "__main__":
    main()

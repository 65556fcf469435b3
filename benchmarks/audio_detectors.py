"""The detectors of sound on faults made in real sounds: event F1 at three severities, and false alarms on clean material.

    OMP_NUM_THREADS=1 python -m benchmarks.audio_detectors [SHARED_DATA] [--tuning] [--hours 1]

Held out: recordings that no threshold was chosen on (`benchmarks/audio_clean.py`). An event counts as found where kind,
start and end agree within the fault's collar. `--clean` counts false alarms on hours of real recordings, as they are.
"""

from __future__ import annotations

import argparse
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks import audio_material as material
from benchmarks.audio_clean import confirmed, excerpts, recordings
from benchmarks.audio_faults import FAULTS, Event, Fault, Programme
from benchmarks.audio_material import RATE, Split
from mediaml.analyzers.audio.clicks import Clicks
from mediaml.analyzers.audio.dc_offset import DcOffset
from mediaml.analyzers.audio.dropouts import Dropouts
from mediaml.analyzers.audio.hum import Hum
from mediaml.analyzers.audio.levels import AudioLevels
from mediaml.analyzers.audio.loudness_target import LoudnessTarget
from mediaml.analyzers.audio.missing_channel import MissingChannel
from mediaml.analyzers.audio.silence import Silence
from mediaml.analyzers.base import AudioAnalyzer
from mediaml.frames import AudioBlock
from mediaml.spec import Table

DETECTORS: tuple[type[AudioAnalyzer], ...] = (
    Silence, AudioLevels, LoudnessTarget, MissingChannel, DcOffset, Hum, Dropouts, Clicks,
)  # fmt: skip
SECONDS = 12.0
CLEAN = ("clipping", "true_peak_over", "missing_channel", "dual_mono", "inverted_phase", "dc_offset", "hum", "dropout",
         "click")  # fmt: skip


def detector_of(kind: str) -> type[AudioAnalyzer]:
    return next(d for d in DETECTORS if kind in d.spec.kinds)


def spans_of(make: type[AudioAnalyzer], programme: Programme) -> dict[str, list[Event]]:
    """kind -> events that the detector reports."""
    analyzer = make()
    samples = torch.from_numpy(
        programme if "mono" not in str(make.spec.need) else programme.mean(axis=0, keepdims=True)
    )
    layout = "stereo" if samples.shape[0] == 2 else "mono"
    for at in range(0, samples.shape[1], RATE):
        analyzer.update(AudioBlock(samples[:, at : at + RATE].contiguous(), RATE, at, at / RATE, layout))
    rows = analyzer.finish().get(Table.SPANS, {})
    found: dict[str, list[Event]] = defaultdict(list)
    for kind, start, end in zip(
        rows.get("kind", ()), rows.get("start_seconds", ()), rows.get("end_seconds", ()), strict=True
    ):
        found[kind].append((start, end))
    return found


@cache
def programmes(data: Path, half: Split) -> list[tuple[str, Programme]]:
    """(name, two channels), 12 s each. Held out: music, prompts and music on hold that no rule was settled on.

    Tuning: one recording of each class of ESC-10, music, and the talk; what an earlier round held out is among them.
    """
    if half == "held_out":
        return list(excerpts("held_out", SECONDS))
    found: list[tuple[str, Programme]] = []
    parts: tuple[Split, ...] = ("tuning", "held_out")
    for part in parts:
        sounds = list({name: (name, sound) for name, sound in material.environment(data, part)}.values())
        sounds += [("music", material.music(part)[: 30 * RATE])]
        sounds += [("talk", material.speech(data, part)[0])] if part == "held_out" else []
        made = [(name, material.lasting(material.level(sound), SECONDS)) for name, sound in sounds]
        found += [(f"{name}, {part}", material.stereo(sound)) for name, sound in made]
    return found


def matched(truth: list[Event], found: list[Event], collar: float) -> int:
    left, hits = list(found), 0
    for start, end in truth:
        near = [f for f in left if abs(f[0] - start) <= collar and abs(f[1] - end) <= collar]
        if near:
            left.remove(near[0])
            hits += 1
    return hits


def f1(data: Path, half: Split, fault: Fault, severity: float) -> tuple[float, float, float, int]:
    """(F1, precision, recall, events). What the detector says of the clean programme is not counted against it here."""
    hits = wanted = given = 0
    rng = np.random.default_rng(7)
    make = detector_of(fault.kind)
    for _, programme in programmes(data, half):
        spoiled, truth = fault.make(programme, severity, rng)
        found = spans_of(make, spoiled)[fault.kind]
        own = spans_of(make, programme)[fault.kind] if len(found) > len(truth) else []
        found = [f for f in found if f not in own]
        hits, wanted, given = hits + matched(truth, found, fault.collar), wanted + len(truth), given + len(found)
    precision, recall = hits / max(given, 1), hits / max(wanted, 1)
    return 2 * hits / max(wanted + given, 1), precision, recall, wanted


def loudness_f1(data: Path, half: Split, deviation: float) -> float:
    """Every programme off the target by `deviation` LU, and every one on it."""
    hits = false = missed = 0
    for _, programme in programmes(data, half):
        for wanted in (deviation, 0.0):
            gain, samples, flagged = 1.0, programme, False
            for _ in range(2):
                analyzer = LoudnessTarget()
                tensor = torch.from_numpy((samples * gain).astype(np.float32))
                for at in range(0, tensor.shape[1], RATE):
                    analyzer.update(AudioBlock(tensor[:, at : at + RATE].contiguous(), RATE, at, at / RATE, "stereo"))
                rows = analyzer.finish()
                got = rows[Table.FILES]["loudness_deviation_lu"][0]
                gain *= 10 ** ((wanted - got) / 20)
                flagged = "loudness_off_target" in rows[Table.SPANS]["kind"]
            hits += flagged and wanted != 0
            missed += not flagged and wanted != 0
            false += flagged and wanted == 0
    return 2 * hits / (2 * hits + false + missed)


def table(data: Path, half: Split, only: list[str]) -> None:
    print(f"## Event F1 on {half} sounds ({len(programmes(data, half))} programmes of {SECONDS:g} s)\n")
    print("| fault | mild | middle | strong | precision, recall (middle) | events |\n|---|---|---|---|---|---|")
    for fault in (f for f in FAULTS if not only or f.kind in only):
        rows = [f1(data, half, fault, severity) for severity in fault.severities]
        cells = " | ".join(f"{r[0]:.3f} ({s:g})" for r, s in zip(rows, fault.severities, strict=True))
        middle = rows[1]
        print(f"| {fault.kind}, {fault.unit} | {cells} | {middle[1]:.2f}, {middle[2]:.2f} | {middle[3]} |", flush=True)
    if only and "loudness_off_target" not in only:
        return
    cells = " | ".join(f"{loudness_f1(data, half, d):.3f} ({d:g})" for d in (1.0, 3.0, 6.0))
    print(f"| loudness_off_target, LU | {cells} | | {len(programmes(data, half))} |")


def mixtures(data: Path, half: Split, hours: float) -> Iterator[tuple[str, Programme]]:
    """Minutes in which two to four of the sounds, music and speech follow and overlap each other."""
    rng = np.random.default_rng(11)
    sounds = [s for _, s in material.environment(data, half)] + [material.music(half)]
    sounds += material.speech(data, half)[:1] if half == "held_out" else []
    for minute in range(round(hours * 60)):
        out = np.zeros(60 * RATE, np.float32)
        for _ in range(3):
            at = 0
            while at < out.size - 2 * RATE:
                sound = material.level(sounds[int(rng.integers(len(sounds)))], float(rng.uniform(-40, -24)))
                fade = np.minimum(1, np.minimum(np.arange(sound.size), np.arange(sound.size)[::-1]) / (0.05 * RATE))
                part = (sound * fade)[: out.size - at].astype(np.float32)
                out[at : at + part.size] += part
                at += part.size + int(rng.integers(RATE))
        yield f"mixture {minute}", material.stereo(out * min(1.0, 0.8 / np.abs(out).max()))


def false_alarms(what: str, half: Split, sources: Iterable[tuple[str, Programme]], *, verbose: bool = False) -> None:
    counts: dict[str, int] = defaultdict(int)
    confirmations: dict[str, int] = defaultdict(int)
    seconds = 0.0
    by_source: dict[str, list[str]] = defaultdict(list)
    for name, programme in sources:
        seconds += programme.shape[1] / RATE
        for make in DETECTORS:
            for kind, events in spans_of(make, programme).items():
                if kind in CLEAN:
                    false = [e for e in events if not confirmed(kind, name, programme, e)]
                    confirmations[kind] += len(events) - len(false)
                    counts[kind] += len(false)
                    by_source[kind] += [name] * len(false)
                    if verbose and false:
                        told = ", ".join(f"{start:.2f}-{end:.2f}" for start, end in false[:8])
                        print(f"    {kind}: {name}, {len(false)} at {told} s", flush=True)
    hours = seconds / 3600
    print(f"\n## False alarms in {hours:.2f} h of {half} {what}\n")
    print("| kind | alarms | an hour | true, by another look | where |\n|---|---|---|---|---|")
    for kind in CLEAN:
        where = ", ".join(f"{n} {k}" for k, n in Counter(by_source[kind]).most_common(4))
        print(f"| {kind} | {counts[kind]} | {counts[kind] / hours:.2f} | {confirmations[kind]} | {where} |", flush=True)


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("data", nargs="?", type=Path, default=material.DATA, help="the shared data folder")
    asked.add_argument("--tuning", action="store_true", help="the sounds that thresholds were chosen on")
    asked.add_argument("--hours", type=float, default=0.5, help="of mixtures for false alarms")
    asked.add_argument("--only", nargs="*", default=[], metavar="KIND", help="these faults, and no false alarms")
    asked.add_argument("--clean", action="store_true", help="false alarms on hours of real recordings alone")
    asked.add_argument("--verbose", action="store_true", help="tell where the false alarms are")
    given = asked.parse_args()
    torch.set_num_threads(1)
    data, hours = given.data, given.hours
    half: Split = "tuning" if given.tuning else "held_out"
    if not given.clean:
        table(data, half, given.only)
    if given.only:
        return
    if not given.clean:
        mixed = [*programmes(data, half), *mixtures(data, half, hours)]
        false_alarms("sounds without made faults, and mixtures of them", half, mixed, verbose=given.verbose)
    false_alarms("recordings as they are", half, recordings(half), verbose=given.verbose)


if __name__ == "__main__":
    main()

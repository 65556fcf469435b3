"""mediaml_nr against simple predictors, on sources, codecs and sizes that none of them was fitted to.

    python -m benchmarks.no_reference DATA                  # encodes: python -m pipelines.nr_data DATA, all rounds
    python -m benchmarks.no_reference DATA --part test2     # an older test; "test": the oldest
    python -m benchmarks.no_reference DATA --weights net.safetensors  # fitted by pipelines.train_nr with --without av1

The shipped weights know AV1; the last line measures what was fitted without it on a codec that it never saw. The truth is
libvmaf's VMAF of each encode over its clip, against what went into the encoder, at that one's size. Every predictor is
fitted to the part "train", less the codecs that the weights do not know, and measured on "test3", "test2" or "test": other
sources, two fifths of them AV1, two fifths at sizes that no training encode of the first two rounds has. Correlations come
with a 95 % bootstrap interval over clips of sources; "within" is the mean over sources of the rank correlation inside a
source.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import curve_fit
from scipy.stats import rankdata

from mediaml import weights
from mediaml.analyzers.quality_nr.brisque import Brisque
from mediaml.analyzers.quality_nr.niqe import Niqe, NiqeVbliinds
from mediaml.engine.analyze import check_weights
from mediaml.engine.score.single import score_single
from mediaml.errors import WeightsAbsent
from mediaml.frames import Colour, FrameBatch, Planes
from mediaml.nets.mediaml_nr import CODECS, Calibration, MediamlNr, Seen, codec_number, interval, load
from pipelines.nr_data import LABELS
from pipelines.nr_encodes import Encode, predictions, read_all
from pipelines.nr_recipes import NOISY, TRAIN_SCALES

Floats = NDArray[np.float64]
BOOTSTRAPS = 400
HANDCRAFTED_EVERY = 10  # BRISQUE and NIQE look at every so manieth test encode: they cost the most by far


def bits_features(encode: Encode) -> list[float]:
    """log2 bitrate (bits a pixel and bits a picture), the size against the source's, the codec."""
    bits = np.log2(encode.stream_bits_per_pixel())
    codec = [float(codec_number(encode.codec) == i) for i in range(len(CODECS))]
    return [bits, np.log2(encode.scale), *codec]


def quadratic(rows: Sequence[Sequence[float]]) -> Floats:
    """Features with their squares and products, and a constant."""
    x = np.array(rows)
    products = [x[:, i] * x[:, j] for i in range(x.shape[1]) for j in range(i, x.shape[1])]
    return np.stack([np.ones(len(x)), *x.T, *products], axis=1)


def ridge(train: Floats, truth: Floats, test: Floats) -> Floats:
    """Least squares with a small penalty, cut to 0..100."""
    scale = train.std(axis=0) + 1e-9
    a, b = train / scale, test / scale
    solved = np.linalg.solve(a.T @ a + 1e-2 * len(a) ** 0.5 * np.eye(a.shape[1]), a.T @ truth)
    return (b @ solved).clip(0, 100)


def logistic(train: Floats, truth: Floats, test: Floats) -> Floats:
    """A monotone curve of four parameters from one number to VMAF (ITU-T P.1401); NaN becomes the mean of the truth."""
    good = np.isfinite(train)
    curve = lambda x, a, b, c, d: a + (b - a) / (1 + np.exp(-(x - c) / d))  # noqa: E731
    sign = 1.0 if np.corrcoef(train[good], truth[good])[0, 1] > 0 else -1.0
    middle, spread = float(np.median(train[good])), float(train[good].std()) + 1e-6
    with np.errstate(over="ignore"):
        found, _ = curve_fit(curve, train[good], truth[good], [0, 100, middle, sign * spread], maxfev=20000)
        fitted = curve(test, *found)
    return np.where(np.isfinite(test), fitted, truth.mean()).clip(0, 100)


def handcrafted(encodes: Sequence[Encode], make: Callable) -> Floats:
    """An analyzer's value of the middle picture looked at."""
    analyzer = make()
    analyzer.setup(torch.device("cpu"))
    found = []
    for encode in encodes:
        time = torch.zeros(1, dtype=torch.float64)
        planes = encode.pictures()
        assert planes.u is not None
        assert planes.v is not None
        middle = Planes(planes.y[1:2], planes.u[1:2], planes.v[1:2], planes.bit_depth)
        index, key = torch.zeros(1, dtype=torch.int64), torch.ones(1, dtype=torch.bool)
        batch = FrameBatch(time, time + 0.04, index, key, Colour(), planes=middle)
        found.append(float(next(iter(analyzer.update(batch).values()))[0]))
    return np.array(found)


def learned_at_source_size(encode: Encode) -> float:
    """The label at the source's size of a training encode that has one."""
    return encode.vmaf_clip[encode.learned[0]]


def qp_of(encode: Encode) -> float:
    """The quantiser's log2 step, mean over the pictures looked at; NaN where the decoder exports none."""
    return float(encode.facts()[:, 0].mean())


def fit_simple(train: Sequence[Encode], test: Sequence[Encode]) -> dict[str, Floats]:
    """name -> predictions on the test encodes: what needs no pixels."""
    truth = np.array([learned_at_source_size(e) for e in train])
    columns = [[qp_of(e) for e in part] for part in (train, test)]
    found = {"QP alone": logistic(np.array(columns[0]), truth, np.array(columns[1]))}
    rows = [quadratic([bits_features(e) for e in part]) for part in (train, test)]
    found["bitrate, size, codec"] = ridge(rows[0], truth, rows[1])
    return found


def fit_handcrafted(train: Sequence[Encode], test: Sequence[Encode]) -> dict[str, Floats]:
    """name -> predictions on the test encodes, from pixels alone."""
    found = {}
    some = list(train)[:: max(1, len(train) // 60)]  # enough for a curve of four parameters
    for name, make in (("BRISQUE", Brisque), ("NIQE", Niqe), ("NIQE (V-BLIINDS)", NiqeVbliinds)):
        try:
            check_weights([make])
        except WeightsAbsent as absent:
            print(f"{name} is left out: {absent}")
            continue
        fitted = handcrafted(some, make), np.array([learned_at_source_size(e) for e in some]), handcrafted(test, make)
        found[name] = logistic(*fitted)
    return found


def measures(predicted: Floats, truth: Floats, sources: Sequence[str], names: Sequence[str]) -> list[str]:
    """SRCC and RMSE with bootstrap intervals over clips, PLCC, SRCC within sources: as cells of a table."""
    rng = np.random.default_rng(0)
    clips = {name: np.flatnonzero([n == name for n in names]) for name in dict.fromkeys(names)}
    draws = []
    for _ in range(BOOTSTRAPS):
        chosen = np.concatenate([clips[c] for c in rng.choice(list(clips), len(clips))])
        draws.append((srcc(predicted[chosen], truth[chosen]), rmse(predicted[chosen], truth[chosen])))
    low, high = np.nanpercentile(draws, (2.5, 97.5), axis=0)
    plcc = float(np.corrcoef(predicted, truth)[0, 1])
    return [
        f"{srcc(predicted, truth):.3f} [{low[0]:.3f}, {high[0]:.3f}]",
        f"{plcc:.3f}",
        f"{rmse(predicted, truth):.2f} [{low[1]:.2f}, {high[1]:.2f}]",
        f"{within(predicted, truth, sources):.3f}",
    ]


def srcc(predicted: Floats, truth: Floats) -> float:
    """Spearman's rank correlation; NaN where one of them is constant."""
    a, b = (rankdata(x) - (len(x) + 1) / 2 for x in (predicted, truth))
    size = np.sqrt(np.sum(a * a) * np.sum(b * b))
    return float(np.sum(a * b) / size) if size > 0 else float("nan")


def rmse(predicted: Floats, truth: Floats) -> float:
    return float(np.sqrt(np.mean((predicted - truth) ** 2)))


def within(predicted: Floats, truth: Floats, sources: Sequence[str]) -> float:
    """Mean over sources with five encodes or more of the rank correlation inside the source."""
    found = []
    for source in dict.fromkeys(sources):
        at = np.flatnonzero([s == source for s in sources])
        if len(at) >= 5:
            found.append(srcc(predicted[at], truth[at]))
    return float(np.nanmean(found)) if found else float("nan")


def clip_of(encode: Encode) -> str:
    """The clip that it is an encode of: its name without the encode's number."""
    return encode.name.rpartition("-")[0]


def subsets(test: Sequence[Encode]) -> dict[str, list[int]]:
    """What the test is made of, as indices."""
    of = lambda wanted: [i for i, e in enumerate(test) if wanted(e)]  # noqa: E731
    trained = [1 / s for s in TRAIN_SCALES]
    new_size = lambda e: min(abs(e.scale - s) for s in trained) > 0.05  # noqa: E731
    spoils = {
        "none": "not spoiled before the encode",
        "noise": "white noise",
        "grain": "film grain",
        "camera": "camera noise",
    }
    spoils |= {"blur": "a blur", "recompressed": "an earlier encode", "upscaled": "an upscale"}
    return {
        "all of the test": list(range(len(test))),
        "AV1": of(lambda e: e.codec == "av1"),
        "AV1 by SVT-AV1": of(lambda e: e.encoder in ("svt-av1", "svt-av1_crf")),
        "AV1 by libaom": of(lambda e: e.encoder == "aom"),
        "AV1 by rav1e": of(lambda e: e.encoder == "rav1e"),
        "other codecs": of(lambda e: e.codec != "av1"),
        "H.264": of(lambda e: e.codec == "h264"),
        "HEVC": of(lambda e: e.codec == "hevc"),
        "VP9": of(lambda e: e.codec == "vp9"),
        "MPEG-1, 2, 4 and H.263": of(lambda e: e.codec in ("mpeg1video", "mpeg2video", "mpeg4", "flv1")),
        "VP8, Theora, MJPEG": of(lambda e: e.codec in ("vp8", "theora", "mjpeg")),
        "VVC": of(lambda e: e.codec == "vvc"),
        "sizes never seen": of(new_size),
        "AV1 at sizes never seen": of(lambda e: e.codec == "av1" and new_size(e)),
        "real video": of(lambda e: e.whole or e.group.startswith(("opencv_", "fresh_"))),
        **{
            what if name == "none" else f"spoiled by {what}": of(lambda e, n=name: e.spoil == n)
            for name, what in spoils.items()
        },
        "spoiled by any noise": of(lambda e: e.spoil in NOISY),
    }


def table(rows: dict[str, tuple[Floats, Floats, list[Encode]]]) -> None:
    print("| predictor | encodes | SRCC | PLCC | RMSE | SRCC within |\n|---|---|---|---|---|---|")
    for name, (predicted, truth, encodes) in rows.items():
        cells = measures(predicted, truth, [e.group for e in encodes], [clip_of(e) for e in encodes])
        print(f"| {name} | {len(encodes)} | {' | '.join(cells)} |", flush=True)


def print_other_truths(net: MediamlNr, seen: Sequence[Seen], test: list[Encode]) -> None:
    """The same predictions at the encode's own size, and against the source as it was before it was spoiled."""
    parts = subsets(test)
    rows = {}
    for label, what in enumerate(LABELS):
        predicted = np.array([float(p.quality.mean()) for p in predictions(net, seen, test, own_size=label % 2 == 1)])
        truth = np.array([e.vmaf_clip[label] for e in test])
        for name in ("all of the test", "not spoiled before the encode", "spoiled by any noise"):
            at = parts[name]
            rows[f"{what}, {name}"] = (predicted[at], truth[at], [test[k] for k in at])
    table(rows)


def print_coverage(net: MediamlNr, calibration: Calibration, seen: Sequence[Seen], test: Sequence[Encode]) -> None:
    """How often the intervals hold the truth: of clips and of single pictures, at both sizes, over the subsets."""
    print("\n| 95 % intervals | of clips | of pictures | mean width of clips' |\n|---|---|---|---|")
    for own_size in (False, True):
        predicted = predictions(net, seen, test, own_size=own_size)
        inside, single, width = [], [], []
        for p, encode in zip(predicted, test, strict=True):
            of_picture, of_clip = calibration.of(known=net.knows(encode.codec))
            low, high = interval(p.quality.mean(), p.spread.mean(), of_clip)
            inside.append(float(low <= encode.vmaf_clip[own_size] <= high))
            width.append(float(high - low))
            low, high = interval(*p, of_picture)
            label = encode.vmaf[int(own_size)]
            single.append(float(((low <= label) & (label <= high)).float().mean()))
        for name, at in subsets(test).items():
            if len(at) >= 8:
                cells = [f"{100 * np.mean([column[i] for i in at]):.1f} %" for column in (inside, single)]
                size = "own size" if own_size else "source's size"
                print(f"| {name}, {size} | {' | '.join(cells)} | {np.mean([width[i] for i in at]):.1f} |")


def print_speed(path: Path) -> None:
    """Frames of the file a CPU-second, decoding included: the model alone, after one run to warm up."""
    score_single(path, device="cpu", artifacts=False)
    began = time.process_time()
    found = score_single(path, device="cpu", artifacts=False)
    seconds = time.process_time() - began
    video, looked = found.media.main_video, len(found.frames["nr_quality"])
    assert video is not None
    with av.open(str(path)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    size = f"{video.width}x{video.height} {video.codec}"
    print(f"{path.name}: {size}, {frames} frames, {looked} looked at: {frames / seconds:.0f} frames a CPU-second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", help="folder of encodes, as nr_data.py makes them")
    parser.add_argument("--weights", type=Path, help="other weights than the committed ones")
    parser.add_argument("--part", choices=("test3", "test2", "test"), default="test3", help="which test")
    parser.add_argument("--quick", action="store_true", help="without BRISQUE and NIQE, which take minutes")
    parser.add_argument("--speed", type=Path, help="only measure the speed on this video, decoding included")
    settings = parser.parse_args()
    torch.set_num_threads(1)
    if settings.speed:
        print_speed(settings.speed)
        return
    if settings.data is None:
        parser.error("name the folder of encodes, or a video with --speed")
    train, test, seen = read_all(settings.data, "train")[0], *read_all(settings.data, settings.part)
    truth = np.array([e.vmaf_clip[0] for e in test])
    net, calibration = load(settings.weights or weights.resolve("mediaml_nr"), torch.device("cpu"))
    train = [e for e in train if net.knows(e.codec)]
    simple = [e for e in train if e.scale == 1.0 or 0 in e.learned]  # whose label at the source's size is learned from
    for name, part in (("trained on", train), ("measured on", test)):
        print(f"{name} {len(part)} encodes of {len({e.group for e in part})} sources")
    ours = predictions(net, seen, test)
    model = np.array([float(p.quality.mean()) for p in ours])
    blind = np.array([float(p.quality.mean()) for p in predictions(net, seen, test, facts=False)])
    rows = {"mediaml_nr": (model, truth, test), "mediaml_nr, pixels alone": (blind, truth, test)}
    rows |= {name: (fitted, truth, test) for name, fitted in fit_simple(simple, test).items()}
    if not settings.quick:
        few = slice(None, None, HANDCRAFTED_EVERY)
        with torch.inference_mode():
            rows |= {
                name: (fitted, truth[few], test[few]) for name, fitted in fit_handcrafted(simple, test[few]).items()
            }
        rows["mediaml_nr, on the same encodes"] = (model[few], truth[few], test[few])
    table(rows)
    print("\nmediaml_nr by what the encode is")
    table({n: (model[i], truth[i], [test[k] for k in i]) for n, i in subsets(test).items() if len(i) >= 8})
    print("\nmediaml_nr against each truth: what went into the encoder, and the source before it was spoiled")
    print_other_truths(net, seen, test)
    print_coverage(net, calibration, seen, test)


if __name__ == "__main__":
    main()

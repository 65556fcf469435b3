"""TransNetV2: the network's parts against plain loops, the fast form against the plain one, windows, shots, real cuts."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.shots.transitions import CUT_FRAMES, find_transitions, runs, shots_between
from mediaml.analyzers.shots.transnetv2 import VIEW, ShotBoundaries
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.frames import Colour, FrameBatch
from mediaml.nets.transnetv2 import LOOKUP, WINDOW, TransNetV2, histograms, lookup
from mediaml.nets.transnetv2_fused import FusedTransNetV2
from mediaml.spec import Table


def batch(frames: Tensor, first: int = 0, fps: float = 25.0) -> FrameBatch:
    n = len(frames)
    index = torch.arange(first, first + n)
    every = torch.full((n,), 1 / fps, dtype=torch.float64)
    return FrameBatch(index.double() / fps, every, index, index == 0, Colour(), views={VIEW: frames})


def analyse(analyzer: ShotBoundaries, frames: Tensor, sizes: int) -> dict:
    analyzer._reset()
    for first in range(0, len(frames), sizes):
        assert analyzer.update(batch(frames[first : first + sizes], first)) == {}
    return dict(analyzer.finish())


@pytest.fixture(scope="module")
def analyzer() -> ShotBoundaries:
    made = ShotBoundaries()
    try:
        made.setup(torch.device("cpu"))
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    return made


class Echo(torch.nn.Module):
    """Stands for the network: a frame's first pixel says its logit, so that windows can be followed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, frames: Tensor, keep: slice) -> tuple[Tensor, Tensor]:
        assert frames.shape[1:] == (WINDOW, 3, 27, 48)
        self.seen.append(frames[:, :, 0, 0, 0].clone())
        logit = (frames[:, keep, 0, 0, 0].float() - 128) / 8
        return logit, logit


def echoing() -> ShotBoundaries:
    made = ShotBoundaries()
    made.use(TransNetV2().state_dict(), torch.device("cpu"))
    made.net = Echo()  # type: ignore[assignment]
    return made


def test_lookup_is_the_similarity_of_each_frame_to_its_neighbours():
    vectors = torch.randn(2, 7, 5)
    got = lookup(vectors)
    assert got.shape == (2, 7, LOOKUP)
    for b in range(2):
        for t in range(7):
            for j in range(LOOKUP):
                other = t + j - LOOKUP // 2
                expected = float(vectors[b, t] @ vectors[b, other]) if 0 <= other < 7 else 0.0
                assert got[b, t, j].item() == pytest.approx(expected, abs=1e-5)


def test_histograms_count_the_top_three_bits_of_each_channel():
    frames = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    got = histograms(frames)
    for n in range(2):
        counts = np.zeros(512)
        for r, g, b in frames[n].flatten(1).T.tolist():
            counts[(r // 32) * 64 + (g // 32) * 8 + b // 32] += 1
        assert np.allclose(got[n].numpy(), counts / np.linalg.norm(counts), atol=1e-6)


def test_the_fused_form_gives_the_same_logits():
    torch.manual_seed(1)
    net = TransNetV2().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.uniform_(-0.3, 0.3)
    frames = torch.randint(0, 256, (2, 21, 3, 27, 48), dtype=torch.uint8)
    with torch.inference_mode():
        plain, fused = net(frames), FusedTransNetV2(net)(frames, slice(5, 16))
    for a, b in zip(plain, fused, strict=True):
        assert a.std() > 1e-4
        assert torch.allclose(a[:, 5:16], b, atol=1e-5)


@pytest.mark.parametrize("frames", [2, 49, 50, 51, 75, 100, 101, 126, 250])
def test_every_frame_gets_the_prediction_of_its_own_window(frames: int):
    analyzer = echoing()
    values = torch.randint(100, 156, (frames,), dtype=torch.uint8)
    pictures = values.view(-1, 1, 1, 1).expand(-1, 3, 27, 48).contiguous()
    centre: list[np.ndarray] = []
    analyzer._shot_rows = lambda c, *_: centre.append(c) or {}  # type: ignore[method-assign]
    analyse(analyzer, pictures, 17)
    expected = torch.sigmoid((values.float() - 128) / 8)
    assert np.allclose(centre[0], expected.numpy(), atol=1e-6)
    windows = torch.cat(analyzer.net.seen)  # type: ignore[union-attr]
    padded = torch.cat([values[:1].expand(25), values, values[-1:].expand(75)])
    assert len(windows) == -(-frames // 50)
    for k, window in enumerate(windows):
        assert torch.equal(window, padded[50 * k : 50 * k + WINDOW])


def test_few_frames_wait_however_long_the_file_is():
    analyzer = echoing()
    frames = torch.full((40, 3, 27, 48), 100, dtype=torch.uint8)
    for i in range(40):
        analyzer.update(batch(frames, 40 * i))
        assert analyzer._waiting is not None
        assert len(analyzer._waiting) < WINDOW
        assert analyzer._waiting.untyped_storage().nbytes() < 2 * WINDOW * 3 * 27 * 48
    analyzer.finish()
    assert analyzer._waiting is None


def test_a_still_is_one_shot_and_asks_nothing_of_the_network():
    analyzer = echoing()
    analyzer.update(batch(torch.full((1, 3, 27, 48), 250, dtype=torch.uint8), 0))
    rows = analyzer.finish()
    assert analyzer.net.seen == []  # type: ignore[union-attr]
    assert list(rows[Table.SHOTS]["transition"]) == ["end"]
    assert Table.SERIES not in rows


def test_no_frames_give_no_rows():
    assert echoing().finish() == {}


def test_the_threshold_is_checked_and_is_part_of_the_key():
    assert ShotBoundaries(0.4).parameters == {"threshold": 0.4}
    for wrong in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(InvalidValue, match=r"threshold .* must lie between 0 and 1"):
            ShotBoundaries(wrong)


def test_runs():
    assert runs(np.array([True, True, False, True])) == [(0, 1), (3, 3)]
    assert runs(np.array([], bool)) == []


def probabilities(n: int, *spans: tuple[int, int]) -> np.ndarray:
    values = np.zeros(n, np.float32)
    for first, last in spans:
        values[first : last + 1] = 0.9
    return values


def bounds(n: int, *spans: tuple[int, int]) -> list[tuple[int, int]]:
    p = probabilities(n, *spans)
    return [(s.start, s.end) for s in shots_between(find_transitions(p, p, 0.5), n)]


def test_shots_lie_between_transitions():
    assert bounds(10) == [(0, 10)]
    assert bounds(10, (4, 4)) == [(0, 5), (5, 10)]
    assert bounds(10, (4, 6)) == [(0, 5), (7, 10)]
    assert bounds(10, (0, 1), (8, 9)) == [(2, 9)]
    assert bounds(10, (0, 9)) == [(0, 10)]
    assert bounds(1, (0, 0)) == [(0, 1)]


def test_a_transition_is_as_long_as_the_second_head_says():
    centre, inside = probabilities(40, (5, 5), (20, 21)), probabilities(40, (5, 5), (14, 27), (33, 36))
    cut, fade = find_transitions(centre, inside, 0.5)
    assert (cut.kind, cut.extent_first, cut.extent_last) == ("cut", 5, 5)
    assert (fade.kind, fade.first, fade.last, fade.extent_first, fade.extent_last) == ("gradual", 20, 21, 14, 27)
    assert fade.extent_last - fade.extent_first >= CUT_FRAMES


def test_rows_say_frames_and_seconds():
    analyzer = echoing()
    values = torch.full((60,), 60, dtype=torch.uint8)
    values[24] = 160  # logit 4
    rows = analyse(analyzer, values.view(-1, 1, 1, 1).expand(-1, 3, 27, 48).contiguous(), 60)
    shots = rows[Table.SHOTS]
    assert list(shots["shot_index"]) == [0, 1]
    assert (shots["start_frame"], shots["end_frame"]) == ([0, 25], [25, 60])
    assert shots["start_seconds"] == pytest.approx([0.0, 1.0])
    assert shots["end_seconds"] == pytest.approx([1.0, 2.4])
    assert shots["transition"] == ["cut", "end"]
    assert shots["transition_probability"] == [pytest.approx(1 / (1 + np.exp(-4))), None]
    assert shots["transition_start_seconds"] == [pytest.approx(0.96), None]
    assert shots["transition_end_seconds"] == [pytest.approx(1.0), None]
    series = rows[Table.SERIES]
    assert series["series"] == ["cut_probability"]
    assert list(series["time_seconds"]) == pytest.approx([0.96])


@pytest.mark.weights
def test_cuts_between_different_pictures_are_found(analyzer: ShotBoundaries):
    rng = np.random.default_rng(5)
    shots = [12, 20, 15]
    frames = []
    for length in shots:
        picture = np.kron(rng.integers(0, 256, (9, 14, 3)), np.ones((4, 4, 1))).astype(np.uint8)
        frames += [picture[i // 8 : i // 8 + 27, i // 4 : i // 4 + 48] for i in range(length)]
    tensor = torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous()
    rows = analyse(analyzer, tensor, 10)
    assert rows[Table.SHOTS]["end_frame"] == [12, 32, 47]
    assert rows[Table.SHOTS]["transition"] == ["cut", "cut", "end"]
    again = analyse(analyzer, tensor, 47)
    assert again[Table.SHOTS]["transition_probability"] == rows[Table.SHOTS]["transition_probability"]


@pytest.mark.weights
@pytest.mark.data
@pytest.mark.slow
def test_real_cuts_agree_with_the_golden_lists(analyzer: ShotBoundaries, shared_data: Path):
    """PySceneDetect's cuts are first frames of shots of ours; where it fires on a fade in, we have the fade there."""
    root = shared_data / "shots/Breakthrough+PySceneDetect/tests/resources"
    golden = json.loads((root / "goldens/testvideo.mp4.ContentDetector.default.json").read_text())["cuts"]
    reformatter = av.video.reformatter.VideoReformatter()
    frames = []
    with av.open(str(root / "testvideo.mp4")) as container:
        for frame in container.decode(video=0):
            small = reformatter.reformat(frame, 48, 27, "rgb24", interpolation="AREA")
            frames.append(small.to_ndarray())
            if len(frames) == 450:
                break
    rows = analyse(analyzer, torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).contiguous(), 64)
    assert golden == [30, 180, 394]  # two cuts, and the first frame that rises from black
    shots = rows[Table.SHOTS]
    assert shots["start_frame"][1:3] == [30, 180]
    assert shots["transition"][:2] == ["cut", "cut"]
    seconds = zip(shots["transition"], shots["transition_start_seconds"], shots["transition_end_seconds"], strict=True)
    fades = [(round(a * 25), round(b * 25)) for kind, a, b in seconds if kind == "gradual"]
    assert any(abs(first - 394) <= 3 and 15 < last - first < 45 for first, last in fades), fades


@pytest.mark.weights
def test_the_published_weights_are_the_ones_expected():
    try:
        path = weights.resolve("transnetv2")
    except WeightsAbsent as error:
        pytest.skip(f"weights absent: {error}")
    state = torch.load(path, map_location="cpu", weights_only=True)
    assert set(state) == set(TransNetV2().state_dict())

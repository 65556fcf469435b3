"""Long pairs, decoded once while they are aligned: the same pairs and scores as decoded twice, whatever happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from mediaml.decode import kept
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair import live as live_frames
from mediaml.decode.pair import stream as pair_stream
from mediaml.decode.pair.following import FollowedPair, follow_pair
from mediaml.decode.pair.live import LiveFrames
from mediaml.decode.pair.plan import plan_pair
from mediaml.decode.pair.stream import PairStream
from mediaml.engine.score.metrics import choose_metrics
from mediaml.engine.score.pair import score_followed, score_plan
from mediaml.engine.score.result import ScoreResult
from mediaml.errors import ContentDiffers
from tests.real_clips import write

CPU = torch.device("cpu")
WIDE, HIGH = 160, 96
METRICS, LIMIT = ["psnr"], 1 << 26
ROOM = 100
KEEP_BYTES = ROOM * 2 * WIDE * HIGH * 3 // 2
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def shown() -> list[Picture]:
    """330 pictures of a camera that wanders over a texture."""
    return wander(330, 0)


def wander(count: int, seed: int) -> list[Picture]:
    rng = np.random.default_rng(seed)
    layers = [cv2.resize(rng.normal(size=s).astype(np.float32), (800, 600)) for s in ((600, 800), (75, 100), (18, 24))]
    ground = np.clip(128 + sum(k * layer for k, layer in zip((8, 20, 30), layers, strict=True)), 16, 235)
    angle = np.cumsum(0.02 + 0.005 * rng.normal(size=count))
    path = np.stack([300 + 140 * np.cos(angle), 250 + 140 * np.sin(angle)], axis=1)
    grey = np.full((HIGH // 2, WIDE), 128, np.uint8)
    parts = [cv2.getRectSubPix(ground.astype(np.float32), (WIDE, HIGH), (float(x), float(y))) for x, y in path]
    return [np.concatenate([p.astype(np.uint8), grey]) for p in parts]


def pair(folder: Path, distorted: Sequence[Picture], reference: Sequence[Picture]) -> tuple[VideoFile, VideoFile]:
    made = write(folder / "d.mp4", distorted, crf=20), write(folder / "r.mp4", reference, crf=4)
    return VideoFile.of(str(made[0])), VideoFile.of(str(made[1]))


def followed(files: tuple[VideoFile, VideoFile]) -> ScoreResult:
    following = follow_pair(*files, keep_bytes=KEEP_BYTES)
    assert following is not None
    return score_followed(following, choose_metrics(METRICS), CPU, None, None)


def twice(files: tuple[VideoFile, VideoFile]) -> ScoreResult:
    plan = plan_pair(*files, keep_bytes=0)
    return score_plan(plan, choose_metrics(METRICS), CPU, LIMIT, None, None)


def assert_same(a: ScoreResult, b: ScoreResult) -> None:
    assert a.notes == b.notes and set(a.frames) == set(b.frames)
    one, other = (r.plan.to_dict()["alignment"] for r in (a, b))
    assert one == pytest.approx(other, abs=0.05)  # thumbnails of frames with and without their loop filter
    for name in a.frames:
        np.testing.assert_array_equal(a.frames[name], b.frames[name], err_msg=name)


@pytest.mark.parametrize(
    ("distorted", "reference"),
    [
        (slice(0, 330), slice(0, 330)),
        (slice(9, 330), slice(0, 330)),
        (slice(0, 330), slice(14, 330)),
        (slice(5, 310), slice(0, 330)),
        (slice(0, 330), slice(0, 300)),
    ],
)
def test_a_constant_lag_is_decoded_once(
    tmp_path: Path, shown: list[Picture], distorted: slice, reference: slice, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = pair(tmp_path, shown[distorted], shown[reference])
    expected = twice(files)
    for module in (kept, pair_stream):
        monkeypatch.setattr(module, "read_frames", None)  # a second decode would call it
    assert_same(followed(files), expected)


def dropped(frames: list[Picture]) -> list[Picture]:
    return frames[:150] + frames[153:]


def repeated(frames: list[Picture]) -> list[Picture]:
    return frames[:160] + 3 * [frames[160]] + frames[163:200] + [frames[199]] + frames[200:]


@pytest.mark.parametrize("change", [dropped, repeated])
def test_losses_and_repeats_are_followed(
    tmp_path: Path,
    shown: list[Picture],
    change: Callable[[list[Picture]], list[Picture]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    files = pair(tmp_path, change(shown), shown)
    expected = twice(files)
    for module in (kept, pair_stream):
        monkeypatch.setattr(module, "read_frames", None)
    assert_same(followed(files), expected)


def slower(frames: list[Picture]) -> list[Picture]:
    return [frames[i * 5 // 6] for i in range(len(frames))]


def slower_later(frames: list[Picture]) -> list[Picture]:
    return frames[:140] + slower(frames[140:])


def other_scene(frames: list[Picture]) -> list[Picture]:
    return frames[:150] + wander(60, 7) + frames[210:]


def far_off(frames: list[Picture]) -> list[Picture]:
    return frames[60:]


@pytest.mark.parametrize("change", [slower, slower_later, other_scene, far_off])
def test_what_is_not_constant_scores_as_decoded_twice(
    tmp_path: Path, shown: list[Picture], change: Callable[[list[Picture]], list[Picture]]
) -> None:
    files = pair(tmp_path, change(shown), shown)
    assert_same(followed(files), twice(files))


def test_what_was_scored_wrongly_is_scored_again(
    tmp_path: Path, shown: list[Picture], monkeypatch: pytest.MonkeyPatch
) -> None:
    def straight_on(_self: object, _head: object, path: NDArray[np.int64], ahead: int, _lag: int) -> NDArray[np.int64]:
        return np.arange(ahead) + path[-1] - len(path) + 1

    monkeypatch.setattr(FollowedPair, "_aligned", straight_on)  # no stretch is looked at
    files = pair(tmp_path, dropped(shown), shown)
    assert_same(followed(files), twice(files))


def test_other_content_is_refused(tmp_path: Path, shown: list[Picture]) -> None:
    with pytest.raises(ContentDiffers):
        followed(pair(tmp_path, wander(250, 3), shown))


def test_only_long_pairs_are_followed(tmp_path: Path, shown: list[Picture]) -> None:
    files = pair(tmp_path, shown[:110], shown[:110])
    assert follow_pair(*files, keep_bytes=KEEP_BYTES * 2) is None  # all of it can be kept
    assert follow_pair(*files, keep_bytes=KEEP_BYTES // 2) is None  # too few frames to align by


def first_of(following: FollowedPair) -> None:
    head = following.begin()
    assert head is not None
    pair = head.distorted, head.reference, head.form, following.pairs()
    with PairStream(*pair, kept=following.live, queue_bytes=1) as stream:
        next(iter(stream))


def test_leaving_early_ends_all_threads(tmp_path: Path, shown: list[Picture]) -> None:
    following = follow_pair(*pair(tmp_path, shown, shown), keep_bytes=KEEP_BYTES)
    assert following is not None

    def leave() -> None:
        with closing(following):
            first_of(following)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert not any(live._thread.is_alive() for live in following.live)


def test_the_plan_is_whole_where_nobody_takes_the_frames(tmp_path: Path, shown: list[Picture]) -> None:
    following = follow_pair(*pair(tmp_path, shown[3:], shown), keep_bytes=KEEP_BYTES)
    assert following is not None
    with closing(following):
        first_of(following)
        pairs = following.finish().pairs
        assert pairs is not None and pairs.tolist() == [[i, i + 3] for i in range(len(shown) - 3)]
        assert following.waiting(pairs) is None


@pytest.mark.parametrize("expected_bytes", [WIDE * HIGH / 2, WIDE * HIGH * 3 / 2])
def test_frames_larger_than_the_header_says_are_not_kept(
    tmp_path: Path, shown: list[Picture], expected_bytes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = VideoFile.of(str(write(tmp_path / "a.mp4", shown[:40])))
    small = expected_bytes == WIDE * HIGH * 3 / 2
    if small:  # the first frame takes what it should, later ones more
        sizes = iter([WIDE * HIGH * 3 / 2] + [3 * WIDE * HIGH] * 1000)
        monkeypatch.setattr(live_frames, "frame_bytes", lambda _: next(sizes))
    live = LiveFrames(file, 30, expected_bytes, None)
    assert live.wait_for(30) == 0
    assert len(live.signal()) == 40 and live.kept() == ()
    live.close()

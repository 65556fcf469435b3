"""Which frames become thumbnails, and that their number and size stay bounded."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mediaml.analyzers.thumbnails import MOST_KEPT, VIEW, Thumbnails
from mediaml.spec import Table
from tests.frames import rgb_batch

BLACK = np.zeros((108, 192, 3), np.uint8)


def scene(seed: int, blur: int = 1) -> NDArray[np.uint8]:
    """A picture unlike those of other seeds; `blur` > 1 softens it."""
    rng = np.random.default_rng(seed)
    base = Image.fromarray(rng.integers(0, 256, (9, 16, 3)).astype(np.uint8)).resize(
        (192, 108), Image.Resampling.NEAREST
    )
    if blur > 1:
        base = base.resize((192 // blur, 108 // blur), Image.Resampling.BOX).resize(
            (192, 108), Image.Resampling.BICUBIC
        )
    return np.asarray(base)


def thumbnails(pictures: Sequence[NDArray[np.uint8]], size: int = 50) -> list[tuple[float, Image.Image, float]]:
    """(pts, picture, sharpness) of every thumbnail of one frame a second."""
    analyzer = Thumbnails()
    for i in range(0, len(pictures), size):
        assert analyzer.update(rgb_batch(np.stack(pictures[i : i + size]), VIEW, first=i)) == {}
    rows = analyzer.finish()
    if not rows:
        return []
    t = rows[Table.THUMBNAILS]
    pictures_found = [Image.open(io.BytesIO(j)) for j in t["jpeg"]]
    assert [p.size for p in pictures_found] == list(zip(t["width"], t["height"], strict=True))
    return list(zip(t["pts_seconds"], pictures_found, t["sharpness"], strict=True))


def test_one_a_scene() -> None:
    found = thumbnails([scene(0)] * 5 + [scene(1)] * 4 + [scene(2)] * 3)
    assert [t for t, _, _ in found] == [0, 5, 9]
    for (_, picture, _), seed in zip(found, (0, 1, 2), strict=True):
        assert np.abs(np.asarray(picture).astype(float) - scene(seed)).mean() < 12


def test_the_sharpest_of_a_scene_is_taken() -> None:
    found = thumbnails([scene(0, blur=6), scene(0, blur=3), scene(0), scene(0, blur=4)])
    assert [t for t, _, _ in found] == [2]


def test_black_frames_are_passed_over() -> None:
    found = thumbnails([BLACK] * 3 + [scene(0)] * 3 + [BLACK] * 3 + [scene(1)] * 2)
    assert [t for t, _, _ in found] == [3, 9]


def test_a_scene_that_comes_back_at_once_is_not_repeated() -> None:
    assert [t for t, _, _ in thumbnails([scene(0)] * 3 + [BLACK] * 2 + [scene(0)] * 3)] == [0]


def test_a_black_file_gives_one() -> None:
    found = thumbnails([BLACK] * 200)
    assert [(t, s) for t, _, s in found] == [(0, 0)]


def test_a_still_picture_gives_one_a_minute() -> None:
    assert [t for t, _, _ in thumbnails([scene(0)] * 150)] == [0, 60, 120]


def test_batches_do_not_matter() -> None:
    pictures = [scene(i // 4, blur=1 + i % 3) for i in range(25)]
    sequences = [[(t, p.tobytes(), s) for t, p, s in thumbnails(pictures, size)] for size in (1, 3, 25)]
    assert sequences[0] == sequences[1] == sequences[2] and len(sequences[0]) == 7


def test_tiny_and_odd_pictures() -> None:
    for shape in ((1, 1), (3, 2), (192, 7)):
        (found,) = thumbnails([np.full((*shape, 3), 90, np.uint8)])
        assert found[1].size == shape[::-1] and found[2] == 0


def test_nothing_seen_gives_nothing() -> None:
    assert thumbnails([]) == []


def test_batch_is_not_kept_alive_and_not_modified() -> None:
    pictures = np.stack([scene(0)] * 2)
    batch = rgb_batch(pictures.copy(), VIEW)
    analyzer = Thumbnails()
    analyzer.update(batch)
    assert np.array_equal(batch.view(VIEW).permute(0, 2, 3, 1).numpy(), pictures)
    assert analyzer._best is not None
    assert analyzer._best.rgb.untyped_storage().data_ptr() != batch.view(VIEW).untyped_storage().data_ptr()


@pytest.mark.slow
def test_a_long_film_of_changing_noise_stays_small() -> None:
    """The worst case for JPEG: every second another picture, full of noise."""
    rng = np.random.default_rng(0)
    analyzer = Thumbnails()
    noise = rng.integers(0, 120, (192, 192, 3)).astype(np.uint8)
    for start in range(0, 2500, 100):
        flat = rng.integers(0, 135, (100, 1, 1, 3)).astype(np.uint8)
        analyzer.update(rgb_batch(flat + noise, VIEW, first=start))
        assert len(analyzer._kept.rows) < MOST_KEPT
    rows = analyzer.finish()[Table.THUMBNAILS]
    times = np.array(rows["pts_seconds"])
    assert MOST_KEPT / 4 < len(times) < MOST_KEPT
    assert times[-1] > 2450 and np.diff(times).max() < 20
    assert max(map(len, rows["jpeg"])) * MOST_KEPT < 40e6

"""Pooling: libvmaf's conventions, percentiles, the worst second, limits."""

from __future__ import annotations

import numpy as np
import pytest

from mediaml.engine.pooling import Limit, check_limits, harmonic_mean, missed, pool, worst_frames, worst_second
from mediaml.errors import InvalidValue
from mediaml.spec import Column


def test_mean_min_max_and_percentiles() -> None:
    pooled = pool(np.arange(101.0), np.arange(101) / 25)
    assert pooled is not None
    assert (pooled.mean, pooled.min, pooled.max, pooled.median) == (50, 0, 100, 50)
    assert pooled.percentiles[5] == pytest.approx(5) and pooled.value("p95") == pytest.approx(95)
    assert pooled.frames == 101 and pooled.ignored == 0


def test_harmonic_mean_is_libvmafs() -> None:
    # libvmaf: n / sum(1 / (x + 1)) - 1
    assert harmonic_mean(np.array([99.0, 49.0])) == pytest.approx(2 / (1 / 100 + 1 / 50) - 1)
    assert harmonic_mean(np.array([0.0, 0.0])) == 0
    assert harmonic_mean(np.array([-1.0, 5.0])) is None


def test_values_that_are_not_finite_are_ignored_and_counted() -> None:
    pooled = pool(np.array([1.0, np.nan, 3.0, np.inf]), np.arange(4.0))
    assert pooled is not None and pooled.mean == 2 and pooled.ignored == 2
    assert pool(np.array([np.nan]), np.zeros(1)) is None


def test_worst_second_is_found_where_it_is() -> None:
    times = np.arange(100) / 25
    values = np.full(100, 90.0)
    values[50:75] = 40  # the third second
    found = worst_second(values, times)
    assert found.start_seconds == pytest.approx(2.0) and found.value == pytest.approx(40)
    assert worst_second(values, times, lower_is_better=True).value == 90


def test_worst_second_of_less_than_a_second_is_the_whole() -> None:
    found = worst_second(np.array([1.0, 3.0]), np.array([0.0, 0.04]))
    assert found.start_seconds == 0 and found.value == 2


def test_worst_frames_keep_their_distance() -> None:
    values = np.array([5.0, 1.0, 1.1, 9.0, 2.0, np.nan])
    times = np.array([0, 0.3, 0.6, 0.9, 1.2, 1.5])
    assert worst_frames(values, times, 2) == [1, 4]
    assert worst_frames(values, times, 9, apart_seconds=0.1) == [1, 2, 4, 0, 3]
    assert worst_frames(values, times, 1, lower_is_better=True) == [3]


def test_the_bad_end_is_the_high_one_where_lower_is_better() -> None:
    values, times = np.arange(101.0), np.arange(101) / 25
    pooled = pool(values, times, lower_is_better=True)
    assert pooled is not None
    assert (pooled.percentiles[5], pooled.percentiles[95]) == (pytest.approx(95), pytest.approx(5))
    assert (pooled.worst, pooled.min, pooled.max) == (100, 0, 100)
    assert pooled.worst_second.value == pytest.approx(88)  # of frames 76 to 100


def test_a_least_value_is_refused_where_lower_is_better() -> None:
    cambi = Column("cambi", "float64", "1", "banding", better="lower")
    with pytest.raises(InvalidValue, match="--fail-over p5:cambi=8"):
        check_limits(Limit.parse("p5:cambi=8"), [cambi])
    limits = Limit.parse("cambi=5,p5:cambi=8", most=True)
    check_limits(limits, [cambi])
    pooled = pool(np.array([6.0] * 10 + [9.0] * 10), np.arange(20) / 25, lower_is_better=True)
    assert pooled is not None
    assert [(str(x), r) for x, r in missed(limits, {"cambi": pooled})] == [("mean:cambi<=5", 7.5), ("p5:cambi<=8", 9.0)]


def test_limits_are_read_and_checked() -> None:
    limits = Limit.parse("vmaf=93, p5:vmaf=85,min:psnr_y=30")
    assert [str(x) for x in limits] == ["mean:vmaf=93", "p5:vmaf=85", "min:psnr_y=30"]
    pooled = {"vmaf": pool(np.array([90.0, 97.0, 98.0]), np.arange(3.0))}
    short = missed(limits, {k: v for k, v in pooled.items() if v is not None})
    assert [(str(limit), reached) for limit, reached in short] == [("min:psnr_y=30", None)]


@pytest.mark.parametrize("text", ["vmaf", "vmaf=", "vmaf=high", "=3", "best:vmaf=3", "p7:vmaf=3", "vmaf=nan"])
def test_bad_limits_say_what_is_wrong(text: str) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        Limit.parse(text)

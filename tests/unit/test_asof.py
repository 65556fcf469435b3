"""The point-in-time join against a plain Python oracle, over many generated histories."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest

from mediaml.errors import InvalidValue, UnknownName
from mediaml.tables.asof import AsOf, AsOfRule, Mode, Status

BASE = datetime(2024, 1, 1, tzinfo=UTC)
UTC_US = pa.timestamp("us", "UTC")
HISTORIES = 12_000


@dataclass(frozen=True)
class Version:
    key: str
    valid_from: datetime
    computed_at: datetime
    deleted: bool = False


def table(versions: list[Version]) -> pa.Table:
    return pa.table(
        {
            "title_id": pa.array([v.key for v in versions], pa.string()),
            "valid_from": pa.array([v.valid_from for v in versions], UTC_US),
            "computed_at": pa.array([v.computed_at for v in versions], UTC_US),
            "deleted": pa.array([v.deleted for v in versions], pa.bool_()),
        }
    )


def oracle(versions: list[Version], key: str, time: datetime, rule: AsOfRule) -> tuple[int, Status]:
    """The rule read aloud: look at every version of the key, keep those that count, take the greatest."""
    mine = [(i, v) for i, v in enumerate(versions) if v.key == key]
    if not mine:
        return -1, Status.UNKNOWN_KEY
    valid = [(i, v) for i, v in mine if v.valid_from <= time]
    if not valid:
        return -1, Status.NOT_YET_VALID
    counting = [(i, v) for i, v in valid if rule.asof == "valid" or v.computed_at <= time]
    if not counting:
        return -1, Status.NOT_YET_KNOWN
    place, best = max(counting, key=lambda one: (one[1].valid_from, one[1].computed_at, one[0]))
    if best.deleted:
        return -1, Status.DELETED
    if rule.max_age is not None and time - best.valid_from > rule.max_age:
        return -1, Status.TOO_OLD
    return place, Status.JOINED


def history(random_source: random.Random, key: str) -> list[Version]:
    """Few distinct moments, so that ties are common: late, backfilled, scheduled, repeated, unordered, deleted versions."""
    found: list[Version] = []
    for _ in range(random_source.randint(0, 7)):
        valid = BASE + timedelta(hours=random_source.randint(0, 8))
        kind = random_source.random()
        if kind < 0.2:
            computed = valid
        elif kind < 0.4:
            computed = valid + timedelta(hours=random_source.randint(0, 3))  # late
        elif kind < 0.6:
            computed = BASE + timedelta(hours=random_source.randint(6, 14))  # a backfill long after
        elif kind < 0.8:
            computed = valid - timedelta(
                hours=random_source.randint(0, 3)
            )  # known before it is true: a scheduled release
        else:
            computed = BASE + timedelta(hours=random_source.randint(0, 14), microseconds=random_source.randint(-1, 1))
        found.append(Version(key, valid, computed, random_source.random() < 0.12))
        if random_source.random() < 0.2:
            found.append(found[random_source.randrange(len(found))])  # a duplicate
    return found


def event_times(random_source: random.Random, versions: list[Version]) -> list[datetime]:
    """Anywhere, and one microsecond before, at and after the times of versions; written in several zones."""
    zones = (UTC, ZoneInfo("America/New_York"), timezone(timedelta(hours=5, minutes=45)))
    found = [BASE + timedelta(minutes=random_source.randint(-60, 16 * 60)) for _ in range(3)]
    for v in random_source.sample(versions, min(2, len(versions))):
        edge = random_source.choice((v.valid_from, v.computed_at))
        found.append(edge + timedelta(microseconds=random_source.randint(-1, 1)))
    found += found[:1]  # a duplicate
    return [t.astimezone(random_source.choice(zones)) for t in found]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("asof", "hours"), [("known", None), ("known", 3), ("valid", None)])
def test_nothing_leaks_and_nothing_is_lost(seed: int, asof: Mode, hours: int | None) -> None:
    """12 x 1,000 histories: every event gets exactly the version that the oracle names."""
    source = random.Random(f"{seed}{asof}{hours}")
    rule = AsOfRule(asof, None if hours is None else timedelta(hours=hours))
    by_key = {f"title {k}": history(source, f"title {k}") for k in range(HISTORIES // 12)}
    versions = [v for found in by_key.values() for v in found]
    source.shuffle(versions)
    events = [(key, t) for key, found in by_key.items() for t in event_times(source, found)]
    source.shuffle(events)
    with AsOf(table(versions), rule) as join:
        match = join.match(pa.array([k for k, _ in events]), pa.array([t.astimezone(UTC) for _, t in events], UTC_US))
    mine: dict[str, list[tuple[int, Version]]] = {}
    for i, v in enumerate(versions):
        mine.setdefault(v.key, []).append((i, v))
    leaked = lost = 0
    for (key, time), row, status in zip(events, match.row.tolist(), match.status.tolist(), strict=True):
        places = [i for i, _ in mine.get(key, [])]
        place, expected = oracle([v for _, v in mine.get(key, [])], key, time, rule)
        assert (row, Status(status)) == (-1 if place < 0 else places[place], expected), (key, time)
        if row >= 0:
            chosen = versions[row]
            leaked += chosen.valid_from > time or (asof == "known" and chosen.computed_at > time)
        lost += row < 0 and expected == Status.JOINED
    assert (leaked, lost) == (0, 0)
    absent = {*([] if asof == "known" else [Status.NOT_YET_KNOWN]), *([Status.TOO_OLD] if hours is None else [])}
    assert set(match.status.tolist()) == set(Status) - absent, "the histories must reach every case"


def test_a_recomputed_catalogue_does_not_leak_into_last_month() -> None:
    """The very fault the join is for: the same valid_from, computed again later."""
    versions = [Version("a", BASE, BASE), Version("a", BASE, BASE + timedelta(days=30))]
    last_month, now = BASE + timedelta(days=3), BASE + timedelta(days=31)
    times = pa.array([last_month, now], UTC_US)
    with AsOf(table(versions)) as known, AsOf(table(versions), AsOfRule("valid")) as valid:
        assert known.match(pa.array(["a", "a"]), times).row.tolist() == [0, 1]
        assert valid.match(pa.array(["a", "a"]), times).row.tolist() == [1, 1]


def test_a_backfill_does_not_displace_what_was_true_later() -> None:
    """Computed last, true first: the running maximum, not the newest arrival, wins."""
    day = timedelta(days=1)
    versions = [Version("a", BASE + 5 * day, BASE + 5 * day), Version("a", BASE, BASE + 10 * day)]
    with AsOf(table(versions)) as join:
        match = join.match(pa.array(["a"] * 3), pa.array([BASE + n * day for n in (4, 6, 11)], UTC_US))
    assert match.row.tolist() == [-1, 0, 0]
    assert match.status.tolist() == [Status.NOT_YET_KNOWN, Status.JOINED, Status.JOINED]


def test_ties_go_to_the_last_row() -> None:
    versions = [Version("a", BASE, BASE), Version("a", BASE, BASE)]
    with AsOf(table(versions)) as join:
        assert join.match(pa.array(["a"]), pa.array([BASE], UTC_US)).row.tolist() == [1]


def test_max_age_is_inclusive_and_looks_at_valid_from() -> None:
    rule = AsOfRule(max_age=timedelta(hours=1))
    times = [BASE + timedelta(hours=1), BASE + timedelta(hours=1, microseconds=1)]
    with AsOf(table([Version("a", BASE, BASE)]), rule) as join:
        match = join.match(pa.array(["a", "a"]), pa.array(times, UTC_US))
    assert match.status.tolist() == [Status.JOINED, Status.TOO_OLD]


def test_nanoseconds_are_rounded_down_never_into_the_future() -> None:
    versions = table([Version("a", BASE, BASE)])
    just_before = pa.array([int(BASE.timestamp()) * 10**9 - 1]).cast(pa.timestamp("ns", "UTC"))
    with AsOf(versions) as join:
        assert join.match(pa.array(["a"]), just_before).row.tolist() == [-1]


def test_the_steps_say_the_same_as_the_join() -> None:
    source = random.Random(7)
    versions = [v for k in range(50) for v in history(source, f"t{k}")]
    with AsOf(table(versions)) as join:
        rows, available = join.steps()
        for key in (f"t{k}" for k in range(50)):
            times = [BASE + timedelta(minutes=m) for m in range(0, 16 * 60, 7)]
            match = join.match(pa.array([key] * len(times)), pa.array(times, UTC_US))
            mine = [(int(at), int(row)) for row, at in zip(rows, available, strict=True) if versions[row].key == key]
            for time, row, status in zip(times, match.row.tolist(), match.status.tolist(), strict=True):
                past = [
                    r for at, r in mine if at <= (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
                ]
                if status in (Status.JOINED, Status.DELETED):
                    assert versions[past[-1]].deleted if status == Status.DELETED else past[-1] == row
                else:
                    assert not past


def test_candidates_give_every_version_a_verdict() -> None:
    day = timedelta(days=1)
    versions = [
        Version("a", BASE, BASE),
        Version("a", BASE + day, BASE + day),
        Version("a", BASE + day, BASE + 9 * day),
        Version("a", BASE + 20 * day, BASE),
        Version("b", BASE, BASE),
    ]
    with AsOf(table(versions)) as join:
        found = join.candidates("a", BASE + 5 * day)
    assert [(c.row, c.verdict) for c in found] == [
        (3, "not yet valid"),
        (2, "not yet known"),
        (1, "chosen"),
        (0, "superseded"),
    ]


def test_no_versions_and_no_events() -> None:
    with AsOf(table([])) as join:
        assert join.match(pa.array(["a"]), pa.array([BASE], UTC_US)).status.tolist() == [Status.UNKNOWN_KEY]
    with AsOf(table([Version("a", BASE, BASE)])) as join:
        assert join.match(pa.array([], pa.string()), pa.array([], UTC_US)).row.tolist() == []


@pytest.mark.parametrize(
    ("keys", "times", "message"),
    [
        (["a"], pa.array([datetime(2024, 1, 1)], pa.timestamp("us")), "time zone"),
        (["a"], pa.array([None], UTC_US), "null"),
        ([None], pa.array([BASE], UTC_US), "null"),
        ([1], pa.array([BASE], UTC_US), "keys are text"),
    ],
)
def test_events_that_cannot_be_judged_are_refused(keys: list[object], times: pa.Array, message: str) -> None:
    with AsOf(table([Version("a", BASE, BASE)])) as join, pytest.raises(InvalidValue, match=message):
        join.match(pa.array(keys, pa.string() if keys == [None] else None), times)


def test_versions_without_a_zone_or_column_are_refused() -> None:
    naive = table([Version("a", BASE, BASE)]).set_column(
        1, "valid_from", pa.array([datetime(2024, 1, 1)], pa.timestamp("us"))
    )
    with pytest.raises(InvalidValue, match="valid_from has type"):
        AsOf(naive)
    with pytest.raises(UnknownName, match="title_id"):
        AsOf(table([]).rename_columns(["titel_id", "valid_from", "computed_at", "deleted"]))


def test_rules_are_checked() -> None:
    with pytest.raises(UnknownName, match="did you mean valid"):
        AsOfRule("vald")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="max_age"):
        AsOfRule(max_age=timedelta(0))


def test_many_titles_share_rows_without_mixing() -> None:
    """Many-to-many: one moment, many keys; each gets its own."""
    count = 500
    versions = [Version(f"t{k}", BASE, BASE) for k in range(count)]
    keys = [f"t{k}" for k in np.random.default_rng(0).integers(0, count, 5000)]
    with AsOf(table(versions)) as join:
        match = join.match(pa.array(keys), pa.array([BASE] * len(keys), UTC_US))
    assert [f"t{r}" for r in match.row] == keys

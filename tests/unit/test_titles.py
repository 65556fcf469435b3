"""titles.csv: which media make up which title, and when."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from mediaml.errors import InvalidValue, UnknownName
from mediaml.rec.titles import Membership, State, Titles, read_titles
from mediaml.tables import Lake
from tests.report_lake import media_id
from tests.unit.rec_lakes import DAY, RELEASE, make_lake, write_titles

A, B, C = sorted(media_id(i) for i in range(3))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return make_lake(tmp_path)


def media_of(titles: Titles, title_id: str) -> set[str]:
    return {m.media_id for m in titles.memberships if m.title_id == title_id}


@pytest.mark.parametrize("named", ["/media/clip_0.mp4", "clip_0.mp4", media_id(0), "*clip_0*", "clip_[0].mp4"])
def test_media_are_found_by_path_id_and_pattern(lake: Lake, tmp_path: Path, named: str) -> None:
    found = read_titles(write_titles(tmp_path, f"t,{named},,"), lake)
    assert found.memberships == (Membership("t", media_id(0), RELEASE),)
    assert (found.report.titles, found.report.rows, found.report.unlisted) == (1, 1, 2)


def test_many_files_a_title_and_many_titles_a_file(lake: Lake, tmp_path: Path) -> None:
    found = read_titles(write_titles(tmp_path, "season,clip_*.mp4,,", "one,clip_1.mp4,,", "one,clip_2.mp4,,"), lake)
    assert media_of(found, "season") == {media_id(i) for i in range(3)}
    assert media_of(found, "one") == {media_id(1), media_id(2)}
    assert found.report.unlisted == 0


def test_dates_zones_and_deletion(lake: Lake, tmp_path: Path) -> None:
    titles = write_titles(
        tmp_path, "t,clip_0.mp4,2024-05-01,2024-06-01T09:00:00+02:00", "t,clip_1.mp4,2024-05-10,2024-06-01T07:00:00Z"
    )
    states = read_titles(titles, lake).states()
    assert states == [
        State("t", datetime(2024, 5, 1, tzinfo=UTC), (media_id(0),)),
        State("t", datetime(2024, 5, 10, tzinfo=UTC), tuple(sorted((media_id(0), media_id(1))))),
        State("t", datetime(2024, 6, 1, 7, tzinfo=UTC), ()),
    ]


def test_states_leave_out_what_changes_nothing() -> None:
    titles = Titles((Membership("t", A, RELEASE, RELEASE + DAY), Membership("t", A, RELEASE + DAY)))
    assert titles.states() == [State("t", RELEASE, (A,))]
    gap = Titles((Membership("t", A, RELEASE, RELEASE + DAY), Membership("t", B, RELEASE + 2 * DAY)))
    assert [s.media_ids for s in gap.states()] == [(A,), (), (B,)]


def test_naive_times_need_a_zone(lake: Lake, tmp_path: Path) -> None:
    titles = write_titles(tmp_path, "t,clip_0.mp4,2024-05-01 10:00:00,")
    with pytest.raises(InvalidValue, match="state no time zone"):
        read_titles(titles, lake)
    berlin = read_titles(titles, lake, "Europe/Berlin").memberships[0]
    assert berlin.valid_from == datetime(2024, 5, 1, 8, tzinfo=UTC)


def test_blank_rows_are_skipped_and_lines_still_counted(lake: Lake, tmp_path: Path) -> None:
    found = read_titles(write_titles(tmp_path, "", ",,,", "t,clip_0.mp4,,", "gone,x.mp4,,"), lake)
    assert (found.report.rows, found.report.unmatched) == (2, ((5, "x.mp4"),))


def test_media_that_the_lake_lacks_are_counted(lake: Lake, tmp_path: Path) -> None:
    found = read_titles(write_titles(tmp_path, "t,clip_0.mp4,,", "gone,nowhere.mp4,,", f"gone,{'0' * 64},,"), lake)
    assert found.report.unmatched == ((3, "nowhere.mp4"), (4, "0" * 64))
    assert "2 rows name media that the lake does not have (first: line 3, nowhere.mp4)" in found.report.lines()
    with pytest.raises(InvalidValue, match="none of its 1 rows names media of this lake"):
        read_titles(write_titles(tmp_path, "gone,nowhere.mp4,,"), lake)


@pytest.mark.parametrize(
    ("lines", "header", "kind", "message"),
    [
        ((), "title_id,media,valid_from,valid_to", InvalidValue, "holds no titles"),
        (("t,x",), "titleid,media", UnknownName, "did you mean titleid"),
        (("t,x,",), "title_id,media,valid_form", InvalidValue, "did you mean 'valid_from'"),
        ((",clip_0.mp4,,",), "title_id,media,valid_from,valid_to", InvalidValue, "line 2: title_id is empty"),
        (("t,,,",), "title_id,media,valid_from,valid_to", InvalidValue, "line 2: media is empty"),
        (
            ("t,clip_0.mp4,soon,",),
            "title_id,media,valid_from,valid_to",
            InvalidValue,
            "line 2: valid_from 'soon' is no time",
        ),
        (
            ("t,clip_0.mp4,2024-05-02,2024-05-01",),
            "title_id,media,valid_from,valid_to",
            InvalidValue,
            "not after valid_from",
        ),
    ],
)
def test_bad_files_are_named_by_line(
    lake: Lake, tmp_path: Path, lines: tuple[str, ...], header: str, kind: type, message: str
) -> None:
    with pytest.raises(kind, match=message):
        read_titles(write_titles(tmp_path, *lines, header=header), lake)


def test_an_ambiguous_path_is_refused(tmp_path: Path) -> None:
    from mediaml.tables import MediaRows, PathRow
    from tests.report_lake import video_info

    lake = Lake.open(tmp_path / "lake", create=True)
    for i, path in enumerate(("/a/film.mp4", "/b/film.mp4")):
        lake.commit([lake.stage(media_id(i), media=MediaRows(video_info(path, i)), path=PathRow(path, 1, 1))])
    with pytest.raises(InvalidValue, match=r"'film\.mp4' is the end of 2 different media"):
        read_titles(write_titles(tmp_path, "t,film.mp4,,"), lake)
    assert read_titles(write_titles(tmp_path, "t,b/film.mp4,,"), lake).memberships[0].media_id == media_id(1)

"""Duplicates: runs of like frames, told from chance by their length and their common distance in time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from mediaml.cli import _register, app
from mediaml.errors import InvalidValue
from mediaml.retrieval.duplicates import Track, compare, duplicates
from mediaml.spec import Table
from mediaml.tables import AnalyzerRows, Lake
from mediaml.tables.rows import MediaRows
from tests.contract.inputs import clip, media_info
from tests.unit.lakes import media_id

RNG = np.random.default_rng(5)
FILM = RNG.standard_normal((40, 64)).astype(np.float32)
OTHER = RNG.standard_normal((30, 64)).astype(np.float32)


def track(values: np.ndarray, noise: float = 0.0, start: float = 0.0) -> Track:
    values = values + noise * np.random.default_rng(1).standard_normal(values.shape)
    values = values / np.linalg.norm(values, axis=1, keepdims=True)
    return Track(start + np.arange(len(values), dtype=float), values.astype(np.float32))


def test_a_re_encode_is_the_same() -> None:
    match = compare(track(FILM), track(FILM, noise=0.2))
    assert match is not None and match.kind == "same" and match.offset_seconds == 0
    assert match.covered == 1 and 0.9 < match.similarity < 1 and match.a == match.b == (0.0, 40.0)


def test_a_trim_is_a_part_with_its_place() -> None:
    match = compare(track(FILM), track(FILM[12:30], noise=0.2))
    assert match is not None and match.kind == "part"
    assert match.offset_seconds == -12 and match.a == (12.0, 30.0) and match.b == (0.0, 18.0)


def test_a_stretch_in_common_is_shared_and_a_likeness_is_nothing() -> None:
    joined = np.concatenate([OTHER[:15], FILM[20:28], OTHER[15:]])
    match = compare(track(FILM), track(joined))
    assert match is not None and match.kind == "shared" and match.a == (20.0, 28.0) and match.b == (15.0, 23.0)
    assert compare(track(FILM), track(OTHER)) is None
    assert compare(track(FILM), track(np.concatenate([OTHER, FILM[7:9]]))) is None


def test_a_frame_that_differs_does_not_end_a_run() -> None:
    damaged = FILM.copy()
    damaged[[9, 21]] = OTHER[:2]
    match = compare(track(FILM), track(damaged))
    assert match is not None and match.kind == "same" and match.covered == 1


def test_stills_are_compared_too() -> None:
    assert compare(track(FILM[:1]), track(FILM[:1], noise=0.2)) is not None
    assert compare(track(FILM[:1]), track(FILM[1:2])) is None


def lake_of(folder: Path, films: dict[str, np.ndarray]) -> Lake:
    lake = Lake.open(folder, create=True)
    for name, values in films.items():
        n = len(values)
        rows = {
            "start_seconds": [*np.arange(n, dtype=float), 0.0],
            "end_seconds": [*np.arange(1, n + 1, dtype=float), float(n)],
            "scope": ["frame"] * n + ["file"],
            "model": ["embed_lite0@1"] * (n + 1),
            "weights_sha256": ["ab" * 32] * (n + 1),
            "vector": np.concatenate([values, values.mean(0, keepdims=True)]).astype(np.float32),
        }
        info = MediaRows(media_info(clip(1)))
        vectors = AnalyzerRows("embed_lite0@1", "", {}, {Table.EMBEDDINGS: rows})
        lake.commit([lake.stage(media_id(name), media=info, analyzers=[vectors])])
    return lake


def test_a_lake_is_searched_and_the_command_says_what_it_found(tmp_path: Path) -> None:
    lake = lake_of(tmp_path / "lake", {"film": FILM, "copy": FILM + 0.1, "trim": FILM[:30], "other": OTHER})
    found = duplicates(lake)
    pairs = {frozenset((d.media_a, d.media_b)): d.match.kind for d in found}
    film, copy, trim = (media_id(n) for n in ("film", "copy", "trim"))
    assert pairs == {frozenset((film, copy)): "same", frozenset((film, trim)): "part", frozenset((copy, trim)): "part"}
    if not app.registered_commands:
        _register()
    told = CliRunner().invoke(app, ["duplicates", str(lake.path), "--json"])
    assert told.exit_code == 0, told.output
    assert [d["kind"] for d in json.loads(told.stdout)] == ["same", "part", "part"]


def test_a_lake_without_vectors_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="mediaml embed MEDIA"):
        duplicates(Lake.open(tmp_path / "lake", create=True))

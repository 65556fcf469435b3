"""Search over a lake of vectors made by the test: words, pictures, examples, filters, the index, and bad use."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from mediaml.cli import _register, app
from mediaml.derive import label_space
from mediaml.errors import InvalidValue, LakeVersionError, QueryError, UnknownName, UsageError
from mediaml.report.hits import write_hits
from mediaml.retrieval import index as indexing
from mediaml.retrieval import query
from mediaml.retrieval.index import build_index, open_index
from mediaml.retrieval.search import search
from mediaml.retrieval.spaces import choose, spaces_of
from mediaml.spec import Column, Table
from mediaml.tables import AnalyzerRows, Lake
from mediaml.tables.rows import MediaRows
from tests.contract.inputs import clip, media_info
from tests.unit.lakes import media_id

SHA = "ab" * 32
JPEG = b"\xff\xd8\xff\xe0 a picture"


def space_rows(
    analyzer: str, model: str, scope: str, spans: list[tuple[float, float]], vectors: np.ndarray
) -> AnalyzerRows:
    start, end = zip(*spans, strict=True)
    rows = {"start_seconds": start, "end_seconds": end, "scope": [scope] * len(spans), "model": [model] * len(spans)}
    rows |= {"weights_sha256": [SHA] * len(spans), "vector": vectors.astype(np.float32)}
    return AnalyzerRows(f"{analyzer}@1", "", {}, {Table.EMBEDDINGS: rows})


def add(lake: Lake, name: str, vectors: np.ndarray, *, shots: bool = True, seconds: float = 2.0) -> None:
    """A media of one shot a vector in the label space and in Lite0's, with a thumbnail in the middle of each shot."""
    info = media_info(clip(1))
    facts = MediaRows(replace(info, path=f"/films/{name}.mp4", duration_seconds_content=len(vectors) * seconds))
    spans = [(i * seconds, (i + 1) * seconds) for i in range(len(vectors))]
    whole = [(0.0, spans[-1][1])]
    rows = []
    for analyzer, model in (("label_space", label_space.MODEL), ("embed_lite0_pooled", "embed_lite0@1")):
        file = space_rows(analyzer, model, "file", whole, vectors.mean(0, keepdims=True))
        if shots:
            both = space_rows(analyzer, model, "shot", spans, vectors).rows[Table.EMBEDDINGS]
            rest = file.rows[Table.EMBEDDINGS]
            merged = {k: np.concatenate([np.asarray(both[k]), np.asarray(rest[k])]) for k in both}
            file = AnalyzerRows(file.spec_id, "", {}, {Table.EMBEDDINGS: merged})
        rows.append(file)
    middles = [(a + b) / 2 for a, b in spans]
    pictures = {
        "pts_seconds": middles,
        "width": [4] * len(spans),
        "height": [3] * len(spans),
        "jpeg": [JPEG] * len(spans),
    }
    rows.append(AnalyzerRows("thumbnails@1", "", {}, {Table.THUMBNAILS: pictures}))
    bright = Column("brightness", "float32", "1", "a test value", Table.FRAMES, 0, 1)
    values = {
        "frame_index": np.arange(len(spans)),
        "pts_seconds": middles,
        "brightness": np.linspace(0, 1, len(spans), dtype=np.float32),
    }
    rows.append(AnalyzerRows("light@1", "", {Table.FRAMES: (bright,)}, {Table.FRAMES: values}))
    lake.commit([lake.stage(media_id(name), media=facts, analyzers=rows)])


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    made = Lake.open(tmp_path_factory.mktemp("search") / "lake", create=True)
    axes = np.eye(8, dtype=np.float32)
    add(made, "dogs", axes[[0, 1, 2]])
    add(made, "ships", axes[[3, 0]] + 0.2 * axes[[4, 4]], seconds=400.0)
    add(made, "still", axes[[5]], shots=False)
    return made


@pytest.fixture(autouse=True)
def words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence encoder that knows eight words."""

    class Words:
        def embed(self, texts: list[str]) -> Any:
            known = ["dog", "cat", "bird", "ship", "sea", "still", "red", "blue"]
            return unit_rows(np.array([[float(w in t) + 1e-6 for w in known] for t in texts], np.float32))

    monkeypatch.setattr(label_space, "sentence_embedder", Words)


def unit_rows(values: np.ndarray) -> Any:
    import torch

    return torch.nn.functional.normalize(torch.from_numpy(values), dim=1)


def test_words_find_shots_with_time_score_and_picture(lake: Lake) -> None:
    found = search(lake, "a dog", top=3)
    assert found.model == label_space.MODEL and found.method == "exact" and found.candidates == 6
    first, second, _ = found.hits
    assert (Path(first.path).name, first.start_seconds, first.end_seconds) == ("dogs.mp4", 0.0, 2.0)
    assert first.score == pytest.approx(1.0, abs=1e-4) and second.score == pytest.approx(1 / 1.04**0.5, abs=1e-4)
    assert (Path(second.path).name, second.start_seconds) == ("ships.mp4", 400.0)
    assert first.picture_seconds == 1.0 and first.jpeg == JPEG
    assert "cannot see people" in found.notes[0]
    bare = search(lake, "a dog", top=3, pictures=False).hits
    assert [(h.media_id, h.start_seconds, h.score) for h in bare] == [
        (h.media_id, h.start_seconds, h.score) for h in found.hits
    ]
    assert {(h.jpeg, h.picture_seconds) for h in bare} == {(None, None)}
    still = search(lake, "still", top=1).hits[0]
    assert (still.scope, Path(still.path).name) == ("file", "still.mp4")


def test_templates_are_averaged(lake: Lake) -> None:
    found = search(lake, "dog", templates=["{}", "{} and ship"], top=2)
    assert [Path(h.path).name for h in found.hits] == ["dogs.mp4", "ships.mp4"]
    assert found.hits[0].score < 0.999
    with pytest.raises(InvalidValue, match=r"has no \{\} where the query goes"):
        search(lake, "dog", templates=["a photo"])


@pytest.mark.parametrize(
    ("where", "names"),
    [
        ("boxes.label = 'person' AND boxes.score > 0.5", set()),  # nothing was boxed in this lake
        ("transcripts.text ILIKE '%rain%'", set()),
        ("duration_seconds > 600", {"ships.mp4"}),
        ("media.duration_seconds <= 600 AND scope = 'shot'", {"dogs.mp4"}),
        ("start_seconds >= 2", {"dogs.mp4", "ships.mp4"}),
        ("brightness > 0.9", {"dogs.mp4", "ships.mp4"}),
        ("frames.brightness BETWEEN 0.4 AND 0.6", {"dogs.mp4"}),
        ("path LIKE '%still%' -- a comment", {"still.mp4"}),
        ("streams.width > 100000", set()),
    ],
)
def test_conditions_over_columns_of_any_table(lake: Lake, where: str, names: set[str]) -> None:
    assert {Path(h.path).name for h in search(lake, "dog", where=where).hits} == names


@pytest.mark.parametrize(
    "where",
    [
        "1=1; DROP TABLE media",
        "1) OR (1",
        "1) UNION SELECT * FROM media WHERE (1=1",
        "media_id IN (SELECT media_id FROM media)",
        "",
        "duration_seconds >",
        "SELECT 1",
        "/* open",
        "x" * 10_001,
    ],
)
def test_hostile_conditions_are_refused(lake: Lake, where: str) -> None:
    with pytest.raises(QueryError, match="--where"):
        search(lake, "dog", where=where)


def test_unknown_columns_have_near_matches(lake: Lake) -> None:
    with pytest.raises(UnknownName, match="did you mean duration_seconds"):
        search(lake, "dog", where="duration_second > 3")
    with pytest.raises(UnknownName, match="unknown table 'movies'"):
        search(lake, "dog", where="movies.width > 3")


def test_an_example_is_a_time_in_a_media(lake: Lake) -> None:
    for name in ("ships.mp4@00:06:41", f"{media_id('ships')[:8]}@401.5", "/films/ships.mp4@6:41"):
        found = search(lake, like=name, top=2, model="lite0")
        assert (Path(found.hits[0].path).name, found.hits[0].start_seconds) == ("ships.mp4", 400.0)
        assert found.hits[0].score == pytest.approx(1, abs=1e-5)
    assert search(lake, like="still").hits[0].scope == "file"
    for bad, message in (
        ("ships.mp4@99:99:99x", "is not a time"),
        ("ships.mp4@5000", "beyond the end of the media at 800.00 s"),
    ):
        with pytest.raises(InvalidValue, match=message):
            search(lake, like=bad)
    with pytest.raises(UnknownName, match=r"did you mean ships\.mp4"):
        search(lake, like="shipss.mp4@3")


def test_spaces_are_never_mixed_and_lacking_ones_are_explained(lake: Lake, tmp_path: Path) -> None:
    assert {s.model for s in spaces_of(lake)} == {label_space.MODEL, "embed_lite0@1"}
    assert choose(lake, "picture").is_lite0 and choose(lake, "words").model == label_space.MODEL
    with pytest.raises(InvalidValue, match="cannot be searched by words"):
        search(lake, "dog", model="lite0")
    with pytest.raises(
        InvalidValue, match=r"has no vectors of the space open_clip:ViT-B-32/openai.*mediaml embed MEDIA"
    ):
        search(lake, "dog", model="open_clip:ViT-B-32/openai")
    with pytest.raises(UnknownName, match="did you mean label_space"):
        search(lake, "dog", model="label_spac")
    empty = Lake.open(tmp_path / "empty", create=True)
    with pytest.raises(InvalidValue, match=r"no space that words can search.*mediaml weights pull clip-vit-b-32"):
        search(empty, "dog")
    with pytest.raises(InvalidValue, match="no space that pictures can search"):
        search(empty, image=tmp_path / "x.png")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"words": "  "}, "the query is empty"),
        ({"words": "x" * 2001}, "at most 2000"),
        ({}, "give one of words, an image and an example, not 0"),
        ({"words": "a", "like": "b"}, "not 2"),
        ({"words": "a", "top": 0}, r"top 0 must lie in 1\.\.10000"),
        ({"image": "gone.png"}, "there is no such file"),
    ],
)
def test_bad_queries(lake: Lake, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        search(lake, **given)


def test_the_index_gives_the_exact_hits_and_is_rebuilt_when_vectors_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    monkeypatch.setattr(indexing, "SMALLEST", 100)
    monkeypatch.setattr("mediaml.retrieval.search.EXACT_UP_TO", 100)
    rng = np.random.default_rng(0)
    made = Lake.open(tmp_path / "lake", create=True)
    for i in range(4):
        add(made, f"m{i}", rng.standard_normal((150, 8)))
    space = choose(made, "words")
    assert open_index(made, space) is None
    seen: list[tuple[str, int, int]] = []
    build_index(made, space, lambda *what: seen.append(what))
    assert seen[-1] == ("adding", 600, 600)
    for text in ("dog", "a ship on the sea", "red bird"):
        by_index, exact = search(made, text, top=10), search(made, text, top=10, use_index=False)
        assert by_index.method.startswith("PQ") and exact.method == "exact"
        same = {(h.media_id, h.start_seconds) for h in by_index.hits} & {
            (h.media_id, h.start_seconds) for h in exact.hits
        }
        assert len(same) >= 9
        assert by_index.hits[0].score == pytest.approx(exact.hits[0].score, abs=2e-3)
    assert open_index(made, space) is open_index(made, space), "kept for the next search"
    narrow = search(made, "dog", top=5, where="path LIKE '%m2%'")
    assert {Path(h.path).name for h in narrow.hits} == {"m2.mp4"} and narrow.candidates == 150
    add(made, "m9", rng.standard_normal((3, 8)))
    assert open_index(made, choose(made, "words")) is None
    assert search(made, "dog").method == "exact"
    build_index(made, choose(made, "words"))
    assert search(made, "dog").candidates == 603


def test_a_small_lake_needs_no_index_and_faiss_is_named(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    with pytest.raises(InvalidValue, match="an index is built from 1000 on"):
        build_index(lake, choose(lake, "words"))
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(UsageError, match=r"pip install 'mediaml\[search\]'"):
        build_index(lake, choose(lake, "words"))


def test_the_page_holds_pictures_and_escapes_what_it_shows(lake: Lake, tmp_path: Path) -> None:
    page = write_hits(search(lake, "<script>alert(1)</script> dog"), tmp_path / "hits.html").read_text()
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page
    assert page.count("data:image/jpeg;base64,") == 6 and "dogs.mp4" in page and "0:02.00" in page


def test_the_command_prints_tables_json_and_csv(lake: Lake) -> None:
    if not app.registered_commands:
        _register()
    run = CliRunner()
    told = run.invoke(app, ["search", str(lake.path), "dog", "--json", "--top", "2"])
    assert told.exit_code == 0, told.output
    facts = json.loads(told.stdout)
    assert [h["timecode"] for h in facts["hits"]] == ["00:00:00.00", "00:06:40.00"] and facts["method"] == "exact"
    table = run.invoke(app, ["search", str(lake.path), "dog", "--csv", "--where", "duration_seconds > 600"]).stdout
    assert table.splitlines()[0].startswith("rank,score,path") and len(table.splitlines()) == 3
    assert "ships.mp4" in run.invoke(app, ["search", str(lake.path), "ship"]).stdout


def test_times_are_read_as_people_write_them() -> None:
    assert [query._seconds(t, "x") for t in ("83.5", "1:23.5", "00:01:23", "1:00:00")] == [83.5, 83.5, 83.0, 3600.0]


def test_a_lake_of_another_version_is_refused(tmp_path: Path) -> None:
    Lake.open(tmp_path / "lake", create=True)
    (tmp_path / "lake" / "manifest" / "format.json").write_text('{"format": 99}')
    with pytest.raises(LakeVersionError):
        search(tmp_path / "lake", "dog")

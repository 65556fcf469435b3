"""Lakes and media on an object store: an S3 server on this machine, and fsspec's memory store."""

from __future__ import annotations

import importlib.util
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from benchmarks.kill import ANALYZERS, analyze, make_media
from mediaml.decode.discover import find_media
from mediaml.decode.remote import MediaUrl, Spool, media_path, with_remote
from mediaml.engine.analyze import discover, run_analysis
from mediaml.engine.progress import SilentProgress
from mediaml.engine.settings import Settings
from mediaml.errors import InvalidValue, LakeMissing, MediaMissing
from mediaml.tables import Lake
from mediaml.tables.check import check_lake
from mediaml.tables.local_storage import LocalStorage
from mediaml.tables.open_storage import open_storage
from mediaml.tables.storage import url_of
from tests.unit.lakes import luma, media_id

needs_s3 = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("s3fs", "moto", "flask")),
    reason="s3fs or moto not installed",
)


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """A bucket on a server of our own; the environment points fsspec to it."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        boto3.client("s3").create_bucket(Bucket="films")
        yield "s3://films"
    server.stop()


@pytest.fixture
def memory() -> str:
    """A place in fsspec's memory store."""
    return f"memory://{uuid4().hex}"


def run(media: str, lake: str) -> Any:
    settings = Settings(lake=Path(lake), analyzers=ANALYZERS, workers=0, device="cpu")
    return run_analysis(discover(media), settings, derive=False, progress=SilentProgress())[1]


def test_urls_are_told_from_folders() -> None:
    assert url_of("s3://b/k") == url_of(Path("s3://b/k")) == url_of("s3:/b/k") == "s3://b/k"
    assert [url_of(p) for p in ("/s3/b", "c:", "s3", "dir/s3://b", "x:/y")] == [None] * 5
    assert str(media_path("s3://b/a film.mp4")) == "s3://b/a film.mp4"
    assert isinstance(open_storage("/tmp/x"), LocalStorage)
    with pytest.raises(InvalidValue, match="atomically"):
        open_storage("ftp://host/lake")


def test_a_lake_in_an_object_store_keeps_its_promises(memory: str) -> None:
    with pytest.raises(LakeMissing, match="memory://"):
        Lake.open(memory)
    lake = Lake.open(memory, create=True)
    for name in "abc":
        lake.commit([lake.stage(media_id(name), analyzers=[luma()])])
    other = Lake.open(memory)
    assert other.table("frames").num_rows == 9
    assert lake.storage.write_if_absent(lake.commit_name(3), b"{}") is False
    lake.commit([lake.stage(media_id("a"), analyzers=[luma(5)])])
    assert other.query("SELECT count(*) AS n FROM frames").to_pylist() == [{"n": 11}]
    assert lake.compact() > 0
    assert lake.collect_garbage(0)[0] == 3
    assert lake.renew_checkpoint() == lake.refresh().head
    assert list(check_lake(Lake.open(memory))) == []
    assert Lake.open(memory).table("frames").num_rows == 11


def test_only_the_tables_in_use_are_fetched(memory: str) -> None:
    lake = Lake.open(memory, create=True)
    lake.commit([lake.stage(media_id("a"), analyzers=[luma()])])
    reader = Lake.open(memory)
    assert reader.query("SELECT count(*) AS n FROM files").to_pylist() == [{"n": 0}]
    assert not list(reader.storage.local_root.rglob("*.parquet"))
    assert reader.query('SELECT count(*) AS n FROM "frames_wide"').to_pylist() == [{"n": 3}]
    assert len(list(reader.storage.local_root.rglob("*.parquet"))) == 1


def test_two_writers_of_one_commit_have_one_winner(memory: str) -> None:
    storage = open_storage(memory)
    barrier, won = threading.Barrier(4), []

    def write(i: int) -> None:
        barrier.wait()
        if storage.write_if_absent("manifest/x.json", str(i).encode()):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(won) == 1 and storage.read("manifest/x.json") == str(won[0]).encode()


def test_the_spool_holds_one_file_and_then_none(memory: str, tmp_path: Path) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe({f"{memory}/a.mp4": b"aaaa", f"{memory}/b.txt": b"b", f"{memory}/c/d.mkv": b"dd"})
    found = with_remote(find_media([]), [MediaUrl(memory)], exclude=["c/*"])
    assert [str(p) for p in found.files] == [f"{memory}/a.mp4"]
    assert (found.skipped, found.excluded) == (1, 1)
    spool = Spool(tmp_path)
    assert spool.local(MediaUrl(f"{memory}/a.mp4")).read_bytes() == b"aaaa"
    assert spool.local(MediaUrl(f"{memory}/c/d.mkv")).read_bytes() == b"dd"
    assert len(list(tmp_path.iterdir())) == 1
    with pytest.raises(MediaMissing, match="memory://"):
        spool.local(MediaUrl(f"{memory}/gone.mp4"))
    spool.release()
    assert list(tmp_path.iterdir()) == []
    assert spool.local(tmp_path) == tmp_path


@needs_s3
@pytest.mark.slow
def test_media_and_lake_on_s3_give_the_tables_of_local_ones(bucket: str, tmp_path: Path) -> None:
    import fsspec

    media = make_media(tmp_path / "media")
    fsspec.filesystem("s3").put(str(media), f"{bucket}/media", recursive=True)
    lake = f"{bucket}/lake"
    first = run(f"{bucket}/media", lake)
    assert (first.files, first.analyzed, first.failed) == (5, 4, 1)
    paths = Lake.open(lake).table("paths", ["path"])["path"].to_pylist()
    assert sorted(paths) == [f"{bucket}/media/{i}.mp4" for i in range(4)] + [f"{bucket}/media/broken.mp4"]
    (error,) = Lake.open(lake).table("errors").to_pylist()
    assert (error["kind"], error["path"]) == ("not_media", f"{bucket}/media/broken.mp4")
    again = run(f"{bucket}/media", lake)
    assert (again.analyzed, again.unchanged, again.frames) == (0, 4, 0)
    assert list(check_lake(Lake.open(lake))) == []
    analyze(media, tmp_path / "local")
    for table in ("frames", "series", "spans", "files", "streams"):
        columns = [c.name for c in Lake.open(lake).describe(table) if c.name not in ("computed_at", "valid_from")]
        theirs, ours = (Lake.open(place).table(table, columns) for place in (lake, tmp_path / "local"))
        assert theirs.equals(ours), table
    assert Lake.open(lake).storage.write_if_absent("manifest/format.json", b"{}") is False

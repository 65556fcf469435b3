"""Downloads over http from a server on this machine: cuts, refusals, wrong files."""

from __future__ import annotations

import errno
import socket
import threading
import warnings
from pathlib import Path

import pytest

from mediaml.errors import WeightsCorrupt, WeightsUnavailable
from mediaml.weights.catalogue import Catalogue
from mediaml.weights.sources import url
from tests.weights_lab import CONTENT, Listener, Server, bring, catalogue, entry, leftovers, serving, sha256


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url, "FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(url, "TIMEOUT_SECONDS", 5.0)


def one(folder: Path, server: Server, **fields: object) -> Catalogue:
    return catalogue(folder, {"net": entry(f'type = "url", url = "{server.url}"', **fields)})


def test_a_download_is_checked_and_shown(tmp_path: Path) -> None:
    listener = Listener()
    with serving() as server:
        where = one(tmp_path, server)
        pulled = bring(where, "net", listener=listener)[0]
        assert not bring(where, "net")[0].fetched
    assert pulled.path.read_bytes() == CONTENT and pulled.path == where.resolve("net")
    assert listener.totals == {"net": len(CONTENT)} and listener.ended == ["net"]
    assert listener.done["net"][-1] == len(CONTENT) and listener.done["net"] == sorted(listener.done["net"])
    assert server.ranges == [None] and not leftovers(where)


def test_a_cut_is_resumed_within_one_pull(tmp_path: Path) -> None:
    with serving() as server:
        server.plans = [("send", 300_000), ("status", 503), ("send", 200_000)]
        where = one(tmp_path, server)
        assert bring(where, "net")[0].path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-", "bytes=300000-", "bytes=500000-"]


def test_a_later_pull_resumes_what_an_earlier_one_left(tmp_path: Path) -> None:
    with serving() as server:
        server.plans = [("send", 400_000)] + [("status", 502)] * 4
        where = one(tmp_path, server)
        with pytest.raises(WeightsUnavailable, match=r"HTTP 502.*5 attempts, 400000 bytes are kept.*it resumes"):
            bring(where, "net")
        assert [p.stat().st_size for p in leftovers(where)] == [400_000]
        server.ranges.clear()
        assert bring(where, "net")[0].path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=400000-"] and not leftovers(where)


def test_a_server_without_ranges_starts_again(tmp_path: Path) -> None:
    with serving() as server:
        server.ignores_range = True
        server.plans = [("send", 300_000)]
        assert bring(one(tmp_path, server), "net")[0].path.read_bytes() == CONTENT


def test_a_part_of_another_file_is_thrown_away_once(tmp_path: Path) -> None:
    with serving() as server:
        where = one(tmp_path, server)
        (where.store.partial(where.describe("net")) / "content").write_bytes(b"?" * 1000)
        assert bring(where, "net")[0].path.read_bytes() == CONTENT
    assert server.ranges == ["bytes=1000-", None]


def test_a_wrong_checksum_keeps_nothing(tmp_path: Path) -> None:
    other = CONTENT[::-1]
    with serving(other) as server:
        where = one(tmp_path, server)
        with pytest.raises(WeightsCorrupt) as caught:
            bring(where, "net")
    assert sha256(other) in str(caught.value) and sha256(CONTENT) in str(caught.value)
    assert not where.store.is_present(where.describe("net")) and not leftovers(where)


def test_a_short_file_is_not_taken_for_whole(tmp_path: Path) -> None:
    with serving(CONTENT[:1000]) as server, pytest.raises(WeightsCorrupt, match=r"\(1000 bytes\)"):
        bring(one(tmp_path, server), "net")


def test_more_bytes_than_allowed_are_refused(tmp_path: Path) -> None:
    with serving(CONTENT + b"?") as server:
        where = one(tmp_path, server)
        with pytest.raises(WeightsUnavailable, match="announces 1024001 bytes, the manifest allows 1024000"):
            bring(where, "net")


@pytest.mark.parametrize(("status", "advice"), [(404, "the file has moved"), (403, "use --from FILE")])
def test_a_refusal_is_not_repeated(tmp_path: Path, status: int, advice: str) -> None:
    with serving() as server:
        server.plans = [("status", status)]
        with pytest.raises(WeightsUnavailable, match=f"HTTP {status}.*{advice}"):
            bring(one(tmp_path, server), "net")
    assert len(server.ranges) == 1


def test_nobody_listening(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = catalogue(tmp_path, {"net": entry(f'type = "url", url = "http://127.0.0.1:{port}/x"')})
    with pytest.raises(WeightsUnavailable, match=r"cannot be reached.*refused.*check the network and the proxy"):
        bring(where, "net")


def test_a_redirect_may_not_leave_https(tmp_path: Path) -> None:
    with serving() as server:
        server.plans = [("status", 302)]
        server.headers = {"Location": "http://example.org/net"}
        with pytest.raises(WeightsUnavailable, match=r"redirected elsewhere.*must be https"):
            bring(one(tmp_path, server), "net")


def test_a_full_disk_during_the_transfer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(url, "_receive", full)
    with serving() as server:
        where = one(tmp_path, server)
        with pytest.raises(WeightsUnavailable, match=r"no space left.*MEDIAML_WEIGHTS"):
            bring(where, "net")
    assert not leftovers(where)


def test_without_a_checksum_the_first_use_is_recorded_and_must_recur(tmp_path: Path) -> None:
    listener = Listener()
    with serving() as server:
        where = one(tmp_path, server, sha256="unpinned", size=None, max_size=2_000_000)
        first = bring(where, "net", listener=listener)[0]
        assert first.first_use and first.sha256 == sha256(CONTENT) == where.sha256("net")
        assert len(listener.notes) == 1 and sha256(CONTENT) in listener.notes[0]
        first.path.unlink()
        assert not bring(where, "net").pop().first_use
        server.content = b"another"
        first.path.unlink()
        with pytest.raises(WeightsCorrupt, match=r"expected .* from its first use here.*record.json"):
            bring(where, "net")


def test_one_failing_source_does_not_stop_the_others(tmp_path: Path) -> None:
    with serving() as good, serving() as bad, serving() as worse:
        bad.plans = [("status", 404)]
        worse.plans = [("status", 410)]
        sources = {name: entry(f'type = "url", url = "{s.url}"') for name, s in [("b", bad), ("g", good), ("w", worse)]}
        where = catalogue(tmp_path, sources)
        with pytest.raises(WeightsUnavailable, match=r"2 sources failed \(1 weights are here\)(.|\n)*404(.|\n)*410"):
            bring(where, "all")
    assert where.resolve("g").read_bytes() == CONTENT


def test_two_pulls_at_once_download_once(tmp_path: Path) -> None:
    with serving() as server:
        where = one(tmp_path, server)
        fetched: list[bool] = []
        threads = [threading.Thread(target=lambda: fetched.append(bring(where, "net")[0].fetched)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(fetched) == [False, False, False, True] and len(server.ranges) == 1


def test_a_library_caller_is_warned_of_a_missing_checksum(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml import weights

    with serving() as server:
        one(tmp_path, server, sha256="unpinned", size=None, max_size=2_000_000)
        monkeypatch.setenv("MEDIAML_WEIGHTS_MANIFEST", str(tmp_path / "manifest.toml"))
        monkeypatch.setenv("MEDIAML_WEIGHTS", str(tmp_path / "store"))
        with pytest.warns(weights.UnpinnedWeightWarning, match="no checksum in the manifest"):
            weights.pull(["net"])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert weights.resolve("net").read_bytes() == CONTENT

"""The hub, played by a server on this machine; huggingface_hub itself is the real one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from huggingface_hub import constants

from mediaml.errors import WeightsCorrupt, WeightsUnavailable
from mediaml.weights.catalogue import Catalogue
from tests.weights_lab import CONTENT, Listener, bring, catalogue, entry, leftovers, sha256

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Hub:
    content: bytes = CONTENT
    refusal: tuple[int, str] | None = None
    paths: list[str] = field(default_factory=list)

    def answer(self, request: BaseHTTPRequestHandler, body: bool) -> None:
        self.paths.append(f"{request.command} {request.path}")
        status, code = self.refusal or (200, "")
        content = b"" if self.refusal else self.content
        request.send_response(status)
        if code:
            request.send_header("X-Error-Code", code)
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("ETag", f'"{sha256(self.content)}"')
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if body:
            request.wfile.write(content)


def play_at(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """What HF_ENDPOINT does, after the library was imported."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", endpoint + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    state = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self, body=True)

        def do_HEAD(self) -> None:
            state.answer(self, body=False)

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    play_at(monkeypatch, f"http://127.0.0.1:{web.server_port}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    yield state
    web.shutdown()
    web.server_close()
    thread.join()


def one(folder: Path, **fields: object) -> Catalogue:
    source = 'type = "hub", repo = "owner/net", file = "model.safetensors", revision = "main"'
    return catalogue(folder, {"net": entry(source, **fields)})


UNPINNED = {"sha256": "unpinned", "size": None, "max_size": 2_000_000}


def test_the_first_use_records_checksum_and_commit(tmp_path: Path, hub: Hub) -> None:
    where, listener = one(tmp_path, **UNPINNED), Listener()
    pulled = bring(where, "net", listener=listener)[0]
    assert pulled.first_use and where.resolve("net").read_bytes() == CONTENT
    record = where.store.record(where.describe("net"))
    assert record is not None and (record.sha256, record.revision) == (sha256(CONTENT), COMMIT)
    assert COMMIT in listener.notes[0] and listener.totals == {"net": len(CONTENT)} and listener.ended == ["net"]
    assert any(f"/owner/net/resolve/{COMMIT}/model.safetensors" in p for p in hub.paths) and not leftovers(where)


def test_a_pinned_file_must_match(tmp_path: Path, hub: Hub) -> None:
    hub.content = CONTENT[::-1]
    where = one(tmp_path)
    with pytest.raises(WeightsCorrupt, match=sha256(CONTENT)):
        bring(where, "net")
    assert not where.store.is_present(where.describe("net")) and not leftovers(where)
    hub.content = CONTENT
    assert bring(where, "net")[0].path.read_bytes() == CONTENT


def test_a_file_that_is_too_large_is_not_begun(tmp_path: Path, hub: Hub) -> None:
    where = one(tmp_path, **UNPINNED | {"max_size": 1000})
    with pytest.raises(WeightsUnavailable, match="has 1024000 bytes, the manifest allows 1000"):
        bring(where, "net")
    assert not [p for p in hub.paths if p.startswith("GET")]


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        ((404, "EntryNotFound"), r"not there \(404\).*--from FILE"),
        ((404, "RepoNotFound"), r"not there \(404\)"),
        ((403, "GatedRepo"), "hf auth login"),
        ((400, ""), "cannot be reached"),
    ],
)
def test_a_refusal_says_what_to_do(tmp_path: Path, hub: Hub, refusal: tuple[int, str], advice: str) -> None:
    hub.refusal = refusal
    with pytest.raises(WeightsUnavailable, match=advice):
        bring(one(tmp_path, **UNPINNED), "net")


def test_nobody_listening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    play_at(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match=r"cannot be reached.*HF_ENDPOINT.*pull net --from FILE"):
        bring(one(tmp_path, **UNPINNED), "net")

"""A manifest, a store, a web server and wheels, all made by the tests: nothing here touches the network."""

from __future__ import annotations

import hashlib
import os
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mediaml.weights import Catalogue, Pulled
from mediaml.weights.manifest import load_manifest
from mediaml.weights.pulling import pull
from mediaml.weights.store import Store

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def entry(source: str, content: bytes = CONTENT, **fields: object) -> str:
    """The TOML lines of one weight; `fields` replace or add values, None removes one."""
    values: dict[str, object] = {
        "sha256": sha256(content),
        "size": len(content),
        "format": "text",
        "licence": "MIT",
        "commercial_use": True,
        "purpose": "a test",
    } | fields
    shown = {
        k: str(v).lower() if isinstance(v, bool) else v if isinstance(v, int) else f'"{v}"' for k, v in values.items()
    }
    return "\n".join([f"source = {{ {source} }}", *(f"{k} = {v}" for k, v in shown.items() if values[k] is not None)])


def catalogue(folder: Path, weights: Mapping[str, str], tables: str = "") -> Catalogue:
    """A catalogue over a manifest with these entries, and the store `folder/store`."""
    path = folder / "manifest.toml"
    path.write_text("version = 1\n" + tables + "".join(f"\n[weights.{n}]\n{text}\n" for n, text in weights.items()))
    return Catalogue(load_manifest(path), Store(folder / "store", folder))


class Listener:
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.totals: dict[str, int | None] = {}
        self.done: dict[str, list[int]] = {}
        self.ended: list[str] = []
        self.notes: list[str] = []

    def begin(self, label: str, total_bytes: int | None) -> None:
        self.totals[label] = total_bytes

    def advance(self, label: str, done_bytes: int) -> None:
        self.done.setdefault(label, []).append(done_bytes)

    def end(self, label: str) -> None:
        self.ended.append(label)

    def note(self, message: str) -> None:
        self.notes.append(message)


def bring(where: Catalogue, *names: str, accept: bool = False, listener: Listener | None = None) -> list[Pulled]:
    return pull(where, names, accept_licence=accept, progress=listener or Listener())


def leftovers(where: Catalogue) -> list[Path]:
    """Files in the store that are neither weights, records nor locks."""
    root = where.store.root
    return [
        p for p in root.rglob("*") if p.is_file() and p.relative_to(root).parts[0].startswith((".partial", ".scratch-"))
    ]


class Server:
    """One file behind http on this machine. Each request takes the next plan: a status, or bytes to send before a cut."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.plans: list[tuple[str, int]] = []
        self.ranges: list[str | None] = []
        self.headers: dict[str, str] = {}
        self.location = ""
        self.ignores_range = False
        self.url = ""

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        self.ranges.append(request.headers.get("Range"))
        kind, number = self.plans.pop(0) if self.plans else ("send", len(self.content))
        if kind == "status":
            request.send_response(number)
            for key, value in self.headers.items():
                request.send_header(key, value)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        asked = None if self.ignores_range else self.ranges[-1]
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        body = self.content[start:]
        request.send_response(206 if asked else 200)
        request.send_header("Content-Length", str(len(body)))
        if asked:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        request.end_headers()
        request.wfile.write(body[:number])


@contextmanager
def serving(content: bytes = CONTENT) -> Iterator[Server]:
    server = Server(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.handle(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{web.server_port}/model.bin"
    thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        web.shutdown()
        web.server_close()
        thread.join()


def make_wheel(folder: Path, members: Mapping[str, bytes], name: str = "carrier", version: str = "1.0") -> Path:
    """A wheel that pip accepts, with these members."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for member, content in members.items():
            wheel.writestr(member, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


def local_pip(monkeypatch: pytest.MonkeyPatch, links: Path | None, **settings: str) -> None:
    """pip sees `links` and nothing else, whatever this machine's settings are."""
    for key in [k for k in os.environ if k.startswith("PIP_")]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_RETRIES", "0")
    if links is not None:
        monkeypatch.setenv("PIP_NO_INDEX", "1")
        monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    for key, value in settings.items():
        monkeypatch.setenv(key, value)

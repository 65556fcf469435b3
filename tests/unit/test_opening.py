"""Safe opening: only the named file is ever read, and each kind of unusable input has its own error."""

from __future__ import annotations

import os
import shutil
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from mediaml.decode.identity import content_sha256
from mediaml.decode.opening import open_container
from mediaml.errors import (
    ForbiddenReference,
    MediaEmpty,
    MediaError,
    MediaMissing,
    MediaTruncated,
    MediaUnreadable,
    NotMedia,
)
from tests.clips import make_clip, sine


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 5, audio=sine(0.2))


@pytest.fixture
def server(clip: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server that serves the clip under any name and writes down every request."""
    hits: list[str] = []
    content = clip.read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            hits.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_address[1]}", hits
        http.shutdown()
        thread.join()


def count_packets(path: Path) -> int:
    with open_container(path) as container:
        return sum(1 for p in container.demux(container.streams.video[0]) if p.size)


SCRIPTS = {
    "hls.m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "named.mp4": "\ufeff#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{url}\n#EXT-X-ENDLIST\n",
    "list.ffconcat": "ffconcat version 1.0\nfile '{url}'\n",
    "dash.mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL></Representation></AdaptationSet></Period></MPD>',
    "smooth.ism": '<?xml version="1.0"?><SmoothStreamingMedia MajorVersion="2" Url="{url}"/>',
    "session.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "list.pls": "[playlist]\nFile1={url}\nNumberOfEntries=1\n",
    "list.asx": '<asx version="3.0"><entry><ref href="{url}"/></entry></asx>',
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_reach_neither_the_network_nor_other_files(
    name: str, tmp_path: Path, clip: Path, server: tuple[str, list[str]]
) -> None:
    base, hits = server
    for target in (
        f"{base}/secret.mp4",
        str(clip),
        clip.name,
        f"file:{clip}",
        f"concat:{clip}",
        f"subfile,,start,0,end,0,,:{clip}",
    ):
        shutil.copy(clip, tmp_path / clip.name)
        path = tmp_path / name
        path.write_text(SCRIPTS[name].format(url=target), encoding="utf-8")
        with pytest.raises(ForbiddenReference, match="only the named file"):
            open_container(path)
    assert hits == []


@pytest.mark.parametrize("prefix", ["", "# a comment\n", "junk "])
def test_scripts_that_are_not_recognised_reach_nothing_either(
    prefix: str, tmp_path: Path, clip: Path, server: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The barrier is in how FFmpeg is called, not in the words that are looked for."""
    monkeypatch.setattr("mediaml.decode.opening.script_kind", lambda head: None)
    base, hits = server
    for name, text in SCRIPTS.items():
        for target in (f"{base}/secret.mp4", str(clip)):
            path = tmp_path / name
            path.write_text(prefix + text.format(url=target), encoding="utf-8")
            with pytest.raises(NotMedia):
                open_container(path)
    assert hits == []


def box(type: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return (8 + len(content)).to_bytes(4, "big") + type + content


def with_external_data(clip: Path, entry: bytes) -> bytes:
    """The clip with its first data reference replaced; the boxes around it are free to grow since the index comes last."""
    data = clip.read_bytes()
    at = data.index(b"dref") - 4
    old = int.from_bytes(data[at : at + 4], "big")
    new = box(b"dref", bytes(4), (1).to_bytes(4, "big"), entry)
    out = bytearray(data[:at] + new + data[at + old :])
    for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):
        p = out.index(parent) - 4
        out[p : p + 4] = (int.from_bytes(out[p : p + 4], "big") + len(new) - old).to_bytes(4, "big")
    return bytes(out)


def test_movies_whose_data_lie_elsewhere_are_refused(tmp_path: Path, clip: Path, server: tuple[str, list[str]]) -> None:
    base, hits = server
    path = tmp_path / "reference.mov"
    for place in (f"{base}/secret.mp4", f"file://{clip}"):
        path.write_bytes(with_external_data(clip, box(b"url ", bytes(4), place.encode() + b"\0")))
        with pytest.raises(ForbiddenReference, match=r"video \(track 1\) lies in another file"):
            open_container(path)
    alias = bytes(4) + bytes(6) + bytes(2) + str(clip).encode().ljust(200, b"\0")
    path.write_bytes(with_external_data(clip, box(b"alis", alias)))
    with pytest.raises(ForbiddenReference):
        open_container(path)
    assert hits == []


def test_a_self_contained_reference_is_no_reference(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "self.mov"
    path.write_bytes(with_external_data(clip, box(b"url ", b"\0\0\0\1")))
    assert count_packets(path) == 5


@pytest.mark.parametrize(
    "name",
    [
        "img%03d.png.mp4", "-i.mp4", "http:__host_x.mp4", "concat:a|b.mp4", "file:x.mp4", "subfile,,start,0,end,9,,:x.mp4",
        "new\nline.mp4", "it's \"quoted\".mp4", "日本語 émoji 🎬.mp4", " blank ", "pipe:0", "*.mp4", "fd:", "a;b&c`d`$e.mp4",
    ],
)  # fmt: skip
def test_names_are_only_names(name: str, tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(clip, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert count_packets(Path(name)) == 5
    with open_container(name) as container:  # a plain string too
        assert container.size == clip.stat().st_size


def test_names_that_are_not_utf8(tmp_path: Path, clip: Path) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff\xfe.mp4")
    shutil.copy(clip, path)
    assert count_packets(Path(path)) == 5
    with pytest.raises(MediaMissing) as caught:
        open_container(path + "x")
    assert "\\udcff" in str(caught.value)


@pytest.mark.parametrize("name", ["img%03d.png", "http://127.0.0.1/x.mp4", "testsrc2", "a\0b.mp4", "x" * 300])
def test_names_of_nothing(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(Path(__file__), tmp_path / "img001.png")
    monkeypatch.chdir(tmp_path)
    with pytest.raises((MediaMissing, MediaUnreadable)):
        open_container(name)


@pytest.mark.timeout(10)
def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s.mp4"))
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "gone.mp4")
    expected = {
        tmp_path / "pipe.mp4": "a named pipe",
        tmp_path / "s.mp4": "a socket",
        tmp_path: "a directory",
        Path("/dev/zero"): "a character device",
        tmp_path / "loop.mp4": "loop of symbolic links",
        tmp_path / "dangling.mp4": "no such file",
        tmp_path / "pipe.mp4" / "below.mp4": "no such file",
    }
    for path, reason in expected.items():
        with pytest.raises(MediaMissing, match=reason):
            open_container(path)


def test_no_permission(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: the superuser may read everything."""

    def refuse(*args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mediaml.decode.opening.os.open", refuse)
    with pytest.raises(MediaUnreadable, match="no permission") as caught:
        open_container(clip)
    assert str(clip) in str(caught.value)


def test_content_that_is_no_media(tmp_path: Path) -> None:
    contents: dict[str, tuple[bytes, type[MediaError], str]] = {
        "empty.mp4": (b"", MediaEmpty, "0 bytes"),
        "text.mp4": ("Some notes.\nNo film, naïvely.\n".encode() * 50, NotMedia, "holds text"),
        "zeros.mp4": (bytes(5000), NotMedia, "zero bytes"),
        "random.mp4": (bytes(i * i * 7919 % 251 for i in range(9000)), NotMedia, "not recognised"),
        "one.mp4": (b"\x80", NotMedia, "not recognised"),
        "subtitles.srt": (b"1\n00:00:00,000 --> 00:00:01,000\nHi\n", NotMedia, "holds text"),
        "page.html": (b"<!DOCTYPE html><html><body>404</body></html>", NotMedia, "holds text"),
    }
    for name, (content, kind, reason) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(kind, match=reason) as caught:
            open_container(tmp_path / name)
        assert type(caught.value) is kind and name in str(caught.value)


def test_movies_without_an_index(tmp_path: Path, clip: Path) -> None:
    data = clip.read_bytes()
    moov = data.index(b"moov") - 4
    cut = tmp_path / "cut.mp4"
    for length, reason in ((moov, "no index"), (moov // 2, "no index"), (moov + 60, "ends inside its index")):
        cut.write_bytes(data[:length])
        with pytest.raises(MediaTruncated, match=reason):
            open_container(cut)


def test_matroska_cut_in_its_header(tmp_path: Path) -> None:
    whole = make_clip(tmp_path / "a.mkv", 3)
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[:50])
    with pytest.raises(MediaTruncated, match="Matroska header"):
        open_container(cut)


def test_descriptors_are_given_back(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no media")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        open_container(clip).close()
        with pytest.raises(NotMedia):
            open_container(tmp_path / "bad.mp4")
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_two_containers_of_one_file_do_not_disturb_each_other(clip: Path) -> None:
    with open_container(clip) as a, open_container(clip) as b:
        one, two = a.demux(video=0), b.demux(video=0)
        pairs = [(next(one).pts, next(two).pts) for _ in range(5)]
    assert len({p for p, _ in pairs}) == 5 and all(p == q for p, q in pairs)


def test_content_sha256(tmp_path: Path) -> None:
    path = tmp_path / "abc"
    path.write_bytes(b"abc")
    assert content_sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(bytes(10 << 20))
    seen: list[int] = []
    content_sha256(path, seen.append)
    assert sum(seen) == 10 << 20 and len(seen) >= 3
    with pytest.raises(MediaMissing):
        content_sha256(tmp_path / "gone")

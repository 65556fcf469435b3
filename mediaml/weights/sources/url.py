"""One file over https: resumed by Range after a cut, retried with growing pauses, never more bytes than allowed."""

from __future__ import annotations

import errno
import http.client
import random
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from mediaml.errors import WeightsUnavailable
from mediaml.weights.address import check_url, is_loopback
from mediaml.weights.progress import Progress

TIMEOUT_SECONDS = 30.0
ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30.0
_BLOCK = 1 << 18
_PASSING = {408, 425, 429, 500, 502, 503, 504}


@dataclass(slots=True)
class Transfer:
    """One file on its way. `size` is exact where the manifest states it; `limit` is never exceeded."""

    label: str
    url: str
    target: Path
    size: int | None
    limit: int
    validator: str = ""  # ETag or Last-Modified of what lies in `target`, from this very call

    @property
    def held(self) -> int:
        return self.target.stat().st_size if self.target.exists() else 0


class _Interrupted(Exception):
    """Worth another attempt; `pause_seconds` is the server's wish, or None."""

    def __init__(self, reason: str, pause_seconds: float | None = None) -> None:
        super().__init__(reason)
        self.pause_seconds = pause_seconds


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects only to addresses that the manifest itself would be allowed to name."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        try:
            check_url(newurl)
        except ValueError as error:
            fp.close()
            raise WeightsUnavailable(f"{req.full_url}: redirected elsewhere: {error}") from error
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetch(transfer: Transfer, progress: Progress) -> None:
    """Bring `transfer.url` to `transfer.target`, going on where an earlier attempt stopped.

    Proxies come from the environment (https_proxy, no_proxy); this machine is always asked directly. Raises
    WeightsUnavailable: offline, refused, 404, too large, still cut after 5 attempts. OSError: the disk.
    """
    progress.begin(transfer.label, transfer.size)
    try:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                _attempt(transfer, progress)
                return
            except _Interrupted as stop:
                if attempt == ATTEMPTS:
                    raise WeightsUnavailable(
                        f"{transfer.label}: {transfer.url}: {stop} (after {ATTEMPTS} attempts, {transfer.held} bytes are "
                        "kept); check the network and the proxy settings, then pull again: it resumes"
                    ) from stop
                pause = FIRST_PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.8, 1.2)
                time.sleep(min(stop.pause_seconds if stop.pause_seconds is not None else pause, LONGEST_PAUSE_SECONDS))
    finally:
        progress.end(transfer.label)


def _attempt(transfer: Transfer, progress: Progress) -> None:
    offset = transfer.held
    if transfer.size is not None and offset >= transfer.size:
        if offset == transfer.size:
            return
        transfer.target.unlink()
        offset = 0
    headers = {"User-Agent": "mediaml-weights", "Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if transfer.validator:
            headers["If-Range"] = transfer.validator
    try:
        with _open(transfer.url, headers) as answer:
            _receive(answer, transfer, offset, progress)
    except urllib.error.HTTPError as error:
        with error:
            _refused(error, transfer)
    except urllib.error.URLError as error:
        raise _Interrupted(f"cannot be reached: {error.reason}") from error
    except (http.client.HTTPException, ConnectionError, TimeoutError) as error:
        raise _Interrupted(f"the connection broke: {error or type(error).__name__}") from error


def _open(url: str, headers: dict[str, str]) -> http.client.HTTPResponse:
    handlers: list[urllib.request.BaseHandler] = [_SafeRedirects()]
    if is_loopback(urlsplit(url).hostname):
        handlers.append(urllib.request.ProxyHandler({}))
    return urllib.request.build_opener(*handlers).open(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
    )


def _refused(error: urllib.error.HTTPError, transfer: Transfer) -> None:
    if error.code == 416 and transfer.held:
        transfer.target.unlink()
        raise _Interrupted("the server has less than was already held; starting again", 0.0) from error
    if error.code in _PASSING:
        raise _Interrupted(f"HTTP {error.code} {error.reason}", _retry_after(error.headers)) from error
    advice = {
        404: "the file has moved; a newer mediaml may know where, or fetch it yourself and use --from FILE",
        407: "the proxy wants credentials: set https_proxy",
    }.get(error.code, "the server refuses; fetch the file yourself and use --from FILE")
    raise WeightsUnavailable(f"{transfer.label}: {transfer.url}: HTTP {error.code} {error.reason}; {advice}") from error


def _retry_after(headers: Message) -> float | None:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None


def _receive(answer: http.client.HTTPResponse, transfer: Transfer, offset: int, progress: Progress) -> None:
    if offset and not (answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")):
        offset = 0  # the server sends the whole file
    transfer.validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    length = answer.headers.get("Content-Length", "")
    announced = offset + int(length) if length.isdigit() else None
    if announced is not None and announced > transfer.limit:
        raise WeightsUnavailable(_too_large(transfer, f"announces {announced}"))
    done = offset
    with transfer.target.open("ab" if offset else "wb") as out:
        while block := answer.read1(_BLOCK):
            done += len(block)
            if done > transfer.limit:
                raise WeightsUnavailable(_too_large(transfer, f"sends more than {transfer.limit}"))
            try:
                out.write(block)
            except ConnectionError as error:  # never from a disk; keeps the network's errors apart from it
                raise OSError(errno.EIO, str(error)) from error
            progress.advance(transfer.label, done)
    wanted = announced if announced is not None else transfer.size
    if wanted is not None and done < wanted:
        raise _Interrupted(f"the transfer ended at {done} of {wanted} bytes")


def _too_large(transfer: Transfer, what: str) -> str:
    return (
        f"{transfer.label}: {transfer.url} {what} bytes, the manifest allows {transfer.limit}; "
        "it is not the file that was meant (or a page of a proxy): nothing was kept"
    )

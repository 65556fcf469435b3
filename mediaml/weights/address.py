"""Which addresses weights may come from: https, or plain http on this very machine."""

from __future__ import annotations

import re
from ipaddress import ip_address
from urllib.parse import urlsplit


def is_loopback(host: str | None) -> bool:
    """Whether `host` names this machine: localhost, 127.0.0.0/8 or ::1."""
    if host is None:
        return False
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(url: str) -> str:
    """`url` itself; raises ValueError unless it is https, or http on a loopback address, without credentials."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError(f"url {redact(url)!r} holds credentials; put them into the proxy or netrc settings instead")
    if not parts.hostname:
        raise ValueError(f"url {url!r} has no host")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise ValueError(f"url {url!r} must be https; plain http is allowed only for this machine (localhost)")
    return url


def redact(text: str) -> str:
    """`text` with user names and passwords of URLs replaced by ****."""
    return re.sub(r"(?<=://)[^/\s@]+@", "****@", text)

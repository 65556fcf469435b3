"""The identity of a file: the SHA-256 of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from mediaml.decode.opening import PathName, open_regular
from mediaml.errors import MediaUnreadable

_CHUNK_BYTES = 4 << 20


def content_sha256(path: PathName, progress: Callable[[int], None] | None = None) -> str:
    """The SHA-256 of the file's bytes, 64 hex digits; `progress` gets the number of bytes of each chunk read.

    Raises MediaMissing, MediaUnreadable, MediaEmpty.
    """
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with open_regular(path) as file:
        try:
            while count := file.readinto(buffer):  # type: ignore[attr-defined]
                digest.update(buffer[:count])
                if progress is not None:
                    progress(count)
        except OSError as e:
            raise MediaUnreadable(path, f"cannot be read: {e.strerror or e}") from e
    return digest.hexdigest()

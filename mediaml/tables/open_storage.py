"""From what a user types, a folder or a URL, to the storage that lies there."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from mediaml.errors import InvalidValue, printable
from mediaml.tables.local_storage import LocalStorage
from mediaml.tables.object_storage import ObjectStorage
from mediaml.tables.storage import Storage, url_of


def open_storage(path: str | PathLike[str]) -> Storage:
    """The storage at a folder or URL. Raises InvalidValue: a name that is not UTF-8, a scheme without atomic creation."""
    url = url_of(path)
    if url is not None:
        return ObjectStorage(url)
    root = Path(path)
    try:
        str(root).encode()
    except UnicodeEncodeError:
        raise InvalidValue(f"{printable(root)}: the name of a lake's folder must be valid UTF-8; rename it") from None
    return LocalStorage(root)

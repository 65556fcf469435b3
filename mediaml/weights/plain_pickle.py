"""Reading a pickle that may hold containers, text and numbers, and nothing else."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from mediaml.errors import WeightsCorrupt

_LARGEST = 16 << 20


class _NothingButData(pickle.Unpickler):
    """Refuses every opcode that would look up a class or a function; those alone can run code."""

    def find_class(self, module: str, name: str) -> Any:
        raise pickle.UnpicklingError(f"refers to {module}.{name}; only containers, text and numbers are read")

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError(f"refers to the external object {pid!r}")


def read_plain_pickle(path: Path) -> Any:
    """The dicts, lists, strings and numbers in a pickle of at most 16 MB (format "plain_pickle" of the manifest).

    Raises WeightsCorrupt where it is damaged or refers to anything that would have to be imported.
    """
    if (size := path.stat().st_size) > _LARGEST:
        raise WeightsCorrupt(f"{path}: {size} bytes, a plain pickle may have {_LARGEST}")
    try:
        with path.open("rb") as stream:
            return _NothingButData(stream).load()
    except (pickle.UnpicklingError, EOFError, ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise WeightsCorrupt(f"{path}: not a plain pickle: {error}") from error

"""Arrow's compute functions by name: most of them are made at run time, where a type checker cannot see them."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc


def call(name: str, *values: Any, options: Any = None) -> Any:
    """The compute function `name` on arrays and scalars."""
    return pc.call_function(name, list(values), options)


def is_in(values: Any, wanted: Any) -> Any:
    """(N,) bool: whether each value is among `wanted`, an array; null is only in what holds null."""
    return call("is_in", values, options=pc.SetLookupOptions(wanted))


def count_true(flags: Any) -> int:
    """How many are true; null is not."""
    return call("sum", flags).as_py() or 0

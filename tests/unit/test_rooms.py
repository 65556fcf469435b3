"""Memory of batches: used again, but never while anything still looks at it."""

from __future__ import annotations

import numpy as np
import torch

from mediaml.decode.rooms import KEPT, MAPPED_BYTES, Rooms

SHAPE = (4, MAPPED_BYTES // 4)
BYTE = np.dtype(np.uint8)


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


def test_pages_come_back_when_the_last_view_is_gone() -> None:
    rooms = Rooms()
    first = rooms.take(SHAPE, BYTE)
    where = address(first)
    first[:] = 7
    tensor = torch.from_numpy(first[:2])[:, None]
    del first
    assert not rooms.free
    other = rooms.take(SHAPE, BYTE)
    assert address(other) != where
    assert (tensor == 7).all()
    del tensor
    assert len(rooms.free) == 1
    assert address(rooms.take(SHAPE, BYTE)) == where


def test_another_size_does_not_take_them_and_few_are_kept() -> None:
    rooms = Rooms()
    taken = [rooms.take(SHAPE, BYTE) for _ in range(KEPT + 3)]
    taken.clear()
    assert len(rooms.free) == KEPT
    assert rooms.take(SHAPE, np.dtype(np.uint16)).shape == SHAPE
    assert len(rooms.free) == KEPT


def test_small_pieces_are_plain_arrays() -> None:
    rooms = Rooms()
    rooms.take((2, 3), BYTE)
    assert not rooms.free

"""Sparse user-by-title matrices behind a few typed functions; whatever touches scipy's types stands here."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mediaml.errors import UsageError

try:
    from scipy import sparse
except ImportError as error:
    raise UsageError("mediaml.rec needs scipy; install it with: pip install 'mediaml[rec]'") from error

Floats = NDArray[np.floating]
Interactions: TypeAlias = sparse.csr_matrix
"""0/1 float32, a row a user, a column a title. # (U, I)"""


def from_pairs(users: NDArray[np.int64], titles: NDArray[np.int64], shape: tuple[int, int]) -> Interactions:
    return sparse.csr_matrix((np.ones(len(users), np.float32), (users, titles)), shape=shape)


def size(matrix: Interactions) -> tuple[int, int]:
    """(users, titles)."""
    loose: Any = matrix
    return int(loose.shape[0]), int(loose.shape[1])


def pairs(matrix: Interactions) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(users, titles) of all events."""
    loose: Any = matrix
    users, titles = loose.nonzero()
    return users.astype(np.int64), titles.astype(np.int64)


def columns(matrix: Interactions, chosen: NDArray[Any]) -> Interactions:
    """Some of the titles, by mask or by position."""
    loose: Any = matrix
    return loose[:, chosen]


def users_of_each(matrix: Interactions) -> Floats:
    """How many users each title has. # (I,)"""
    loose: Any = matrix
    return np.asarray(loose.sum(axis=0), dtype=np.float32).ravel()


def lengths(matrix: Interactions) -> NDArray[np.int64]:
    """How many titles each user has. # (U,)"""
    loose: Any = matrix
    return np.asarray(loose.getnnz(axis=1), dtype=np.int64)


def dense(matrix: Interactions) -> Floats:
    loose: Any = matrix
    return np.asarray(loose.toarray(), dtype=np.float32)


def times(matrix: Interactions, weights: NDArray[Any]) -> Floats:
    """histories @ weights. # (U, I), (I, J) -> (U, J)"""
    loose: Any = matrix
    return np.asarray(loose @ weights, dtype=np.float32)


def gram(matrix: Interactions) -> Floats:
    """How many users two titles share. # (U, I) -> (I, I)"""
    loose: Any = matrix
    return np.asarray((loose.T @ loose).toarray(), dtype=np.float32)

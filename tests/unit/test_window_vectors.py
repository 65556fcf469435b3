"""Vectors of windows of sound as rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mediaml.analyzers.audio.window_vectors import WindowVectors


def test_no_window_gives_no_row() -> None:
    rows = WindowVectors().rows("space", "0" * 64)
    assert set(rows) == {"start_seconds", "end_seconds", "scope", "model", "weights_sha256", "vector"}
    assert all(len(column) == 0 and isinstance(column, list) for column in rows.values())  # type: ignore[arg-type]


def test_windows_then_their_mean_of_unit_length() -> None:
    windows = WindowVectors()
    assert windows.span == (0.0, 0.0)
    windows.add(1.5, 2.5, torch.tensor([1.0, 0.0]))
    windows.add(2.5, 3.0, torch.tensor([0.0, 1.0]))
    rows = windows.rows("space", "0" * 64)
    assert rows["scope"] == ["window", "window", "file"] and len(windows) == 2
    assert np.asarray(rows["start_seconds"]).tolist() == [1.5, 2.5, 1.5]
    assert np.asarray(rows["end_seconds"]).tolist() == [2.5, 3.0, 3.0]
    vectors = np.asarray(rows["vector"])
    assert vectors.dtype == np.float32 and vectors[2].tolist() == pytest.approx([0.5**0.5, 0.5**0.5])

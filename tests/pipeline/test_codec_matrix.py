"""Every codec and container of docs/codecs.md: each frame at its exact time, or a typed error."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.codec_files import FILES, make_files
from benchmarks.codecs import examine

pytest.importorskip("imageio_ffmpeg")
REFUSED = {"animated.webp": "nothing_decoded"}
"""Typed errors that are the right answer: FFmpeg's own WebP decoder gives no frame of an animation."""
OTHER_TIMES = {"h264.h264", "h264-two-sizes.ts", "mpeg4.avi"}
"""No two programs agree: the file has no times, or they go backwards; we report it and keep every frame, in order."""
REAL = {"sample_malformed_free_box.mp4": "not_media", "invalid-bitstream.webm": "nothing_decoded", "bear-vp9.webm": None,
        "sample_empty_track.mp4": None, "sample_mdat_too_long.mp4": None, "sample_without_stss.mp4": None,
        "sample_vvc.mp4": None, "h265_10bits.mp4": None, "sample_h264.ts": None}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("codecs")
    make_files(folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_generated(folder: Path, name: str) -> None:
    if not (folder / name).exists():
        pytest.skip(f"the test tool cannot make {name}")
    found = examine(folder / name)
    if name in REFUSED:
        assert found.error is not None and found.error.kind == REFUSED[name]
    elif name in OTHER_TIMES:
        assert len(found.ours) == len(found.theirs) > 0
        assert list(found.ours) == sorted(set(found.ours))
    else:
        assert found.error is None and found.exact, str(found)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real(shared_data: Path, name: str) -> None:
    found = examine(next(shared_data.rglob(name)))
    kind = REAL[name]
    if kind is not None:
        assert found.error is not None and found.error.kind == kind
    else:
        assert found.error is None and found.exact, str(found)

"""The VMAF analyzers over made streams: every frame's row, in any batches, features shared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from mediaml import weights
from mediaml.analyzers.base import registry
from mediaml.analyzers.quality_fr import vmaf_stream
from mediaml.analyzers.quality_fr.vmaf_stream import VmafAnalyzer, pair_of
from mediaml.errors import InvalidValue, WeightsAbsent
from mediaml.frames import FrameBatch, Planes
from mediaml.metrics import adm, motion, motion2, vif, vmaf, vmaf_bootstrap
from mediaml.spec import Table
from tests.contract.inputs import Clip, clip, frame_batch

NAMES = ("vmaf", "vmaf_neg", "vmaf_4k", "vmaf_phone", "vmaf_bootstrap")


def ready(name: str) -> VmafAnalyzer:
    cls = registry()[name]
    try:
        for weight in cls.spec.weights:
            weights.resolve(weight)
    except WeightsAbsent as error:
        pytest.skip(f"weights: {error}")
    analyzer = cls()
    assert isinstance(analyzer, VmafAnalyzer)
    analyzer.setup(torch.device("cpu"))
    return analyzer


def batches(source: Clip, sizes: Sequence[int]) -> list[FrameBatch]:
    need = vmaf_stream.NEED
    ends = torch.tensor(sizes).cumsum(0).tolist()
    return [frame_batch(source, need, list(range(e - s, e)), reference=True) for s, e in zip(sizes, ends, strict=True)]


def rows(analyzer: VmafAnalyzer, given: Sequence[FrameBatch]) -> dict[str, list[Any]]:
    for batch in given:
        assert analyzer.update(batch) == {}
    return {name: list(column) for name, column in analyzer.finish()[Table.FRAMES].items()}


@pytest.mark.weights
def test_scores_are_those_of_the_functions() -> None:
    source = clip(5, 96, 64)
    assert source.reference is not None
    ref, dist = source.reference.planes.y, source.planes.y
    given = batches(source, [2, 1, 2])
    found = {name: rows(ready(name), given) for name in NAMES}
    assert found["vmaf"]["frame_index"] == [0, 1, 2, 3, 4] and len(found["vmaf"]["pts_seconds"]) == 5
    expected = {
        "vmaf": vmaf(ref, dist),
        "vmaf_neg": vmaf(ref, dist, model="vmaf_v0.6.1neg"),
        "vmaf_4k": vmaf(ref, dist, model="vmaf_4k_v0.6.1"),
        "vmaf_phone": vmaf(ref, dist, transform=True),
        "vmaf_bootstrap": vmaf_bootstrap(ref, dist).score,
    }
    for name, scores in expected.items():
        assert found[name][name] == pytest.approx(scores.tolist(), abs=1e-9)
    assert len({round(found[n][n][2], 3) for n in NAMES}) >= 4
    assert found["vmaf"]["motion2"] == pytest.approx(motion2(motion(ref)).tolist())
    assert found["vmaf"]["vif_scale2"] == pytest.approx(vif(ref, dist)[:, 2].tolist())
    assert found["vmaf"]["adm_scale3"] == pytest.approx(adm(ref, dist).scales[:, 3].tolist())
    interval = found["vmaf_bootstrap"]
    assert all(a <= b for a, b in zip(interval["vmaf_bootstrap_low"], interval["vmaf_bootstrap_high"], strict=True))


@pytest.mark.weights
def test_features_are_made_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    real = vmaf_stream.spatial
    monkeypatch.setattr(vmaf_stream, "spatial", lambda *a: made.append(1) or real(*a))
    given = batches(clip(4, 64, 48), [2, 2])
    for name in NAMES:
        rows(ready(name), given)
    assert len(made) == len(given)


@pytest.mark.weights
def test_a_picture_too_small_has_no_score() -> None:
    analyzer = ready("vmaf")
    small = rows(analyzer, batches(clip(3, 40, 12), [3]))
    assert small["frame_index"] == [0, 1, 2] and small["vmaf"] == [None] * 3 and small["adm2"] == [None] * 3
    assert None not in rows(analyzer, batches(clip(3, 40, 16), [3]))["vmaf"]


@pytest.mark.weights
def test_v1_has_its_own_features() -> None:
    source = clip(2, 240, 176)
    found = rows(ready("vmaf_v1"), batches(source, [1, 1]))
    assert source.reference is not None
    ref, dist = source.reference.planes, source.planes
    assert ref.u is not None and ref.v is not None and dist.u is not None and dist.v is not None
    scores = vmaf(ref.y, dist.y, model="vmaf_v1.0.16", chroma=((ref.u, ref.v), (dist.u, dist.v)))
    assert found["vmaf_v1"] == pytest.approx(scores.tolist(), abs=1e-9)
    assert found["motion3"][0] == found["motion3"][1] > 0
    assert found["speed_chroma"] == [0.0, 0.0]  # chroma is untouched in this clip
    assert rows(ready("vmaf_v1"), batches(clip(1, 200, 112), [1]))["vmaf_v1"] == [None]


@pytest.mark.weights
def test_sizes_may_change_on_the_way() -> None:
    small, large = batches(clip(2, 40, 12), [2]), batches(clip(2, 64, 48), [2])
    for order in (small + large, large + small):
        found = rows(ready("vmaf"), order)["vmaf"]
        assert [v is None for v in found].count(True) == 2 and len(found) == 4


def test_what_is_no_pair_is_refused() -> None:
    batch, other = (batches(clip(1, w, 64), [1])[0] for w in (96, 80))
    batch.reference = None
    with pytest.raises(InvalidValue, match="a reference that has planes"):
        pair_of(batch)
    batch.reference = other.reference
    with pytest.raises(InvalidValue, match="the reference is 80x64 8-bit, the other 96x64"):
        pair_of(batch)
    assert isinstance(pair_of(other)[0], Planes)

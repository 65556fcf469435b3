"""libvmaf's model files: what is read, what is computed from it, what is refused."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from mediaml.errors import InvalidValue, UnknownName, WeightsAbsent, WeightsCorrupt
from mediaml.metrics import vmaf, vmaf_bootstrap, vmaf_model
from mediaml.metrics.vmaf_model import Feature, read_vmaf_model

SVM = "svm_type nu_svr\nkernel_type rbf\ngamma 0.5\nnr_class 2\ntotal_sv 2\nrho -0.25\nSV\n2 1:0.5 2:1 \n-1 2:0.25 \n"
ADM, MOTION = Feature("adm2"), Feature("motion2")


def body(**changes: Any) -> dict[str, Any]:
    return {
        "model_type": "LIBSVMNUSVR",
        "model": SVM,
        "feature_names": ["VMAF_integer_feature_adm2_score", "VMAF_integer_feature_motion2_score"],
        "norm_type": "linear_rescale",
        "slopes": [0.01, 2.0, 0.1],
        "intercepts": [-0.3, -1.0, 0.05],
        "score_clip": [0.0, 100.0],
    } | changes


def written(path: Path, root: Any) -> Path:
    file = path / "model.json"
    file.write_text(json.dumps(root))
    return file


def model(path: Path, **changes: Any) -> Path:
    return written(path, {"param_dict": {}, "model_dict": body(**changes)})


def values(*adm2: float) -> dict[Feature, torch.Tensor]:
    given = torch.tensor(adm2, dtype=torch.float64)
    return {ADM: given, MOTION: torch.full_like(given, 2.0)}


def by_hand(adm2: float) -> float:
    a, m = 2.0 * adm2 - 1.0, 0.1 * 2.0 + 0.05
    near = math.exp(-0.5 * ((a - 0.5) ** 2 + (m - 1) ** 2)), math.exp(-0.5 * (a**2 + (m - 0.25) ** 2))
    return (2 * near[0] - near[1] + 0.25 + 0.3) / 0.01


def test_score_is_the_formula(tmp_path: Path) -> None:
    found = read_vmaf_model(model(tmp_path))
    assert found.features == (ADM, MOTION) and not found.is_bootstrap and len(found.sha256) == 64
    raw = found.score(values(0.9, 0.2), clip=False)
    assert raw.tolist() == pytest.approx([by_hand(0.9), by_hand(0.2)])
    assert found.score(values(0.9, 0.2)).tolist() == pytest.approx([min(100, max(0, v)) for v in raw.tolist()])


def test_without_scaling(tmp_path: Path) -> None:
    found = read_vmaf_model(model(tmp_path, norm_type="none", score_clip=None))
    near = math.exp(-0.5 * (0 + 1)), math.exp(-0.5 * (0.25 + 1.75**2))
    assert found.score(values(0.5)).item() == pytest.approx(2 * near[0] - near[1] + 0.25)


def test_options_of_features(tmp_path: Path) -> None:
    found = read_vmaf_model(model(tmp_path, feature_opts_dicts=[{"b": 2, "a": 1.5}, {}]))
    assert found.features == (Feature("adm2", (("a", 1.5), ("b", 2.0))), MOTION)


def test_transform_only_when_asked_or_by_default(tmp_path: Path) -> None:
    polynomial = {"p0": 1.0, "p1": 0.5, "p2": 0.002}
    asked = read_vmaf_model(model(tmp_path, score_transform=polynomial, score_clip=None))
    plain = asked.score(values(0.9))
    changed = 1 + 0.5 * plain + 0.002 * plain**2
    assert asked.score(values(0.9), transform=True).tolist() == pytest.approx(changed.tolist())
    always = read_vmaf_model(model(tmp_path, score_transform=polynomial | {"enabled": True}, score_clip=None))
    assert always.score(values(0.9)).tolist() == pytest.approx(changed.tolist())


def test_bounds_of_the_transform(tmp_path: Path) -> None:
    for key, pick in (("out_gte_in", max), ("out_lte_in", min)):
        found = read_vmaf_model(model(tmp_path, score_transform={"p0": -5.0, "p1": 1.0, key: "true"}, score_clip=None))
        plain = found.score(values(0.9)).item()
        assert found.score(values(0.9), transform=True).item() == pytest.approx(pick(plain, plain - 5))


def test_knots_are_joined_by_lines_that_go_on(tmp_path: Path) -> None:
    knots = {"knots": [[0.0, 10.0], [50.0, 30.0], [100.0, 100.0]]}
    found = read_vmaf_model(model(tmp_path, score_transform=knots, score_clip=None))
    transform = found.models[0].transform
    assert transform is not None
    given = torch.tensor([-10.0, 0.0, 25.0, 50.0, 75.0, 110.0], dtype=torch.float64)
    assert transform(given).tolist() == pytest.approx([6.0, 10.0, 20.0, 30.0, 65.0, 114.0])


def test_chroma_that_says_nothing_follows_luma(tmp_path: Path) -> None:
    names = ["Speed_chroma_feature_speed_chroma_uv_score", "VMAF_integer_feature_adm3_score"]
    found = read_vmaf_model(model(tmp_path, feature_names=names, chroma_correction_parameter=10.0, score_clip=None))
    chroma, luma = found.features
    given = {chroma: torch.tensor([0.0, 1.0, 3.0]).double(), luma: torch.tensor([0.9, 0.9, 0.9]).double()}
    scores = found.score(given).tolist()
    assert scores[0] == pytest.approx(scores[1]) and scores[0] != pytest.approx(scores[2])  # 10 * (1 - 0.9) = 1


def test_bootstrap_is_the_spread_of_its_models(tmp_path: Path) -> None:
    shifts = [0.0, 0.02, 0.04, 0.1]
    parts = {str(i): {"model_dict": body(intercepts=[-0.3 + s, -1.0, 0.05])} for i, s in enumerate(shifts)}
    found = read_vmaf_model(written(tmp_path, parts))
    assert found.is_bootstrap
    each = torch.tensor([by_hand(0.3) - 100 * s for s in shifts], dtype=torch.float64)
    got = found.bootstrap(values(0.3))
    assert got.score.item() == pytest.approx(each.mean().item()) == pytest.approx(found.score(values(0.3)).item())
    assert got.stddev.item() == pytest.approx(each.std(correction=0).item())
    ordered = sorted(each.tolist())  # percentile p lies at p (n - 1) between the sorted scores
    assert got.low.item() == pytest.approx(ordered[0] + 0.075 * (ordered[1] - ordered[0]))
    assert got.high.item() == pytest.approx(ordered[3] - 0.075 * (ordered[3] - ordered[2]))


@pytest.mark.parametrize(
    "root",
    [
        [],
        {"model_dict": {}},
        {"param_dict": {}, "model_dict": body(model_type="RANDOMFOREST")},
        {"param_dict": {}, "model_dict": body(norm_type="clip")},
        {"param_dict": {}, "model_dict": body(slopes=[1.0])},
        {"param_dict": {}, "model_dict": body(feature_names=["adm2", "motion2"])},
        {"param_dict": {}, "model_dict": body(model="svm_type c_svc")},
        {"param_dict": {}, "model_dict": body(model=SVM.replace("total_sv 2", "total_sv 3"))},
        {"0": {"model_dict": body()}, "1": {"model_dict": body(feature_names=["a_feature_b", "a_feature_c"])}},
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, root: Any) -> None:
    with pytest.raises(WeightsCorrupt, match=r"model.json: not a libvmaf model"):
        read_vmaf_model(written(tmp_path, root))


def test_a_damaged_file_and_an_absent_one(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.json"
    damaged.write_bytes(b"\x00\xff")
    with pytest.raises(WeightsCorrupt, match=r"damaged.json"):
        read_vmaf_model(damaged)
    with pytest.raises(WeightsAbsent, match=r"absent.json: no such VMAF model file"):
        vmaf_model(tmp_path / "absent.json")


def test_names(tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match=r"did you mean vmaf_v0.6.1"):
        vmaf_model("vmaf_v0.6.2")
    x = torch.full((1, 1, 32, 32), 90, dtype=torch.uint8)
    with pytest.raises(InvalidValue, match="holds one model; an interval needs a set"):
        vmaf_bootstrap(x, x, model=model(tmp_path))
    assert vmaf(x, x, model=str(model(tmp_path))).shape == (1,)


def test_a_model_that_is_replaced_is_read_again(tmp_path: Path) -> None:
    first = vmaf_model(model(tmp_path))
    path = model(tmp_path, score_clip=[0.0, 10.0])
    stat = path.stat()
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000))
    assert vmaf_model(path).models[0].clip == (0.0, 10.0) != first.models[0].clip

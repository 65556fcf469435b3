"""`mediaml doctor` finds what is missing and says what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import typer
from typer.testing import CliRunner

from mediaml import weights
from mediaml.cli import doctor
from mediaml.errors import WeightsAbsent
from mediaml.tables import Lake

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="tells what is said without a GPU")


def found(check: str, lake: Path | None = None) -> doctor.Finding:
    return next(f for f in doctor.examine(lake) if f.check == check)


def test_missing_decoders_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (found("decoders").verdict, "prores" in found("decoders").found) == ("ok", True)
    monkeypatch.setattr(doctor, "_has_decoder", lambda name: name != "hevc")
    absent = found("decoders")
    assert (absent.verdict, "absent: hevc" in absent.found) == ("warning", True)


def test_missing_weights_are_errors_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Path:
        raise WeightsAbsent(f"{name} is absent; run: mediaml weights pull {name}")

    monkeypatch.setattr(weights, "resolve", absent)
    first = next(f for f in doctor.examine() if f.check.startswith("weights"))
    assert (first.verdict, "mediaml weights pull" in first.found) == ("error", True)


@pytest.mark.parametrize(
    ("capability", "built", "verdict"),
    [
        ((9, 0), ["sm_80", "sm_90"], "ok"),
        ((8, 6), ["sm_80", "sm_90"], "ok"),
        ((12, 0), ["sm_80", "sm_90a"], "error"),
        ((7, 0), ["sm_75", "sm_80"], "error"),
        ((10, 0), ["sm_90", "sm_100"], "ok"),
    ],
)
def test_a_gpu_that_torch_has_no_kernels_for_is_an_error(
    capability: tuple[int, int], built: list[str], verdict: str
) -> None:
    said = doctor._gpu_fits("GPU", capability, built)
    assert said.verdict == verdict
    assert ("--device cpu" in said.advice) is (verdict == "error")


@NO_GPU
def test_a_gpu_that_torch_does_not_see_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    assert found("gpu").verdict == "warning"


def test_a_lake_is_looked_at_and_json_is_json(tmp_path: Path) -> None:
    Lake.open(tmp_path / "lake", create=True)
    assert found("lake", tmp_path / "lake").verdict == "ok"
    assert found("lake", tmp_path / "none").verdict == "error"
    app = typer.Typer()
    doctor.register(app)
    said = CliRunner().invoke(app, ["--json", "--lake", str(tmp_path / "none")])
    assert said.exit_code == 1
    assert {"check", "verdict", "found", "advice"} == set(json.loads(said.output)[0])

"""`mediaml.score` and `mediaml score` from files to numbers, files, exit codes and the lake."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import typer
from numpy.typing import NDArray
from typer.testing import CliRunner

from mediaml.cli.score import register
from mediaml.decode.raw_video import RawFormat
from mediaml.engine.score.output import score_dict
from mediaml.engine.score.pair import score
from mediaml.engine.score.pairs import find_pairs, read_pairs
from mediaml.errors import (
    ContentDiffers,
    InvalidValue,
    MediaError,
    MediaMissing,
    UnknownName,
    WeightsAbsent,
    WeightsCorrupt,
)
from mediaml.tables import Lake
from tests.clips import make_clip, solid
from tests.real_clips import Picture, write

app = typer.Typer()
register(app)
app.command("other")(lambda: None)
WIDTH, HEIGHT = 160, 96


def picture(at: int) -> Picture:
    """yuv420p of a blobby texture that moves by two samples a frame."""
    import cv2

    rng = np.random.default_rng(1)
    small = rng.integers(16, 235, (HEIGHT // 8, (WIDTH + 400) // 8), dtype=np.uint8)
    luma = cv2.resize(small, (WIDTH + 400, HEIGHT), interpolation=cv2.INTER_CUBIC)[:, 2 * at : 2 * at + WIDTH]
    return np.concatenate([luma, np.full((HEIGHT // 2, WIDTH), 128, np.uint8)])


def encode(path: Path, order: Sequence[int], crf: int = 30, **given: object) -> Path:
    return write(path, [picture(i) for i in order], crf=crf, **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("source") / "clip.mp4", range(60), crf=1)


def invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["score", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def luma_psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


def test_scores_follow_the_alignment(source: Path, tmp_path: Path) -> None:
    order = [i for i in range(7, 60) if i not in (20, 21, 40)]
    result = score(encode(tmp_path / "d.mp4", order), source, ["psnr_y"])
    assert result.frames["reference_index"].tolist() == order
    assert result.frames["frame_index"].tolist() == list(range(len(order)))
    plain = score(encode(tmp_path / "whole.mp4", range(60)), source, ["psnr_y"])
    assert abs(result["psnr_y"].mean - plain["psnr_y"].mean) < 0.5
    assert result.plan.alignment is not None and result.plan.alignment.summary.dropped_frames == 3
    wrong = score(tmp_path / "d.mp4", source, ["psnr_y"], align=False)
    assert wrong["psnr_y"].mean < result["psnr_y"].mean - 5


def test_psnr_is_that_of_the_decoded_planes(source: Path, tmp_path: Path) -> None:
    from tests.real_clips import frames_of

    distorted = encode(tmp_path / "d.mp4", range(60), crf=40)
    result = score(distorted, source, ["psnr_y"])
    shown = frames_of(distorted, 60), frames_of(source, 60)
    expected = [luma_psnr(a[:HEIGHT], b[:HEIGHT]) for a, b in zip(*shown, strict=True)]
    assert result.frames["psnr_y"] == pytest.approx(expected, abs=1e-3)
    assert result["psnr_y"].mean == pytest.approx(np.mean(expected), abs=1e-3)
    assert result.worst[0].frame_index == int(np.argmin(expected))


def test_a_reference_shorter_than_the_encode_is_said(source: Path, tmp_path: Path) -> None:
    short = encode(tmp_path / "short.mp4", range(40), crf=1)
    result = score(source, short, ["psnr_y"])
    assert result.frames_scored == 40
    assert any("reference ends before" in note for note in result.notes)
    result = score(source, short, ["psnr_y"], align=False)
    assert result.frames_scored == 40 and any("the 40 that both files have" in note for note in result.notes)


def test_one_frame_and_still_pictures(tmp_path: Path) -> None:
    one = encode(tmp_path / "one.mp4", [3]), encode(tmp_path / "one_ref.mp4", [3], crf=1)
    assert score(*one, ["psnr_y"]).frames_scored == 1
    still = make_clip(tmp_path / "a.png", [solid(90)], codec="png", pix_fmt="rgb24")
    assert score(still, still, ["psnr_y"]).frames_scored == 1


def test_flat_pictures_are_scored_and_said(tmp_path: Path) -> None:
    flat = make_clip(tmp_path / "flat.mp4", [solid(90, 64, 48)] * 5)
    result = score(flat, flat, ["psnr_y"])
    assert result.frames_scored == 5 and any("flat" in note for note in result.notes)


def test_other_content_is_refused(source: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    blobs = [np.kron(rng.integers(16, 235, (12, 10), dtype=np.uint8), np.ones((12, 16), np.uint8)) for _ in range(30)]
    other = write(tmp_path / "other.mp4", blobs)
    with pytest.raises(ContentDiffers, match="same content"):
        score(other, source, ["psnr_y"])
    assert score(other, source, ["psnr_y"], align=False).frames_scored == 30


def test_a_corrupt_stretch_is_stated(source: Path, tmp_path: Path) -> None:
    intact = encode(tmp_path / "d.mp4", range(60)).read_bytes()
    at = intact.index(b"mdat") + (len(intact) - intact.index(b"mdat")) // 2
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(intact[:at] + bytes(400) + intact[at + 400 :])
    result = score(broken, source, ["psnr_y"])
    assert any("faults while decoding" in note for note in result.notes)
    assert result.frames_scored >= 30


@pytest.mark.parametrize("names", [["vmav"], ["psnr", "sssim"]])
def test_unknown_metrics_offer_near_ones(source: Path, names: list[str]) -> None:
    with pytest.raises(UnknownName, match="did you mean"):
        score(source, source, names)


def test_missing_files_say_so(source: Path, tmp_path: Path) -> None:
    with pytest.raises(MediaMissing):
        score(tmp_path / "none.mp4", source, ["psnr_y"])
    text = tmp_path / "text.mp4"
    text.write_text("no media")
    with pytest.raises(MediaError, match="text"):
        score(text, source, ["psnr_y"])


def test_json_has_libvmafs_fields(source: Path, tmp_path: Path) -> None:
    result = score(encode(tmp_path / "d.mp4", range(5, 60)), source, ["psnr"], shots=[(0, 1), (1, 9)])
    made = json.loads(json.dumps(score_dict(result), allow_nan=False))
    assert {"version", "fps", "frames", "pooled_metrics", "aggregate_metrics"} <= set(made)
    first = made["frames"][0]
    assert first["frameNum"] == 0 and first["reference_frame"] == 5 and first["metrics"]["psnr_y"] > 20
    pooled = made["pooled_metrics"]["psnr_y"]
    assert list(pooled)[:4] == ["min", "max", "mean", "harmonic_mean"]
    assert pooled["mean"] == pytest.approx(np.mean([f["metrics"]["psnr_y"] for f in made["frames"]]))
    shots = [s["pooled_metrics"]["psnr_y"] for s in made["shots"]]
    assert [s["frames"] for s in shots] == [25, 30]
    assert made["pair"]["alignment"]["offset_seconds"] == pytest.approx(0.2)


def test_the_command_writes_files_and_gates(source: Path, tmp_path: Path) -> None:
    distorted = encode(tmp_path / "d.mp4", range(60), crf=40)
    names = ["--json", tmp_path / "o.json", "--csv", tmp_path / "o.csv", "--parquet", tmp_path / "o.parquet"]
    code, output = invoke(distorted, "-r", source, "-m", "psnr_y", *names, "--fail-under", "psnr_y=5")
    assert code == 0 and "psnr_y" in output and "60 of 60 frames aligned" in output
    table = pq.read_table(tmp_path / "o.parquet")
    assert table.num_rows == 60 and table.schema.field("psnr_y").metadata[b"unit"] == b"dB"
    assert (tmp_path / "o.csv").read_text().splitlines()[0].startswith("frame_index,pts_seconds,reference_index")
    assert json.loads((tmp_path / "o.json").read_text())["frames"][59]["frameNum"] == 59
    code, output = invoke(distorted, "-r", source, "-m", "psnr_y", "--fail-under", "psnr_y=5,p5:psnr_y=99")
    assert code == 3 and "missed: d.mp4: p5:psnr_y=99" in output


def test_directories_are_paired_resumed_and_gated(source: Path, tmp_path: Path) -> None:
    encodes, sources, lake = tmp_path / "enc", tmp_path / "src", tmp_path / "lake"
    encodes.mkdir()
    sources.mkdir()
    (sources / "clip.mp4").write_bytes(source.read_bytes())
    encode(encodes / "clip_crf20.mp4", range(60), crf=20)
    encode(encodes / "clip_crf45.mp4", range(60), crf=45)
    command = [encodes, "-r", sources, "-m", "psnr_y", "--out", lake]
    code, output = invoke(*command, "--fail-under", "psnr_y=34")
    assert code == 3 and "known already" not in output
    code, output = invoke(*command)
    assert code == 0 and output.count("known already") == 2
    (encodes / "clip_bad.mp4").write_text("no media")
    code, output = invoke(*command, "--fail-under", "psnr_y=34")
    assert code == 1 and "failed" in output
    files = Lake.open(lake).table("files", ["analyzer", "psnr_y_mean", "psnr_y_p5"], where="psnr_y_mean IS NOT NULL")
    assert files.num_rows == 2
    frames = Lake.open(lake).table("frames", ["psnr_y", "reference_index"])
    assert frames["psnr_y"].null_count < frames.num_rows and frames["reference_index"].null_count < frames.num_rows


def test_pairs_by_name(tmp_path: Path) -> None:
    for folder, names in (("e", ["tears_1080p_v2.mp4", "tears.mkv"]), ("s", ["tears.mov", "tears_1080p.mov", "x.mov"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / name).touch()
    found = {p.distorted.name: p.reference.name for p in find_pairs(tmp_path / "e", tmp_path / "s")}
    assert found == {"tears_1080p_v2.mp4": "tears_1080p.mov", "tears.mkv": "tears.mov"}
    (tmp_path / "e" / "other.mp4").touch()
    with pytest.raises(InvalidValue, match=r"other\.mp4.*--pairs"):
        find_pairs(tmp_path / "e", tmp_path / "s")


def test_pairs_from_a_table(tmp_path: Path) -> None:
    listed = tmp_path / "pairs.csv"
    listed.write_text("distorted,reference\nenc/a.mp4,src/b.mov\n")
    (pair,) = read_pairs(listed)
    assert (pair.distorted, pair.reference) == (tmp_path / "enc/a.mp4", tmp_path / "src/b.mov")
    listed.write_text("a,b\n1,2\n")
    with pytest.raises(InvalidValue, match="columns distorted and reference"):
        read_pairs(listed)


def test_bad_use_is_refused_before_anything_is_decoded(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="limit"):
        invoke(source, "-r", source, "--fail-under", "vmaf")
    with pytest.raises(InvalidValue, match="name an encode"):
        invoke("-r", source)
    with pytest.raises(InvalidValue, match="scale_to"):
        score(source, source, ["psnr_y"], scale_to="huge")
    for option in ("--json", "--csv", "--parquet", "--html"):
        with pytest.raises(InvalidValue, match="cannot be written: there is no folder"):
            invoke(source, "-r", source, "-m", "psnr_y", option, tmp_path / "none" / "o")
    with pytest.raises(InvalidValue, match="at most 67,108,864 are compared"):
        score(source, source, ["psnr_y"], scale_to="99999x99999")
    with pytest.raises(InvalidValue, match="device 'cudaa' must be auto, cpu or cuda"):
        invoke(source, "-r", source, "-m", "psnr_y", "--device", "cudaa")
    (tmp_path / "d.yuv").write_bytes(bytes(100))
    with pytest.raises(InvalidValue, match=r"d\.yuv: raw video has no header.*--size"):
        invoke(tmp_path / "d.yuv", "-r", source, "-m", "psnr_y")
    with pytest.raises(InvalidValue, match=r"none\.csv: cannot be read: No such file or directory$"):
        invoke("--pairs", tmp_path / "none.csv")


def test_low_values_are_gated_from_above(source: Path, tmp_path: Path) -> None:
    distorted = encode(tmp_path / "d.mp4", range(60), crf=40)
    command = [distorted, "-r", source, "-m", "psnr"]
    with pytest.raises(InvalidValue, match=r"--fail-over mean:mse_y=0\.1"):
        invoke(*command, "--fail-under", "mse_y=0.1")
    assert invoke(*command, "--fail-over", "mse_y=0.1")[0] == 0
    code, output = invoke(*command, "--fail-over", "p5:mse_y=1e-9")
    assert code == 3 and "missed: d.mp4: p5:mse_y<=1e-09" in output
    result = score(distorted, source, ["mse_y"])
    assert result["mse_y"].percentiles[5] > result["mse_y"].median > result["mse_y"].percentiles[95]
    assert result.worst[0].value == result["mse_y"].max
    times = sorted(w.pts_seconds for w in result.worst)
    assert len(times) > 1 and min(np.diff(times)) >= 0.5 - 1e-6


def test_pairs_of_a_table_are_scored_by_the_command(source: Path, tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", range(60), crf=30)
    encode(tmp_path / "b.mp4", range(10, 60), crf=45)
    listed = tmp_path / "pairs.csv"
    listed.write_text(f"distorted,reference\na.mp4,{source}\nb.mp4,{source}\nnone.mp4,{source}\n")
    code, output = invoke("--pairs", listed, "-m", "psnr_y", "--json", tmp_path / "all.json")
    assert code == 1 and "none.mp4" in output
    made = json.loads((tmp_path / "all.json").read_text())
    assert [len(p.get("frames", [])) for p in made] == [60, 50, 0] and made[2]["error"]


def test_another_backend_gives_the_same_output(source: Path, tmp_path: Path) -> None:
    pytest.importorskip("imageio_ffmpeg")
    distorted = encode(tmp_path / "d.mp4", range(5, 60), crf=40)
    ours, theirs = (score(distorted, source, ["psnr", "ssim"], backend=b) for b in ("mediaml", "libvmaf"))
    a, b = score_dict(ours), score_dict(theirs)
    assert a.keys() == b.keys() and "libvmaf" in b["backend"] and a["backend"] == "mediaml"
    assert [f["reference_frame"] for f in a["frames"]] == [f["reference_frame"] for f in b["frames"]]
    for name in ("psnr_y", "psnr_611", "mse_u", "ssim"):
        assert theirs.frames[name] == pytest.approx(ours.frames[name], abs=2e-5)
    with pytest.raises(InvalidValue, match="does not give xpsnr"):
        score(distorted, source, ["xpsnr"], backend="libvmaf")


@pytest.mark.parametrize(("kind", "tolerance"), [("gray", 2e-5), ("gray10le", 2e-5), ("yuv420p9le", 2e-5)])
def test_formats_that_libvmaf_lacks_are_sent_as_others(tmp_path: Path, kind: str, tolerance: float) -> None:
    pytest.importorskip("imageio_ffmpeg")
    rng = np.random.default_rng(2)
    depth = {"gray": 8, "gray10le": 10, "yuv420p9le": 9}[kind]
    raw = RawFormat(64, 48, kind, Fraction(25))
    count = raw.frame_bytes // (1 if depth == 8 else 2)
    files = []
    for name, noise in (("ref", 0), ("dist", 1 << (depth - 4))):
        codes = np.linspace(0, (1 << depth) - 1, 3 * count) + rng.integers(0, noise + 1, 3 * count)
        clipped = codes.clip(0, (1 << depth) - 1).astype(np.uint8 if depth == 8 else np.uint16)
        files.append(tmp_path / f"{name}.yuv")
        files[-1].write_bytes(clipped.tobytes())
    ours, theirs = (
        score(files[1], files[0], ["psnr", "ssim"], raw=raw, align=False, backend=b) for b in ("mediaml", "libvmaf")
    )
    assert ("psnr_u" in ours.pooled) == ("psnr_u" in theirs.pooled) == (not kind.startswith("gray"))
    for name in theirs.pooled:
        assert theirs.frames[name] == pytest.approx(ours.frames[name], abs=tolerance), name


@pytest.mark.weights
@pytest.mark.data
def test_any_libvmaf_model_by_its_path(source: Path, tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "vmaf-models/Netflix+vmaf/model"
    distorted = encode(tmp_path / "d.mp4", range(12), crf=40)
    code, output = invoke(
        distorted, "-r", source, "-m", f"{folder}/vmaf_v0.6.1.json,{folder}/vmaf_v0.6.1.json?transform=1,vmaf:vmaf_v0.6.1neg",
        "--json", tmp_path / "o.json", "--fail-under", "vmaf_v0_6_1neg=99",
    )  # fmt: skip
    assert code == 3 and "vmaf_v0_6_1 " in output and "missed: d.mp4: mean:vmaf_v0_6_1neg=99" in output
    made = json.loads((tmp_path / "o.json").read_text())
    built_in = score(distorted, source, ["vmaf", "vmaf_phone", "vmaf_neg"])
    for ours, known in (("vmaf_v0_6_1", "vmaf"), ("vmaf_v0_6_1_phone", "vmaf_phone"), ("vmaf_v0_6_1neg", "vmaf_neg")):
        assert made["pooled_metrics"][ours]["mean"] == pytest.approx(built_in[known].mean, abs=1e-9)
    (model,) = made["conventions"]["vmaf_v0_6_1"]["models"].values()
    assert model == hashlib.sha256((folder / "vmaf_v0.6.1.json").read_bytes()).hexdigest()
    assert made["data_range"] == "limited, codes 0..255 (8 bit)"
    with pytest.raises(WeightsAbsent, match="no such VMAF model file"):
        score(distorted, source, [str(tmp_path / "none.json")])
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(WeightsCorrupt, match=r"bad\.json"):
        score(distorted, source, [str(tmp_path / "bad.json")])
    with pytest.raises(UnknownName, match=r"did you mean vmaf_v0\.6\.1neg"):
        score(distorted, source, ["vmaf:vmaf_v0.6.1ne"])


def test_metrics_are_listed_with_their_conventions() -> None:
    code, output = invoke("--metrics", "list")
    lines = output.splitlines()
    assert code == 0 and any(line.startswith("ssim:piq ") for line in lines)
    assert any(line.startswith("vmaf_neg ") for line in lines) and not any(line.startswith("siti") for line in lines)


def test_shots_are_found_and_the_worst_is_named(source: Path, tmp_path: Path) -> None:
    other = [255 - picture(i) for i in range(40)]
    sharp = write(tmp_path / "two.mp4", [*(picture(i) for i in range(40)), *other], crf=1)
    noisy = [p.copy() for p in other]
    for p in noisy:
        p[:HEIGHT] = np.round(p[:HEIGHT].astype(float) / 48).clip(0, 5) * 48
    worse = write(tmp_path / "worse.mp4", [*(picture(i) for i in range(40)), *noisy], crf=1)
    code, output = invoke(worse, "-r", sharp, "-m", "psnr_y", "--no-align")
    assert code == 0 and "worst shot by psnr_y" in output and "1.60 to 3.20 s" in output
    assert "worst shot" not in invoke(worse, "-r", sharp, "-m", "psnr_y", "--no-align", "--shots", "none")[1]
    with pytest.raises(UnknownName, match="did you mean fast"):
        invoke(worse, "-r", sharp, "--shots", "fst")


def test_no_backend_says_where_was_looked(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mediaml.engine.score import libvmaf

    monkeypatch.setattr(libvmaf, "_PLACES", {"MEDIAML_FFMPEG": lambda: "/nowhere/ffmpeg", "PATH": lambda: None})
    with pytest.raises(InvalidValue, match=r"MEDIAML_FFMPEG: /nowhere/ffmpeg does not run.*PATH: none"):
        score(source, source, ["psnr_y"], backend="libvmaf")

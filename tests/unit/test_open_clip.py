"""open_clip models: the same vectors as open_clip's own forward pass, from the shared decode, with checkpoints made here."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import mediaml
from mediaml.analyzers.base import registry, select
from mediaml.analyzers.embed import open_clip as embedder
from mediaml.analyzers.embed.open_clip import open_clip_analyzer, open_clip_net, parse, text_tower
from mediaml.engine.embedding import embedder_name
from mediaml.engine.runner import analyzer_hash
from mediaml.errors import InvalidValue, UnknownName, UsageError, WeightsAbsent, WeightsCorrupt, WeightsError
from mediaml.frames import Colour
from mediaml.nets.checkpoint import read_checkpoint
from mediaml.nets.open_clip_net import matching_architectures
from tests.clips import make_clip
from tests.contract.inputs import clip as source_of
from tests.contract.running import assert_same
from tests.contract.test_conformance import groups, show
from tests.open_clip_lab import reference, tiny

SQUASH = {"resize_mode": "squash", "interpolation": "bilinear", "mean": [0.5, 0.4, 0.3], "std": [0.3, 0.2, 0.1]}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(tmp_path_factory.mktemp("models") / "tiny")


def waves(index: int, width: int = 208, height: int = 120) -> np.ndarray:
    """Detail at several scales, so that resampling matters."""
    y, x = np.mgrid[0:height, 0:width]
    parts = [np.sin(x / p + index) * np.cos(y / (p + 2)) for p in (2, 5, 13)]
    return np.stack([127 + 60 * p + 50 * parts[0] for p in parts], -1).clip(0, 255).astype(np.uint8)


def own_vectors(folder: Path, pictures: list[np.ndarray], precision: str = "fp32") -> torch.Tensor:
    """What open_clip gives by hand for RGB pictures."""
    model, transform = reference(folder, precision)
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.no_grad():
        batch = torch.stack([transform(Image.fromarray(p)) for p in pictures]).to(dtype)
        return model.encode_image(batch, normalize=True).float()


def decoded(path: Path) -> list[np.ndarray]:
    """RGB pictures of every 25th frame by PyAV, as someone would who uses open_clip by hand."""
    with av.open(str(path)) as container:
        frames = [f for i, f in enumerate(container.decode(video=0)) if i % 25 == 0]
    return [f.to_ndarray(format="rgb24") for f in frames]


def cosines(found: Any, wanted: torch.Tensor) -> torch.Tensor:
    return (torch.as_tensor(found) * wanted).sum(1)


@pytest.mark.parametrize("preprocess", [{}, SQUASH, {"resize_mode": "longest"}], ids=["shortest", "squash", "longest"])
def test_frames_of_a_clip_give_open_clips_own_vectors(tmp_path: Path, preprocess: dict[str, Any]) -> None:
    path = tiny(tmp_path / "model", preprocess=preprocess)
    clip = make_clip(tmp_path / "a.mkv", waves, 50, codec="ffv1", pix_fmt="bgr0")
    (batch,) = mediaml.embed(clip, f"open_clip:@{path}", level="frame")
    assert batch.error is None and batch.start_seconds.tolist() == [0.0, 1.0]
    wanted = own_vectors(path.parent, [waves(0), waves(25)])
    assert cosines(batch.values, wanted).min() > 0.999
    assert np.linalg.norm(batch.values, axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.data
def test_real_frames_give_open_clips_own_vectors(shared_data: Path, checkpoint: Path) -> None:
    clips = sorted(shared_data.rglob("nasa_13013.mp4")) + sorted(shared_data.rglob("bt709_full_range.mp4"))
    for clip in clips:
        (batch,) = mediaml.embed(clip, f"open_clip:@{checkpoint}?fps=0.5", level="frame")
        with av.open(str(clip)) as container:
            by_time = {round(float(f.time), 3): f for f in container.decode(video=0)}
        first = min(by_time)
        times = [min(by_time, key=lambda t, s=s: abs(t - first - s)) for s in batch.start_seconds]
        pictures = [by_time[t].to_ndarray(format="rgb24") for t in times]
        assert cosines(batch.values, own_vectors(checkpoint.parent, pictures)).min() > 0.999, clip


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_other_precisions_are_open_clips_and_a_space_of_their_own(checkpoint: Path, precision: str) -> None:
    choice = parse(f"open_clip:@{checkpoint}?precision={precision}")
    net = open_clip_net(choice)
    pictures = [waves(0, 64, 64), waves(9, 64, 64)]
    found = net.images(torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2))
    assert found.dtype == torch.float32
    assert cosines(found, own_vectors(checkpoint.parent, pictures, precision)).min() > 0.9999
    assert choice.space.endswith(f"?precision={precision}")
    assert choice.name != parse(f"open_clip:@{checkpoint}").name


def test_texts_are_open_clips_own_and_templates_are_averaged(checkpoint: Path) -> None:
    net = open_clip_net(parse(f"open_clip:@{checkpoint}"))
    model, _ = reference(checkpoint.parent)
    tokens = open_clip.get_tokenizer(f"local-dir:{checkpoint.parent}")
    with torch.no_grad():
        plain, photo = (model.encode_text(tokens(t), normalize=True) for t in (["a dog"], ["a photo of a dog"]))
    assert cosines(net.texts(["a dog"]), plain) == pytest.approx(1, abs=1e-5)
    longer = ["a dog", "a dog and a cat " * 40]  # the second is cut off at the context's 77 places
    with torch.no_grad():
        wanted = model.encode_text(tokens(longer), normalize=True)
    assert torch.allclose(net.texts(longer), wanted, atol=1e-6)
    both = torch.nn.functional.normalize(plain + photo, dim=1)
    assert cosines(net.texts(["a dog"], ["{}", "a photo of {}"]), both) == pytest.approx(1, abs=1e-5)


def test_settings_and_weights_are_in_the_key(checkpoint: Path, tmp_path: Path) -> None:
    address = f"open_clip:@{checkpoint}"
    keys = {
        analyzer_hash(open_clip_analyzer(a)())
        for a in (
            address,
            f"{address}?fps=2",
            f"{address}?precision=bf16",
            f"open_clip:@{tiny(tmp_path / 'b', seed=1)}",
        )
    }
    assert len(keys) == 4
    moved = tmp_path / "elsewhere" / checkpoint.parent.name
    moved.mkdir(parents=True)
    for file in checkpoint.parent.iterdir():
        (moved / file.name).write_bytes(file.read_bytes())
    assert analyzer_hash(open_clip_analyzer(f"open_clip:@{moved / checkpoint.name}")()) in keys
    assert open_clip_analyzer(address) is select([address])[0]


def test_a_new_model_is_added_beside_the_old(checkpoint: Path, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "a.mkv", waves, 26)
    other = tiny(tmp_path / "other", seed=2)
    for path in (checkpoint, other, checkpoint):
        lake = mediaml.analyze(clip, tmp_path / "lake", analyzers=[f"open_clip:@{path}"], workers=0)
    found = lake.query("SELECT model, weights_sha256, count(*) n FROM embeddings WHERE scope = 'frame' GROUP BY ALL")
    assert found.num_rows == 2 and set(found.column("n").to_pylist()) == {2}
    assert all(m.startswith("open_clip:") for m in found.column("model").to_pylist())
    assert len(set(found.column("weights_sha256").to_pylist())) == 2
    pooled = lake.query("SELECT pooling, scope, vector FROM embeddings WHERE scope = 'file'").to_pylist()
    assert len(pooled) == 2 and {p["pooling"] for p in pooled} == {"mean of frames"}
    assert [float(np.linalg.norm(p["vector"])) for p in pooled] == pytest.approx([1, 1], abs=1e-5)


def test_embedding_without_a_lake_keeps_going_past_bad_files(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "bad.mp4").write_bytes(b"not media at all" * 99)
    Image.fromarray(waves(0)).save(tmp_path / "media" / "still.png")
    batches = list(mediaml.embed(tmp_path / "media", f"@{checkpoint}", level="frame", arrays="torch"))
    assert embedder_name("clip-vit-b-32") == "open_clip:ViT-B-32/laion2b_s34b_b79k"
    for wrong, message in (("shots_transnetv2", "is not one embedding model"), ("lite1", "embed_lite0")):
        with pytest.raises(UsageError, match=message):
            mediaml.embed(tmp_path, wrong)
    by_name = {Path(b.path).name: b for b in batches}
    bad, still = by_name["bad.mp4"], by_name["still.png"]
    assert bad.error is not None and len(bad) == 0 and bad.values.shape == (0, 32)
    assert isinstance(still.values, torch.Tensor) and len(still) == 1 and len(still.media_id) == 64
    wanted = own_vectors(checkpoint.parent, [waves(0)])
    assert cosines(still.values, wanted).min() > 0.999


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        ("open_clip:ViT-B-23/openai", UnknownName, "did you mean ViT-B-32"),
        ("open_clip:ViT-B-32/laion2b_s34b_b97k", UnknownName, "did you mean laion2b_s34b_b79k"),
        ("open_clip:ViT-B-32/openai?precision=fp8", UnknownName, "unknown precision 'fp8'"),
        ("open_clip:ViT-B-32/openai?size=3", UnknownName, "unknown setting"),
        ("open_clip:ViT-B-32/openai?fps=0", InvalidValue, r"fps '0' must be a number in \(0, 1000\]"),
        ("open_clip:ViT-B-32/@gone.safetensors", WeightsAbsent, "is not a file"),
        ("blip:base", UnknownName, "unknown family of analyzers 'blip'"),
    ],
)
def test_addresses_that_cannot_be(address: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        select([address])


def test_absent_weights_name_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDIAML_WEIGHTS", str(tmp_path / "weights"))
    with pytest.raises(WeightsAbsent, match="mediaml weights pull open_clip:ViT-B-32/laion2b_s34b_b79k"):
        mediaml.embed(tmp_path, "open_clip:ViT-B-32/laion2b_s34b_b79k", level="frame")


class Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


def test_unsafe_truncated_and_foreign_checkpoints_are_refused(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"state_dict": {"a": Payload()}}, "evil.pt")
    Path("cut.safetensors").write_bytes(checkpoint.read_bytes()[:-1000])
    torch.save(load_file(checkpoint), "good.pt")
    Path("cut.pt").write_bytes(Path("good.pt").read_bytes()[:5000])
    Path("text.pt").write_text("hello, I am no checkpoint")
    torch.save([1, 2], "list.pt")
    for name, error, message in (
        ("evil.pt", WeightsCorrupt, "refused: a pickle that holds more than tensors"),
        ("cut.safetensors", WeightsCorrupt, "truncated"),
        ("cut.pt", WeightsCorrupt, "cut.pt: damaged, truncated or not a checkpoint"),
        ("text.pt", WeightsCorrupt, "text.pt"),
        ("list.pt", WeightsError, "no tensors by name"),
    ):
        with pytest.raises(error, match=message):
            read_checkpoint(Path(name))
    assert not Path("pwned").exists()
    assert read_checkpoint(Path("good.pt")).keys() == read_checkpoint(checkpoint).keys()
    with pytest.raises(WeightsError, match=r"not a checkpoint of open_clip ViT-B-32: .*tensors missing"):
        mediaml.embed(tmp_path, f"open_clip:ViT-B-32/@{checkpoint}", level="frame")
    finer = tiny(tmp_path / "finer", patch_size=8)
    beside = tmp_path / "finer" / "other.safetensors"
    beside.write_bytes(checkpoint.read_bytes())  # the same names, other shapes
    with pytest.raises(
        WeightsError, match=r"0 tensors missing, 0 unknown, 2 of other shapes \(visual\.conv1\.weight is"
    ):
        mediaml.embed(tmp_path, f"open_clip:@{beside}", level="frame")
    assert finer.is_file()
    with pytest.raises(InvalidValue, match=r"no open_clip_config\.json beside it.*open_clip:MODEL/@"):
        parse("@good.pt".replace("@", "open_clip:@"))


def test_an_architecture_is_told_by_its_tensors() -> None:
    with torch.device("meta"):
        model = open_clip.create_model("ViT-B-16", device="meta", load_weights=False)
    assert "ViT-B-16" in matching_architectures(model.state_dict())
    assert "ViT-B-32" not in matching_architectures(model.state_dict())


def test_a_text_tower_must_be_of_the_stored_weights(checkpoint: Path) -> None:
    choice = parse(f"open_clip:@{checkpoint}")
    with pytest.raises(InvalidValue, match="name it: --model"):
        text_tower(choice.space, "0" * 64)
    with pytest.raises(WeightsError, match="two spaces are not comparable"):
        text_tower(choice.space, "0" * 64, choice.address)


def test_a_tokenizer_of_another_package_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        UsageError, match=r"pip install 'mediaml\[transformers\]'.*Pictures of this model need nothing more"
    ):
        embedder.tokenizer(parse("open_clip:ViT-B-16-SigLIP/webli").arch)


def test_the_analyzer_keeps_the_contract(checkpoint: Path) -> None:
    """The conformance suite's rules, for a member of a family: it is in no registry."""
    analyzer = open_clip_analyzer(f"open_clip:@{checkpoint}")()
    assert analyzer.spec.name not in registry()
    analyzer.setup(torch.device("cpu"))
    source = source_of(7)
    whole = show(analyzer, source)
    for grouping in (groups(7, 1), groups(7, 3)):
        assert_same(whole, show(analyzer, source, grouping))
    show(analyzer, source_of(4, 96, 64, seed=9))
    assert_same(whole, show(analyzer, source), exact=True)
    pq = Colour("bt2020nc", "limited", "smpte2084", "bt2020")
    sizes = [source_of(1), source_of(2, 53, 37), source_of(2, 1, 1), source_of(2, 37, 300)]
    for awkward in (*sizes, source_of(2, black=True), source_of(2, bit_depth=10, colour=pq)):
        show(analyzer, awkward)

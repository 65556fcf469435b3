"""CLAP: log-mels and vectors are transformers' own; windows, search by words, refusals."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="transformers is not installed: pip install 'mediaml[clap]'")

from mediaml.analyzers.base import select
from mediaml.analyzers.embed import clap
from mediaml.errors import InvalidValue, WeightsAbsent, WeightsCorrupt
from mediaml.nets.clap import ClapNet, LogMel, front_end
from mediaml.spec import Table
from tests import clap_lab
from tests.audio_blocks import analyzed, noise

RATE = 48000


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("seconds", [1.0, 0.3])
def test_log_mels_and_vectors_are_transformers_own(tmp_path: Path, fused: bool, seconds: float) -> None:
    from transformers import ClapFeatureExtractor

    model = clap_lab.tiny(tmp_path, fused=fused)
    samples = noise(seconds, RATE, 1)
    theirs = ClapFeatureExtractor.from_pretrained(str(tmp_path))(samples[0], sampling_rate=RATE, return_tensors="pt")
    mel = LogMel(front_end(tmp_path))(torch.from_numpy(samples))
    torch.testing.assert_close(mel, theirs["input_features"].float(), atol=5e-3, rtol=0)  # dB
    with torch.inference_mode():
        wanted = model.get_audio_features(theirs["input_features"].float(), is_longer=torch.tensor([[False]]))
    ours = ClapNet(tmp_path).sounds(torch.from_numpy(samples))
    torch.testing.assert_close(ours, wanted.pooler_output, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("config.json", {"projection_dim": "many"}),
        ("config.json", {"projection_dim": 10**9}),
        ("config.json", {"audio_config": {"hidden_size": 4096, "patch_embeds_hidden_size": 4096}}),
        ("config.json", {"text_config": {"num_attention_heads": 0}}),
        ("preprocessor_config.json", {"sampling_rate": float("inf")}),
        ("preprocessor_config.json", {"feature_size": 10**8}),
        ("preprocessor_config.json", {"frequency_max": float("nan")}),
        ("preprocessor_config.json", {"hop_length": 0}),
    ],
)
def test_folders_that_make_no_sense_are_refused(tmp_path: Path, name: str, changes: dict) -> None:
    clap_lab.tiny(tmp_path)
    given = json.loads((tmp_path / name).read_text("utf-8"))
    for key, value in changes.items():
        given[key] = {**given[key], **value} if isinstance(value, dict) else value
    (tmp_path / name).write_text(json.dumps(given), "utf-8")
    with pytest.raises(WeightsCorrupt, match=re.escape(tmp_path.name)):
        ClapNet(tmp_path)


def test_deep_json_and_a_broken_tokenizer_are_refused(tmp_path: Path) -> None:
    clap_lab.tiny(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}", "utf-8")
    with pytest.raises(WeightsAbsent, match="tokenizer"):
        ClapNet(tmp_path).texts(["rain"])
    (tmp_path / "config.json").write_text("[" * 200_000, "utf-8")
    with pytest.raises(WeightsCorrupt, match="JSON"):
        ClapNet(tmp_path)


def test_texts_are_transformers_own(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = clap_lab.tiny(tmp_path)
    texts = ["dog barking", "rain falls on a roof"]
    tokens = AutoTokenizer.from_pretrained(str(tmp_path))(texts, padding=True, return_tensors="pt")
    with torch.inference_mode():
        wanted = model.get_text_features(tokens["input_ids"], attention_mask=tokens["attention_mask"]).pooler_output
    torch.testing.assert_close(ClapNet(tmp_path).texts(texts), wanted, atol=1e-5, rtol=0)


def test_windows_and_their_mean(tmp_path: Path) -> None:
    clap_lab.tiny(tmp_path)
    (cls,) = select([f"clap:@{tmp_path}"])
    sound = noise(2.7, RATE, 1)
    analyzer = cls()
    analyzer.setup(torch.device("cpu"))
    rows = analyzed(analyzer, sound, RATE)[Table.EMBEDDINGS]
    assert rows["scope"] == ["window", "window", "window", "file"]
    assert rows["start_seconds"] == pytest.approx([0, 1, 2, 0]) and rows["end_seconds"][2] == pytest.approx(2.7)
    own = ClapNet(tmp_path).sounds(torch.from_numpy(sound[:, RATE : 2 * RATE]))[0].numpy()
    np.testing.assert_allclose(rows["vector"][1], own, atol=1e-6)
    assert rows["model"][0].startswith("clap:") and len(rows["vector"][3]) == 24


def test_words_find_sounds(tmp_path: Path) -> None:
    import mediaml
    from tests.audio_blocks import write_sound

    folder, media, lake = tmp_path / "net", tmp_path / "media", tmp_path / "lake"
    clap_lab.tiny(folder)
    media.mkdir()
    for k, name in enumerate(("a.wav", "b.wav")):
        write_sound(media / name, noise(2.0, RATE, 1, seed=k) * (0.01, 0.5)[k], RATE)
    address = f"clap:@{folder}"
    mediaml.analyze(media, out=lake, analyzers=[address], workers=1)
    found = mediaml.search(lake, "dog barking", model=address)
    assert {Path(h.path).name for h in found.hits} == {"a.wav", "b.wav"} and len(found.hits) == 4
    assert [h.score for h in found.hits] == sorted((h.score for h in found.hits), reverse=True)
    words = ClapNet(folder).texts(["dog barking"])[0].numpy()
    vectors = mediaml.Lake.open(lake).query("select vector from embeddings where scope = 'window'").to_pylist()
    assert found.hits[0].score == pytest.approx(max(np.dot(v["vector"], words) for v in vectors), abs=1e-5)
    with pytest.raises(InvalidValue, match="--model clap:@FOLDER"):
        mediaml.search(lake, "dog barking")


def test_folders_that_hold_no_clap_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="folder of your own"):
        select(["clap:laion/clap"])
    with pytest.raises(WeightsAbsent, match="not a folder"):
        select([f"clap:@{tmp_path}/absent"])
    clap_lab.tiny(tmp_path)
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (pickled / name).write_bytes((tmp_path / name).read_bytes())
    (pickled / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    with pytest.raises(WeightsAbsent, match="pickled weights"):
        select([f"clap:@{pickled}"])
    (pickled / "model.safetensors").write_bytes((tmp_path / "model.safetensors").read_bytes()[:5000])
    (cls,) = select([f"clap:@{pickled}"])
    with pytest.raises(WeightsCorrupt):
        cls().check()
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    clap.clap_analyzer.cache_clear()
    with pytest.raises(WeightsCorrupt, match="'clip'"):
        select([f"clap:@{tmp_path}"])

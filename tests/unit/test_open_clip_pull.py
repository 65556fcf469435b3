"""Weights of open_clip's list through the one door: a hub played by a server on this machine."""

from __future__ import annotations

import errno
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import huggingface_hub
import pytest

from mediaml import weights
from mediaml.errors import LicenceNotAccepted, UnknownName, WeightsAbsent, WeightsCorrupt, WeightsUnavailable
from tests.unit.test_weights_hub import COMMIT, Hub, hub, play_at
from tests.weights_lab import CONTENT, Listener, sha256

__all__ = ["hub"]

NAME = "open_clip:ViT-B-32/laion400m_e32"
MANIFEST = "open_clip:ViT-B-32/laion2b_s34b_b79k"
UNPINNED = "open_clip:ViT-B-32/datacomp_xl_s13b_b90k"


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MEDIAML_WEIGHTS", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_any_pair_of_the_list_is_a_weight() -> None:
    made_up = weights.describe("open_clip:RN50/openai")
    assert not made_up.pinned and not made_up.commercial_use and made_up.licence == "LicenseRef-see-model-page"
    assert made_up.pull_command == "mediaml weights pull open_clip:RN50/openai --accept-licence"
    of_manifest = weights.describe(MANIFEST)
    assert of_manifest.name == "clip_vit_b_32" == weights.describe("clip-vit-b-32").name
    assert of_manifest.licence == "MIT" and of_manifest.pull_command == "mediaml weights pull clip_vit_b_32"
    with pytest.raises(UnknownName, match="did you mean ViT-B-32"):
        weights.describe("open_clip:ViT-B-33/openai")
    with pytest.raises(LicenceNotAccepted, match="--accept-licence"):
        weights.pull(["open_clip:RN50/openai"])


@pytest.mark.parametrize("entry", [w for w in weights.entries() if w.open_clip], ids=lambda w: w.name)
def test_joint_models_of_the_manifest_are_pinned_and_anything_else_is_refused(
    hub: Hub, entry: weights.WeightEntry
) -> None:
    assert entry.pinned
    with pytest.raises(WeightsAbsent, match=f"mediaml weights pull {entry.name}"):
        weights.resolve(f"open_clip:{entry.open_clip}")
    with pytest.raises(WeightsCorrupt, match=rf"expected {entry.sha256} from the manifest; nothing was kept"):
        weights.pull([entry.name], progress=Listener(), accept_licence=True)
    assert any(f"/{entry.source.repo}/resolve/" in p for p in hub.paths)  # type: ignore[union-attr]
    with pytest.raises(WeightsAbsent):
        weights.resolve(f"open_clip:{entry.open_clip}")


def test_the_first_pull_records_what_came_and_later_ones_must_match(hub: Hub) -> None:
    pulled = weights.pull([UNPINNED], progress=Listener())[0]
    assert pulled.first_use and pulled.sha256 == sha256(CONTENT) == weights.identity_sha256(UNPINNED)
    assert weights.resolve(UNPINNED).read_bytes() == CONTENT
    assert any(f"/laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K/resolve/{COMMIT}/" in p for p in hub.paths)
    assert not weights.pull([UNPINNED], progress=Listener())[0].fetched
    weights.resolve(UNPINNED).unlink()
    hub.content = CONTENT[::-1]
    with pytest.raises(WeightsCorrupt, match="first use here"):
        weights.pull([UNPINNED], progress=Listener())
    with pytest.raises(WeightsAbsent):
        weights.resolve(UNPINNED)


def test_a_repository_without_safetensors_gives_its_older_file(hub: Hub) -> None:
    plain = hub.answer

    def answer(request: BaseHTTPRequestHandler, body: bool) -> None:
        hub.refusal = (404, "EntryNotFound") if request.path.endswith(".safetensors") else None
        plain(request, body)

    hub.answer = answer  # type: ignore[method-assign]
    assert weights.pull([UNPINNED], progress=Listener())[0].path.read_bytes() == CONTENT
    assert any(p.endswith("open_clip_pytorch_model.bin") for p in hub.paths if p.startswith("GET"))


def test_a_download_that_is_cut_leaves_nothing_and_can_be_tried_again(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = hub.answer

    def cut(request: BaseHTTPRequestHandler, body: bool) -> None:
        if not body:
            plain(request, body)
            return
        request.send_response(200)
        request.send_header("ETag", f'"{sha256(CONTENT)}"')
        request.send_header("X-Repo-Commit", COMMIT)
        request.send_header("Content-Length", str(len(CONTENT)))
        request.end_headers()
        request.wfile.write(CONTENT[:1000])
        request.close_connection = True

    monkeypatch.setattr("time.sleep", lambda _: None)  # the library waits between its own attempts
    hub.answer = cut  # type: ignore[method-assign]
    with pytest.raises(WeightsUnavailable, match=r"cannot be reached|not there"):
        weights.pull([UNPINNED], progress=Listener())
    with pytest.raises(WeightsAbsent):
        weights.resolve(UNPINNED)
    hub.answer = plain  # type: ignore[method-assign]
    assert weights.pull([UNPINNED], progress=Listener())[0].sha256 == sha256(CONTENT)


def test_offline_and_a_full_disk_say_what_to_do(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(WeightsUnavailable, match=r"no space left at .*MEDIAML_WEIGHTS"):
        weights.pull([UNPINNED], progress=Listener())
    monkeypatch.undo()
    play_at(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(WeightsUnavailable, match=rf"cannot be reached.*mediaml weights pull {NAME} .*--from FILE"):
        weights.pull([NAME], accept_licence=True)

"""Training media: the list of pictures, clips, encodes, pairs, and a few steps of training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from mediaml.errors import InvalidValue, WeightsCorrupt
from mediaml.frames import Planes
from mediaml.nets.mediaml_sr import MediamlSr, StrengthEstimator, lanczos_x2
from mediaml.restore.luma import LumaEnlarger
from mediaml.restore.models import Where, load_model
from mediaml.restore.strength import StrengthTrack, exported_strength
from pipelines.sr_training.evaluation import coded_scores, still_psnr
from pipelines.sr_training.pairs import Pairs, downscaled, strength_of
from pipelines.sr_training.training import save, train
from pipelines.training_media import debian_packages, pictures
from pipelines.training_media.camera_motion import clip
from pipelines.training_media.drawings import drawing
from pipelines.training_media.encodes import as_viewed, encode, rgb_to_planes

SIZE = (96, 64)


def test_every_listed_picture_has_a_licence_and_a_place() -> None:
    everyones = pictures.listed()
    assert len(everyones) >= 50
    assert [p.kind for p in everyones] == sorted((p.kind for p in everyones), reverse=True)
    listed = everyones + pictures.listed(split="added") + pictures.listed(split="test3")
    assert len({p.name for p in listed}) == len({p.sha256 for p in listed}) == len(listed)
    assert {p.licence for p in listed} <= {
        "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CC0-1.0", "GPL-2.0-only", "GPL-2.0-or-later", "GPL-3.0-or-later",
        "LicenseRef-public-domain", "Apache-2.0", "GFDL-1.2-or-later", "MIT",
    }  # fmt: skip
    held = pictures.listed(split="held_out")
    assert held
    assert not {p.name for p in held} & {p.name for p in pictures.listed(split="train")}


def test_a_package_that_is_none_is_refused(tmp_path: Path) -> None:
    fake = tmp_path / "fake.deb"
    fake.write_bytes(b"!<arch>\n" + b"debian-binary   0           0     0     100644  4         `\n2.0\n")
    with pytest.raises(WeightsCorrupt, match=r"no data\.tar"):
        debian_packages.data_tar(fake)


def test_a_picture_that_was_not_fetched_says_what_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(debian_packages.CACHE, str(tmp_path))
    with pytest.raises(InvalidValue, match="fetch"):
        pictures.listed()[0].read()


def test_the_same_seed_gives_the_same_clip() -> None:
    source = [drawing((320, 240), 1), drawing((320, 240), 2)]
    one, again, other = (list(clip(source, SIZE, 4, seed)) for seed in (3, 3, 4))
    assert [f.shape for f in one] == [(64, 96, 3)] * 4
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_moving_camera_moves_smoothly() -> None:
    source = [drawing((640, 480), 5)]
    moving = next(
        f
        for s in range(20)
        if np.abs(np.diff(f := np.array(list(clip(source, SIZE, 5, s, plain=True)), float), axis=0)).mean() > 2
    )
    steps = np.abs(np.diff(moving, axis=0)).mean(axis=(1, 2, 3))
    assert steps.max() < 3 * steps.min()


@pytest.mark.parametrize("codec", ["x264", "svt-av1"])
def test_encodes_are_real_and_worse_at_higher_crf(codec: str) -> None:
    frames = [rgb_to_planes(f) for f in clip([drawing((320, 240), 1)], SIZE, 5, 3)]
    scheduling = os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)
    errors = []
    for crf in (20, 45):
        seen = as_viewed(frames, codec, crf)  # type: ignore[arg-type]
        assert len(seen) == 5
        assert (seen[1].qp is not None) == (codec == "x264")
        errors.append(np.mean([(s.planes[0].astype(float) - f[0]) ** 2 for s, f in zip(seen, frames, strict=True)]))
    assert errors[0] < errors[1]
    assert (os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0)) == scheduling


def test_the_exported_quantizer_is_near_the_crf() -> None:
    frames = [rgb_to_planes(f) for f in clip([drawing((640, 480), 1)], (192, 128), 6, 3)]
    for crf in (22, 34):
        mean = np.mean([s.qp for s in as_viewed(frames, "x264", crf) if s.qp is not None])
        assert abs(mean - crf) < 7
        assert strength_of("x264", crf, mean) == pytest.approx(mean / 51)
    assert strength_of("svt-av1", 63, None) == strength_of("x265", 51, None) == 1.0


def test_bad_frames_are_refused() -> None:
    with pytest.raises(InvalidValue, match="at least one frame"):
        encode([], "x264", 20)
    odd = rgb_to_planes(drawing((34, 34), 0))
    with pytest.raises(InvalidValue, match="even"):
        encode([(odd[0][:33], odd[1], odd[2])], "x264", 20)
    with pytest.raises(InvalidValue, match="cannot be encoded"):
        encode([odd], "h261", 20)  # type: ignore[arg-type]


def pairs() -> Pairs:
    high = np.stack([rgb_to_planes(drawing((128, 128), i))[0] for i in range(12)])
    low = np.stack([downscaled(h) for h in high])
    return Pairs(low, high, np.zeros(12, np.float32), np.full(12, -1), low, np.zeros(12, np.float32))


@pytest.mark.slow
def test_a_few_seconds_of_training_beat_lanczos_on_what_was_seen(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    data = pairs()
    net = train(data, 0.1, tmp_path / "state.pt", channels=16, depth=1, report=lambda *_: None)
    low, high = (torch.from_numpy(p)[:, None].float() / 255 for p in (data.low, data.high))
    with torch.no_grad():
        ours = (net(low, torch.zeros(12)) - high)[..., 4:-4, 4:-4].square().mean()
        base = (lanczos_x2(low) - high)[..., 4:-4, 4:-4].square().mean()
    assert float(ours) < float(base)
    save(net, tmp_path / "both.safetensors", StrengthEstimator())
    found = load_model(tmp_path / "both.safetensors", 2, Where(torch.device("cpu")))
    assert isinstance(found, LumaEnlarger)
    found.net.compute_dtype = torch.float32
    torch.testing.assert_close(found.net(low[:1], torch.zeros(1)), net(low[:1], torch.zeros(1)))


def test_an_untrained_net_scores_as_lanczos(tmp_path: Path) -> None:
    net = MediamlSr(channels=4, depth=1).eval()
    frames = [rgb_to_planes(f) for f in clip([drawing((320, 240), 1)], SIZE, 2, 3)]
    (score,) = coded_scores(net, [("drawn", frames)], [("x264", 26)])
    assert score.gain == pytest.approx(0, abs=1e-6)
    assert still_psnr(net, tmp_path) == {}


def test_strength_is_exported_or_estimated_and_steady() -> None:
    assert exported_strength("h264", 25.5) == 0.5
    assert exported_strength("vp9", 255.0) == 1.0
    assert exported_strength("hevc", 20.0) is None
    assert exported_strength("h264", float("nan")) is None
    estimator = StrengthEstimator()
    track = StrengthTrack(LumaEnlarger("x", MediamlSr(channels=4, depth=1), estimator))
    grey = Planes(torch.randint(256, (1, 1, 64, 64), dtype=torch.uint8), None, None, 8)
    values = [track.next(grey, s) for s in (0.4, 0.8) * 8]
    np.testing.assert_allclose(values[:4], [0.4, 0.6, 1.6 / 3, 0.6])
    assert max(values[8:]) - min(values[8:]) < 0.07
    track.restart()
    assert track.next(grey, None) == pytest.approx(float(estimator(grey.y / 255)[0]), abs=1e-6)

"""One suite over everything registered: what architecture.md's contract promises of every analyzer.

It knows no analyzer by name; a new one is covered by being there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from mediaml import weights
from mediaml.analyzers.base import Analyzer, registry
from mediaml.errors import LicenceNotAccepted, WeightsAbsent
from mediaml.frames import AudioBlock, Colour, FrameBatch, Planes
from mediaml.spec import AudioView, Need, Table
from tests.contract.inputs import AUDIO_RATE, Clip, audio_blocks, clip, frame_batch, media_info, sound
from tests.contract.running import Result, assert_same, run

ALL = list(registry().values())
PICTURES = [c for c in ALL if c.spec.need is not None and not c.spec.need.is_audio]
SOUNDS = [c for c in ALL if c.spec.need is not None and c.spec.need.is_audio]
UNORDERED = [c for c in PICTURES if not c.spec.ordered]


def named(classes: Sequence[type[Analyzer]]) -> Callable[..., object]:
    return pytest.mark.parametrize("cls", classes, ids=[c.spec.name for c in classes])


def ready(cls: type[Analyzer], device: str = "cpu") -> Analyzer:
    """A new object after `setup`; skips where a weight is not on this machine."""
    for name in cls.spec.weights:
        try:
            weights.resolve(name)
        except (WeightsAbsent, LicenceNotAccepted) as error:
            pytest.skip(f"weights: {error}")
    analyzer = cls()
    analyzer.setup(torch.device(device))
    return analyzer


def need_of(analyzer: Analyzer) -> Need:
    assert analyzer.spec.need is not None
    return analyzer.spec.need


def groups(count: int, size: int) -> list[list[int]]:
    return [list(range(i, min(i + size, count))) for i in range(0, count, size)]


def show(
    analyzer: Analyzer, source: Clip, grouping: Sequence[Sequence[int]] | None = None, device: str = "cpu"
) -> Result:
    """The analyzer's result for a clip, in batches of these frames (all in one where none are given)."""
    need = need_of(analyzer)
    grouping = grouping or [range(len(source))]
    batches = (
        to_device(frame_batch(source, need, list(g), reference=analyzer.spec.needs_reference), device) for g in grouping
    )
    return run(analyzer, batches, media_info(source, need))


def play(analyzer: Analyzer, samples: Tensor, sizes: Sequence[int] = (1 << 20,), device: str = "cpu") -> Result:
    """The analyzer's result for sound, in blocks of these sizes."""
    view = need_of(analyzer).view
    assert isinstance(view, AudioView)
    return run(analyzer, with_reference(analyzer, samples, view, sizes, device), media_info(channels=samples.shape[0]))


def with_reference(
    analyzer: Analyzer, samples: Tensor, view: AudioView, sizes: Sequence[int], device: str
) -> Iterator[AudioBlock]:
    pristine = audio_blocks(samples * 0.9, view, sizes)
    for block, original in zip(audio_blocks(samples, view, sizes), pristine, strict=True):
        moved = replace(block, samples=block.samples.to(device))
        if analyzer.spec.needs_reference:
            moved.reference = replace(original, samples=original.samples.to(device))
        yield moved


def to_device(batch: FrameBatch, device: str) -> FrameBatch:
    planes = batch.planes
    if device == "cpu":
        return batch
    return replace(
        batch,
        planes=planes.to(device) if isinstance(planes, Planes) else None,
        views={view: t.to(device) for view, t in batch.views.items()},
        reference=to_device(batch.reference, device) if batch.reference else None,
    )


def rate_of(cls: type[Analyzer]) -> int:
    assert cls.spec.need is not None and isinstance(cls.spec.need.view, AudioView)
    return cls.spec.need.view.sample_rate or AUDIO_RATE


def test_something_is_registered() -> None:
    assert PICTURES and SOUNDS


@named(ALL)
def test_spec_is_complete(cls: type[Analyzer]) -> None:
    spec = cls.spec
    assert spec.need is not None, "an analyzer says what it wants decoded"
    assert spec.summary and spec.cite and spec.groups and spec.cost_ms > 0
    assert bool(spec.kinds) == bool(spec.columns(Table.SPANS) or spec.kinds)
    for name in spec.weights:
        assert weights.describe(name).purpose, f"{name} is not in the manifest"


@named(PICTURES)
def test_picture_values_do_not_depend_on_batch_size(cls: type[Analyzer]) -> None:
    analyzer, source = ready(cls), clip(7)
    whole = show(analyzer, source)
    for size in (1, 3):
        assert_same(whole, show(analyzer, source, groups(len(source), size)))


@named(UNORDERED)
def test_unordered_means_any_grouping(cls: type[Analyzer]) -> None:
    analyzer, source = ready(cls), clip(6)
    assert_same(show(analyzer, source), show(analyzer, source, [[4, 1], [5], [0, 3, 2]]))


@named(PICTURES)
def test_second_file_is_like_the_first(cls: type[Analyzer]) -> None:
    analyzer, source, other = ready(cls), clip(5), clip(4, 96, 64, seed=9)
    first = show(analyzer, source)
    show(analyzer, other)
    assert_same(first, show(analyzer, source), exact=True)


@named(PICTURES)
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(lambda: clip(4, black=True), id="black"),
        pytest.param(lambda: clip(1), id="one-frame"),
        pytest.param(lambda: clip(3, 53, 37), id="odd-53x37"),
        pytest.param(lambda: clip(3, 2, 2), id="tiny-2x2"),
        pytest.param(lambda: clip(3, 1, 1), id="tiny-1x1"),
        pytest.param(lambda: clip(3, 37, 300), id="tall-37x300"),
        pytest.param(lambda: clip(3, bit_depth=10), id="10-bit"),
        pytest.param(lambda: clip(2, bit_depth=16, colour=Colour(range="full")), id="16-bit-full"),
        pytest.param(
            lambda: clip(3, bit_depth=10, colour=Colour("bt2020nc", "limited", "smpte2084", "bt2020")), id="10-bit-pq"
        ),
    ],
)
def test_awkward_pictures_work(cls: type[Analyzer], source: Callable[[], Clip]) -> None:
    show(ready(cls), source(), None)


@named(PICTURES)
def test_size_may_change_inside_a_file(cls: type[Analyzer]) -> None:
    analyzer = ready(cls)
    need = need_of(analyzer)
    parts = [clip(2, 200, 112), clip(2, 160, 120)]
    batches = [frame_batch(p, need, [0, 1], reference=analyzer.spec.needs_reference) for p in parts]
    batches[1].pts_seconds += 2 / (need.fps or 25.0)
    run(analyzer, batches, media_info(parts[0], need))


@named(PICTURES)
def test_ten_bits_say_the_same_as_eight(cls: type[Analyzer]) -> None:
    """The same picture in 10 bits without further detail gives the same values."""
    analyzer, source = ready(cls), clip(3)

    def widen(c: Clip) -> Clip:
        planes = [
            (p.to(torch.int32) * 4).to(torch.uint16) for p in (c.planes.y, c.planes.u, c.planes.v) if p is not None
        ]
        return Clip(Planes(*planes, bit_depth=10), c.colour, widen(c.reference) if c.reference else None)

    a, b = show(analyzer, source), show(analyzer, widen(source))
    assert {n: v.isnan().tolist() for n, v in a.frames.items()} == {n: v.isnan().tolist() for n, v in b.frames.items()}
    for name, values in a.frames.items():
        if values.is_floating_point() and not analyzer.spec.needs_reference:
            torch.testing.assert_close(b.frames[name], values, rtol=0.02, atol=0.02, equal_nan=True)


@named(ALL)
def test_finish_without_a_frame_works_and_leaves_it_usable(cls: type[Analyzer]) -> None:
    analyzer = ready(cls)
    if cls in SOUNDS:
        samples = sound(rate=rate_of(cls))
        run(analyzer, [], media_info(channels=2))
        first = play(analyzer, samples)
        run(analyzer, [], media_info(channels=2))
        assert_same(first, play(analyzer, samples), exact=True)
        return
    source = clip(3)
    run(analyzer, [], media_info(source, need_of(analyzer)))
    assert_same(show(analyzer, source), show(ready(cls), source), exact=True)


@named(SOUNDS)
def test_sound_values_do_not_depend_on_block_size(cls: type[Analyzer]) -> None:
    analyzer = ready(cls)
    samples = sound(rate=rate_of(cls))
    whole = play(analyzer, samples)
    for sizes in ([1024], [4801, 37, 1, 9600]):
        assert_same(whole, play(analyzer, samples, sizes))


@named(SOUNDS)
@pytest.mark.parametrize(
    ("seconds", "channels", "silent"),
    [
        pytest.param(2.0, 2, True, id="silent"),
        pytest.param(2.0, 1, False, id="mono"),
        pytest.param(1.0, 6, False, id="5.1"),
        pytest.param(0.3, 2, False, id="short"),
        pytest.param(1e-4, 2, False, id="few-samples"),
    ],
)
def test_awkward_sound_works(cls: type[Analyzer], seconds: float, channels: int, silent: bool) -> None:
    play(ready(cls), sound(seconds, rate_of(cls), channels, silent=silent), [960])


@named(SOUNDS)
def test_sound_gap_works(cls: type[Analyzer]) -> None:
    analyzer = ready(cls)
    view = need_of(analyzer).view
    assert isinstance(view, AudioView)
    blocks = list(with_reference(analyzer, sound(rate=rate_of(cls)), view, [rate_of(cls) // 5], "cpu"))
    for block in blocks[5:]:
        block.start_seconds += 2.0
        block.start_sample += 2 * block.sample_rate
    blocks[5].gap = True
    run(analyzer, blocks, media_info(channels=2))


@pytest.mark.gpu
@named(ALL)
def test_cpu_and_gpu_agree(cls: type[Analyzer]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    host, accelerator = ready(cls), ready(cls, "cuda")
    if cls in SOUNDS:
        samples = sound(rate=rate_of(cls))
        assert_same(play(host, samples), play(accelerator, samples, device="cuda"))
    else:
        assert_same(show(host, clip(5)), show(accelerator, clip(5), device="cuda"))

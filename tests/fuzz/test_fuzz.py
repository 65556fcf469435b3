"""A short run of the fuzzer; `python -m benchmarks.fuzz --cases 5000` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz import fuzz
from tests.fuzz.mutate import mutate
from tests.fuzz.seeds import MEDIA, make_seeds
from tests.fuzz.targets import run

CASES = 100


def test_mutations_are_deterministic_and_change_the_input() -> None:
    data = bytes(range(256)) * 8
    assert mutate(data, 5) == mutate(data, 5)
    assert sum(mutate(data, n) != data for n in range(200)) > 190


def test_the_corpus_has_every_kind(tmp_path: Path) -> None:
    seeds = make_seeds(tmp_path / "seeds")
    assert {s.kind for s in seeds} == {"media", "vocabulary", "profile", "lake"}
    assert sum(s.kind == "media" for s in seeds) >= len(MEDIA) - 2
    for seed in seeds:  # valid as they are: what is wrong later comes of the mutation
        path = tmp_path / seed.name
        path.write_bytes(seed.data)
        assert run(seed.kind, path) == "ok", seed.name


@pytest.mark.slow
def test_mutated_inputs_end_well_or_in_a_typed_error() -> None:
    report = fuzz(first=100_000, cases=CASES)
    assert report.cases == CASES
    assert report.findings == []
    assert report.ended["ok"] > 5 and len(report.ended) > 3

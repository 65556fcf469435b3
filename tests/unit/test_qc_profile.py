"""Profiles: what is refused, with which words; those that ship name only what exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mediaml.analyzers.base import registry
from mediaml.engine.qc import measures as rule_names
from mediaml.engine.qc.profile import FixityRule, MeasureRule, find_profile, parse_profile, shipped_profiles
from mediaml.errors import InvalidValue, UnknownName

ROOT = Path(__file__).resolve().parents[2]
HEAD = 'id = "mine"\ntitle = "Mine"\nsummary = "a test"\n'
RULE = HEAD + '[[rules]]\nid = "r"\nlevel = "fail"\nwhy = "because"\n'


def refused(text: str) -> str:
    with pytest.raises(InvalidValue) as caught:
        rule_names.check_names(parse_profile(text, "mine.toml"))
    return str(caught.value)


@pytest.mark.parametrize("profile", shipped_profiles(), ids=lambda p: p.id)
def test_shipped_profiles_name_what_exists_and_cite_their_sources(profile) -> None:
    rule_names.check_names(profile)
    assert find_profile(profile.id) == profile
    assert all(rule.source and rule.why for rule in profile.rules)
    needed = rule_names.needed_analyzers(profile)
    assert set(needed) <= set(registry())
    assert not any(registry()[n].spec.needs_reference for n in needed)


def test_the_shipped_profiles_are_these() -> None:
    assert [p.id for p in shipped_profiles()] == ["archive", "broadcast-ebu", "streaming", "ugc"]


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ('measure = "files.integrated_luffs"\nmax = 1', ["unknown measure", "files.integrated_lufs"]),
        ('finding = "silense"', ["unknown finding", "silence"]),
        ('fact = "video.codek"\nallow = ["h264"]', ["unknown fact", "video.codec"]),
        ('fault = "media_trunkated"', ["unknown fault", "media_truncated"]),
        ('fixity = "md5"', ["fixity", "sha256"]),
        ('measure = "video.codec"\nmax = 1', ["is no measure", 'fact = "video.codec"'.replace('"', "'")]),
        ('measure = "frames.vmaf"\nmin = 90', ["needs a reference", "mediaml score"]),
        ('mesure = "files.dc_offset"\nmax = 1', ["exactly one of", "did you mean measure"]),
        ('measure = "files.dc_offset"\nfinding = "silence"\nmax = 1', ["exactly one of", "measure and finding"]),
        ('measure = "files.dc_offset"\nmaxx = 1', ["unknown key 'maxx'", "max"]),
        ('measure = "files.dc_offset"', ["limits nothing"]),
        ('measure = "files.dc_offset"\nmin = 2\nmax = 1', ["min 2 is above max 1"]),
        ('measure = "files.dc_offset"\nmax = nan', ["finite"]),
        ('measure = "frames.si"\nmax = 1\npooling = "p101"', ["pooling"]),
        ('measure = "frames.si"\nmax = 1\npooling = "mean"\nseconds = 1', ["seconds and share go with"]),
        ('measure = "frames.si"\nmax = 1\nshare = 0.1\nseconds = 1', ["not both"]),
        ('measure = "files.dc_offset"\nmax = 1\npooling = "mean"', ["one value a file"]),
        ('measure = "files.dc_offset"\nmax = 1\nshare = 0.0', ["one value a file"]),
        ('finding = "silence"\nmin_severity = 1.5', ["min_severity", "1.5"]),
        ('fact = "video.codec"', ["limits nothing"]),
    ],
)
def test_what_is_wrong_with_a_rule_is_said(rule: str, words: list[str]) -> None:
    said = refused(RULE + rule)
    assert "mine" in said and "'r'" in said
    assert all(w in said for w in words), said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id = ", ["is not TOML"]),
        (HEAD, ["has no rules"]),
        (HEAD + "rules = [1]", ["must be a table"]),
        (RULE.replace('title = "Mine"\n', "") + 'finding = "silence"', ["title", "required"]),
        (RULE.replace("title", "tilte") + 'finding = "silence"', ["unknown key 'tilte'", "title"]),
        (RULE.replace('"fail"', '"fial"') + 'finding = "silence"', ["level", "fial"]),
        (RULE + 'finding = "silence"\n' + RULE[len(HEAD) :] + 'finding = "silence"', ["is there twice"]),
    ],
)
def test_what_is_wrong_with_a_profile_is_said(text: str, words: list[str]) -> None:
    said = refused(text)
    assert "mine.toml" in said
    assert all(w in said for w in words), said


def test_a_profile_that_does_not_exist_is_offered_near_ones() -> None:
    with pytest.raises(UnknownName, match="streaming"):
        find_profile("streeming")
    with pytest.raises(InvalidValue, match="cannot be read"):
        find_profile("/nowhere/mine.toml")


def test_only_the_analyzers_that_rules_need_are_run() -> None:
    def needed(rule: str) -> tuple[str, ...]:
        profile = parse_profile(RULE + rule, "mine.toml")
        rule_names.check_names(profile)
        return rule_names.needed_analyzers(profile)

    assert needed('fact = "video.codec"\nallow = ["h264"]') == ()
    assert needed('fixity = "sha256"') == ()
    assert needed('measure = "files.integrated_lufs"\nmax = -22') == ("loudness",)
    assert needed('measure = "series.momentary_lufs"\nmax = -5') == ("loudness",)
    assert needed('finding = "silence"') == ("silence",)
    carriers = [registry()[n].spec.need for n in needed('finding = "decode_error"')]
    assert [c.is_audio for c in carriers if c].count(True) == 1  # one that hears, one that sees every frame
    assert [c.fps for c in carriers if c and not c.is_audio] == [None]


def test_the_page_adds_what_it_draws() -> None:
    profile = parse_profile(RULE + 'finding = "silence"', "mine.toml")
    assert set(rule_names.needed_analyzers(profile, rule_names.PAGE_SERIES)) == {"loudness", "silence", "waveform"}


def test_rules_keep_what_was_given() -> None:
    rules = parse_profile(
        RULE + 'measure = "frames.si"\nmax = 1\nshare = 0.25\n' + RULE[len(HEAD) :].replace('"r"', '"s"')
        + 'fixity = "sha256"\nrequired = true', "mine.toml").rules  # fmt: skip
    measure, fixity = rules
    assert isinstance(measure, MeasureRule) and (measure.max, measure.share, measure.pooling) == (1.0, 0.25, "each")
    assert isinstance(fixity, FixityRule) and fixity.required


def test_the_profile_of_the_docs_is_one() -> None:
    text = re.search(r"```toml\n(.*?)```", (ROOT / "docs" / "qc.md").read_text(), re.DOTALL)
    assert text is not None
    profile = parse_profile(text[1], "docs/qc.md")
    rule_names.check_names(profile)
    assert set(rule_names.needed_analyzers(profile)) == {"black", "loudness", "siti"}

"""Vocabulary files: what is read, and what each mistake is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from mediaml.derive.vocabulary import (
    find_vocabulary,
    load_vocabulary,
    parse_vocabulary,
    shipped_names,
    shipped_vocabularies,
)
from mediaml.errors import InvalidValue, UnknownName

HEAD = 'id = "mine"\ntitle = "Mine"\nthreshold = 0.4\n'


def tag(body: str = 'id = "a"\nlabel = "A"\nprompts = ["an a"]') -> str:
    return f"\n[[tags]]\n{body}\n"


def test_a_vocabulary_is_read(tmp_path: Path):
    file = tmp_path / "mine.toml"
    child = 'id = "b"\nlabel = "B"\nprompts = ["a b", "two b"]\nparent = "a"\nthreshold = 0.7'
    file.write_text(HEAD + tag() + tag(child))
    vocabulary = load_vocabulary(file)
    a, b = vocabulary.tags
    assert (vocabulary.id, vocabulary.title) == ("mine", "Mine")
    assert b.prompts == ("a b", "two b")
    assert (vocabulary.threshold_of(a), vocabulary.threshold_of(b)) == (0.4, 0.7)
    assert vocabulary.ancestors(b) == [a]
    assert vocabulary.ancestors(a) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + tag() + tag(), r"line 10: tag 'a' was already defined on line 5; ids must be unique"),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompts = []'), r"line 5, tag 'a': prompts: .*at least 1 item"),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompts = ["x", "  "]'), r"line 5, tag 'a': prompts.1: .*pattern.*'  '"),
        (HEAD + tag('id = "a"\nlabel = ""\nprompts = ["x"]'), r"line 5, tag 'a': label: .*at least 1 character"),
        (HEAD + tag('id = "a"\nprompts = ["x"]'), r"line 5, tag 'a': label: Field required"),
        (HEAD + tag('label = "A"\nprompts = ["x"]'), r"line 5, tag 1: id: Field required"),
        (HEAD + tag('id = "A b"\nlabel = "A"\nprompts = ["x"]'), r"tag 'A b': id: .*pattern"),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompt = ["x"]\nprompts = ["x"]'), r"tag 'a': prompt: Extra inputs"),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompts = "x"'), r"tag 'a': prompts: "),
        (
            HEAD + tag('id = "a"\nlabel = "A"\nprompts = ["x"]\nthreshold = 2.0'),
            r"threshold: .*less than or equal to 1",
        ),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompts = ["x"]\nparent = "z"'), r"tag 'a': parent 'z' is not the id"),
        (HEAD + tag('id = "a"\nlabel = "A"\nprompts = ["x"]\nparent = "a"'), r"tag 'a': its parents form a circle"),
        (HEAD, r"vocabulary mine\.toml: tags: Field required"),
        (HEAD + "tags = []", r"tags: .*at least 1 item"),
        (HEAD + "tags = [3]", r"valid dictionary|instance of Tag"),
        (tag(), r"id: Field required"),
        (HEAD + "[[tags]", r"is not TOML: .*line 4"),
        (HEAD + 'embedders = ["blip"]' + tag(), r"embedders.0: Input should be 'open_clip' or 'label_space'"),
        (HEAD + 'templates = ["a photo"]' + tag(), r"templates.0: .*pattern"),
        (HEAD + 'negatives = [""]' + tag(), r"negatives.0: .*at least 1 character"),
    ],
)
def test_mistakes_are_named_with_line_and_tag(text: str, message: str):
    with pytest.raises(InvalidValue, match=message):
        parse_vocabulary(text, "mine.toml")


def test_a_circle_of_parents_is_found_from_outside_it():
    tags = [("a", "b"), ("b", "c"), ("c", "b")]
    text = HEAD + "".join(tag(f'id = "{i}"\nlabel = "{i}"\nprompts = ["x"]\nparent = "{p}"') for i, p in tags)
    with pytest.raises(InvalidValue, match="circle"):
        parse_vocabulary(text, "mine.toml")


def test_files_that_cannot_be_read(tmp_path: Path):
    with pytest.raises(InvalidValue, match=r"gone\.toml cannot be read: No such file"):
        load_vocabulary(tmp_path / "gone.toml")
    (tmp_path / "latin.toml").write_bytes(b'id = "caf\xe9"')
    with pytest.raises(InvalidValue, match=r"latin\.toml is not UTF-8 text \(byte 9\)"):
        load_vocabulary(tmp_path / "latin.toml")


def test_the_shipped_vocabularies_are_well_formed():
    vocabularies = shipped_vocabularies()
    assert [v.id for v in vocabularies] == ["scenes"]
    assert len(vocabularies[0].tags) >= 20
    sizes = {name: len(find_vocabulary(name).tags) for name in shipped_names()}
    least = {"places365": 365, "imagenet_1k": 1000, "coco_80": 80, "kinetics_700": 700}
    assert all(sizes[name] >= count for name, count in least.items())
    assert {"mood", "genre", "time_of_day", "setting", "shot_scale"} <= sizes.keys()
    assert all(find_vocabulary(name).id == name for name in sizes)


def test_a_vocabulary_is_found_by_name_or_file(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(
        HEAD + "embedders = ['label_space']\nthresholds = { label_space = 0.3 }\n" + tag()
    )
    mine = find_vocabulary(tmp_path / "mine.toml")
    assert mine.embedders == ("label_space",)
    assert mine.threshold_of(mine.tags[0], "label_space") == 0.3 and mine.threshold_of(mine.tags[0], "open_clip") == 0.4
    assert find_vocabulary("places365.toml").id == find_vocabulary("places365").id == "places365"
    with pytest.raises(UnknownName, match="did you mean places365"):
        find_vocabulary("places356")

"""Writes the vocabularies that come with mediaml from the class names of public label sets; the prompts are ours.

    python -m pipelines.build_vocabularies LABELS mediaml/derive/vocabularies

LABELS is a folder that holds Places365's categories_places365.txt and IO_places365.txt and Kinetics' label_map_k700.txt (any
depth). Names of ImageNet's classes come with open_clip. Run it again when a set or a prompt changes; the files are data.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

CLIP_ONLY = ("open_clip",)
BOTH = ("open_clip", "label_space")
NEGATIVES = ("a photo", "a picture of nothing in particular", "a blurred abstract background")


@dataclass(frozen=True, slots=True)
class Entry:
    id: str
    label: str
    prompts: tuple[str, ...]
    parent: str = ""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A vocabulary to be written. `about` is its header: where the names come from."""

    id: str
    title: str
    about: str
    embedders: Sequence[str]
    templates: Sequence[str]
    entries: Sequence[Entry]


LABEL_SPACE = "conse:efficientnet_lite0+minilm_l6_v2"
CALIBRATED = {
    "coco_80": (13.465, -7.541, "64 pictures of coco128, checked on its other 64: benchmarks/tags.py"),
    "imagenet_1k": (22.620, -16.376, "100 ImageNet sample pictures, checked on 100 others: benchmarks/tags.py"),
}
"""Vocabulary -> slope, offset and source of the label space's calibration."""

COCO = {
    "person": "person",
    "vehicle": "bicycle car motorcycle airplane bus train truck boat",
    "street": "traffic_light fire_hydrant stop_sign parking_meter bench",
    "animal": "bird cat dog horse sheep cow elephant bear zebra giraffe",
    "accessory": "backpack umbrella handbag tie suitcase",
    "sports": "frisbee skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket",
    "tableware": "bottle wine_glass cup fork knife spoon bowl",
    "food": "banana apple sandwich orange broccoli carrot hot_dog pizza donut cake",
    "furniture": "chair couch potted_plant bed dining_table toilet",
    "electronics": "tv laptop mouse remote keyboard cell_phone",
    "appliance": "microwave oven toaster sink refrigerator",
    "household": "book clock vase scissors teddy_bear hair_drier toothbrush",
}
COCO_WORDS = {
    "tv": "television",
    "mouse": "computer mouse",
    "remote": "remote control",
    "keyboard": "computer keyboard",
    "tie": "neck tie",
    "hair_drier": "hair dryer",
    "couch": "sofa",
    "donut": "doughnut",
}
"""What a word alone would leave open."""

OWN: Mapping[str, tuple[str, Mapping[str, tuple[str, ...]]]] = {
    "mood": ("Mood", {
        "joyful": ("a joyful, happy scene", "people laughing and having fun"),
        "sad": ("a sad, melancholic scene", "a person crying"),
        "tense": ("a tense, suspenseful scene",),
        "frightening": ("a frightening, scary scene", "a scene of a horror film"),
        "romantic": ("a romantic, tender scene", "a couple in love"),
        "calm": ("a calm, peaceful scene", "a quiet landscape"),
        "energetic": ("an energetic, exciting scene", "fast action"),
        "angry": ("an angry quarrel", "people shouting at each other"),
        "mysterious": ("a mysterious, enigmatic scene",),
        "solemn": ("a solemn, ceremonial scene", "a funeral"),
        "funny": ("a funny, comical scene",),
        "dreamy": ("a dreamlike, surreal scene",),
        "lonely": ("a lonely person in an empty place",),
        "gloomy": ("a gloomy, dark, bleak scene",),
    }),
    "genre": ("Genre", {
        "action": ("a scene of an action film with fights or explosions",),
        "animation": ("a frame of an animated cartoon", "computer-animated characters"),
        "comedy": ("a scene of a comedy",),
        "crime": ("a scene of a crime film with police or gangsters",),
        "documentary": ("a frame of a documentary film",),
        "drama": ("a scene of a drama film",),
        "fantasy": ("a scene of a fantasy film with magic",),
        "horror": ("a scene of a horror film",),
        "musical": ("a scene of a musical with singing and dancing",),
        "news": ("a news broadcast with a presenter in a studio",),
        "talk_show": ("a talk show with a host and guests",),
        "nature": ("a nature documentary with wild animals",),
        "romance": ("a scene of a romance film",),
        "science_fiction": ("a scene of a science fiction film with a spaceship",),
        "sport": ("a sports broadcast",),
        "thriller": ("a scene of a thriller",),
        "war": ("a scene of a war film with soldiers",),
        "western": ("a scene of a western film with cowboys",),
        "concert": ("a concert with musicians on a stage",),
        "cooking_show": ("a cooking show in a kitchen",),
        "game_footage": ("footage of a video game",),
        "historical": ("a scene of a period film in historical costumes",),
    }),
    "time_of_day": ("Time of day", {
        "dawn": ("a scene at dawn, before sunrise", "a sunrise"),
        "day": ("a scene in broad daylight",),
        "golden_hour": ("a scene in warm, low evening sun",),
        "dusk": ("a scene at dusk, after sunset", "a sunset"),
        "night": ("a scene at night", "city lights in the dark"),
        "indoors_lit": ("a room in artificial light",),
    }),
    "setting": ("Setting", {
        "indoors": ("a scene inside a building",),
        "outdoors": ("a scene outdoors",),
        "urban": ("a city street", "tall buildings in a city"),
        "rural": ("the countryside", "a village with fields"),
        "nature": ("wild nature without buildings",),
        "forest": ("a forest",),
        "mountains": ("mountains",),
        "desert": ("a desert",),
        "seaside": ("the sea and a beach",),
        "under_water": ("an underwater scene",),
        "sky": ("the sky with clouds", "an aerial view from high above"),
        "space": ("outer space with stars and planets",),
        "home": ("a living room of a home", "a bedroom"),
        "kitchen": ("a kitchen",),
        "office": ("an office with desks and computers",),
        "school": ("a classroom in a school",),
        "hospital": ("a hospital room",),
        "shop": ("inside a shop",),
        "restaurant": ("a restaurant or a bar",),
        "stage": ("a stage with an audience",),
        "studio": ("a television studio",),
        "stadium": ("a stadium with spectators",),
        "vehicle": ("inside a car", "inside a train or an aeroplane"),
        "street": ("a street with traffic",),
        "industrial": ("a factory or an industrial plant",),
        "battlefield": ("a battlefield",),
    }),
    "shot_scale": ("Shot scale", {
        "extreme_close_up": ("an extreme close-up of an eye or a detail of a face",),
        "close_up": ("a close-up of a face that fills the picture",),
        "medium_close_up": ("a person from the chest up",),
        "medium_shot": ("a person from the waist up",),
        "medium_long_shot": ("a person from the knees up",),
        "long_shot": ("the whole body of a person, with surroundings",),
        "extreme_long_shot": ("a wide view of a landscape with tiny people", "a wide establishing shot"),
        "insert": ("a close-up of an object", "hands holding an object"),
        "no_people": ("a scene without any people",),
    }),
}  # fmt: skip
PARENTS = {
    ("setting", "outdoors"): "urban rural nature forest mountains desert seaside sky street battlefield",
    ("setting", "indoors"): "home kitchen office school hospital shop restaurant studio",
}


def places(folder: Path) -> Sheet:
    names = [line.split()[0] for line in _lines(folder, "categories_places365.txt")]
    outdoors = {line.split()[0]: line.split()[1] == "2" for line in _lines(folder, "IO_places365.txt")}
    entries = [Entry("indoor", "indoor", ("an indoor scene",)), Entry("outdoor", "outdoor", ("an outdoor scene",))]
    for name in names:
        parts = [p.replace("_", " ") for p in name.split("/")[2:]]
        label = parts[0] + (f" ({parts[1]})" if len(parts) > 1 else "")
        words = " ".join(reversed(parts))
        entries.append(Entry(_id("_".join(parts)), label, (words,), "outdoor" if outdoors[name] else "indoor"))
    about = "Class names and the indoor/outdoor division: Places365 (Zhou et al. 2017), code and lists MIT."
    return Sheet("places365", "Places", about, BOTH, ("a photo of a {}", "a scene in a {}"), entries)


def kinetics(folder: Path) -> Sheet:
    entries = [Entry(_id(name), name, (name,)) for name in _lines(folder, "label_map_k700.txt")]
    about = "Class names: Kinetics-700 (Carreira et al. 2019), as listed by mmaction2, Apache-2.0."
    return Sheet("kinetics_700", "Actions", about, CLIP_ONLY, ("a person {}", "a video of {}", "people {}"), entries)


def imagenet() -> Sheet:
    from open_clip import IMAGENET_CLASSNAMES

    from mediaml.derive.imagenet_groups import GROUPS, groups_of

    words = {name: name.replace("_", " ") for name, _, _ in GROUPS}
    entries = [Entry(n, words[n], (words[n],), parent) for n, parent, _ in GROUPS]
    for number, name in enumerate(IMAGENET_CLASSNAMES):
        groups = groups_of()[number]
        entries.append(Entry(f"class_{number}", name, (name,), groups[0] if groups else ""))
    about = "Class names: ImageNet-1k as curated for CLIP (Radford et al. 2021), from open_clip, MIT. Groups: ours."
    return Sheet("imagenet_1k", "ImageNet classes", about, BOTH, ("a photo of a {}", "a picture of the {}"), entries)


def coco() -> Sheet:
    entries = []
    for group, names in COCO.items():
        words = names.split()
        if words != [group]:
            entries.append(Entry(f"group_{group}", group, (f"{group}",)))
        for name in words:
            text = COCO_WORDS.get(name, name.replace("_", " "))
            entries.append(Entry(name, name.replace("_", " "), (text,), "" if words == [group] else f"group_{group}"))
    about = "Class names and groups: COCO (Lin et al. 2014), CC BY 4.0."
    return Sheet("coco_80", "Everyday objects", about, BOTH, ("a photo of a {}", "a picture with a {} in it"), entries)


def own(name: str) -> Sheet:
    title, words = OWN[name]
    parents = {child: up for (sheet, up), children in PARENTS.items() if sheet == name for child in children.split()}
    entries = [Entry(i, i.replace("_", " "), p, parents.get(i, "")) for i, p in words.items()]
    return Sheet(name, title, "Names and prompts are our own.", CLIP_ONLY, ("{}", "a film still of {}"), entries)


def write(sheet: Sheet, folder: Path) -> Path:
    """The sheet as TOML."""
    lines = [f"# {sheet.about}", "# Written by pipelines/build_vocabularies.py; prompts are our own."]
    lines += [f"id = {_text(sheet.id)}", f"title = {_text(sheet.title)}", "threshold = 0.45"]
    thresholds = "open_clip = 0.5" + (", label_space = 0.5" if sheet.id in CALIBRATED else "")
    lines += [f"embedders = {_list(sheet.embedders)}", f"thresholds = {{ {thresholds} }}"]
    lines += [f"templates = {_list(sheet.templates)}", f"negatives = {_list(NEGATIVES)}"]
    seen: set[str] = set()
    for entry in sheet.entries:
        if entry.id in seen:
            raise ValueError(f"{sheet.id}: {entry.id} twice")
        seen.add(entry.id)
        lines += ["", "[[tags]]", f"id = {_text(entry.id)}", f"label = {_text(entry.label)}"]
        lines.append(f"prompts = {_list(entry.prompts)}")
        if entry.parent:
            lines.append(f"parent = {_text(entry.parent)}")
    if sheet.id in CALIBRATED:
        slope, offset, source = CALIBRATED[sheet.id]
        lines += ["", f"[calibration.{_text(LABEL_SPACE)}]", f"slope = {slope}", f"offset = {offset}"]
        lines.append(f"fitted_on = {_text(source)}")
    path = folder / f"{sheet.id}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _lines(folder: Path, name: str) -> list[str]:
    found = sorted(folder.rglob(name))
    if not found:
        raise SystemExit(f"{folder} holds no {name}")
    return [line.strip() for line in found[0].read_text(encoding="utf-8").splitlines() if line.strip()]


def _id(text: str) -> str:
    found = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return found if found[0].isalpha() else f"n_{found}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(items: Iterable[str]) -> str:
    return "[" + ", ".join(map(_text, items)) + "]"


def main() -> None:
    labels, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for sheet in (places(labels), kinetics(labels), imagenet(), coco(), *map(own, OWN)):
        path = write(sheet, folder)
        print(f"{path}: {len(sheet.entries)} tags, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()

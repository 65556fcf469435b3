"""What the 1,000 ImageNet classes are kinds of: coarse groups by class number (Russakovsky et al. 2015, arXiv 1409.0575).

The classes are numbered along WordNet, so that kinds of animals, foods and landscapes are runs of numbers; kinds of made
things are listed one by one. A class may be in several groups; the narrowest is named first.
"""

from __future__ import annotations

from functools import cache

GROUPS: tuple[tuple[str, str, str], ...] = (
    ("dog", "animal", "151-268"),
    ("cat", "animal", "281-285"),
    ("big_cat", "animal", "286-293"),
    ("wild_dog", "animal", "269-280"),
    ("bear", "animal", "294-297,387-388"),
    ("bird", "animal", "7-24,80-100,127-146"),
    ("fish", "animal", "0-6,389-397"),
    ("amphibian", "animal", "25-32"),
    ("reptile", "animal", "33-68"),
    ("spider", "animal", "70-77"),
    ("insect", "animal", "300-326"),
    ("sea_creature", "animal", "107-126,147-150,327-329"),
    ("monkey_ape", "animal", "365-384"),
    ("elephant", "animal", "101,385-386"),
    ("horse", "animal", "339"),
    ("hoofed_animal", "animal", "339-355"),
    ("small_mammal", "animal", "102-106,298-299,330-338,356-364"),
    ("animal", "", "0-397"),
    ("car", "vehicle", "407,436,468,511,609,627,656,661,705,717,734,751,817"),
    ("truck", "vehicle", "555,569,675,717,864,867"),
    ("bus", "vehicle", "654,779,874"),
    ("train", "vehicle", "466,547,565,705,820,829"),
    ("bicycle", "vehicle", "444,671"),
    ("motorcycle", "vehicle", "665,670"),
    ("aircraft", "vehicle", "404,405,417,812,895,908"),
    ("boat", "vehicle", "403,472,484,510,554,576,625,628,724,780,814,833,871,914"),
    ("vehicle", "", "403-405,407,408,417,436,444,466,468,472,484,510,511,537,547,554,555,561,565,569,573,575,576,586,595,603,"
     "609,612,621,625,627,628,654,656,660,661,665,670,671,675,690,705,717,724,734,751,757,779,780,802,803,812,814,817,820,"
     "829,833,847,856,864,866,867,870,871,874,880,895,914"),
    ("musical_instrument", "", "401,402,420,432,486,494,513,541,546,558,566,577,579,593,594,641,642,683,684,687,699,776,822,"
     "875,881,889"),
    ("furniture", "", "423,431,453,493,495,516,520,526,532,548,553,559,564,648,703,765,831,857,861,894"),
    ("bed", "furniture", "431,516,520,564"),
    ("chair", "furniture", "423,559,765,857"),
    ("sofa", "furniture", "831"),
    ("table", "furniture", "526,532"),
    ("toilet", "furniture", "861,999"),
    ("computer", "electronics", "508,527,590,620,664,673,681,810,878"),
    ("telephone", "electronics", "487,528,707"),
    ("television", "electronics", "548,598,664,782,851"),
    ("electronics", "", "482,485,487,508,527,528,590,592,605,613,620,632,650,662,664,673,681,688,707,713,732,742,745,754,759,"
     "761,782,848,851,878"),
    ("clock", "", "409,530,531,604,826,835,892"),
    ("kitchenware", "", "438,440,441,463,469,473,499,503,504,505,512,521,544,550,567,572,618,647,651,659,725,729,738,760,766,"
     "773,809,813,827,828,849,859,868,891,898,899,901,907,909,910,923,968"),
    ("bottle", "kitchenware", "440,720,737,898,901,907"),
    ("cup_glass", "kitchenware", "441,504,572,647,967,968"),
    ("knife", "kitchenware", "499,623"),
    ("clothing", "", "399,400,411,433,443,445,451,452,457,459,461,474,490,501,514,515,518,529,552,560,568,578,601,608,610,"
     "614,617,630,638,639,652,655,658,667,689,697,715,735,770,774,775,793,796,806,808,824,834,841,842,869,887,903,906"),
    ("hat", "clothing", "433,439,452,515,518,560,667,715,793,808"),
    ("tie", "clothing", "451,457,906"),
    ("bag", "", "414,636,728,748,797"),
    ("umbrella", "", "879"),
    ("ball", "sports", "429,430,522,574,722,768,805,852,890"),
    ("sports", "", "416,422,429,430,522,543,574,602,702,722,736,746,747,752,768,795,805,852,890,981"),
    ("weapon", "", "413,471,491,596,657,744,763,764,787,456"),
    ("tool", "", "462,473,491,512,587,596,714,730,740,783,784,792"),
    ("toy", "", "611,723,850,865"),
    ("building", "", "410,415,424,425,442,448,449,454,467,483,497,498,500,509,536,538,540,580,582,624,634,660,663,668,672,"
     "698,727,743,762,788,832,853,860,865,873,900,915"),
    ("shop", "building", "415,424,454,467,509,582,788,860,865"),
    ("traffic_sign", "street", "704,919,920"),
    ("street", "", "637,704,829,919,920"),
    ("fruit", "food", "948-957"),
    ("vegetable", "food", "936-947"),
    ("food", "", "924-957,959-967,969"),
    ("landscape", "", "970,972-980"),
    ("sea_shore", "landscape", "973,976-978"),
    ("mountain", "landscape", "970,972,979,980"),
    ("flower", "plant", "984-986"),
    ("fungus", "plant", "947,991-997"),
    ("plant", "", "984-998"),
    ("person", "", "981-983"),
)  # fmt: skip
"""(id, id of the group above it or "", class numbers)."""


@cache
def members() -> dict[str, tuple[int, ...]]:
    """Group -> its class numbers, ascending."""
    return {name: _numbers(text) for name, _, text in GROUPS}


@cache
def groups_of() -> tuple[tuple[str, ...], ...]:
    """For each of the 1,000 classes its groups, the narrowest (of fewest classes) first."""
    found: list[list[str]] = [[] for _ in range(1000)]
    for name in sorted(members(), key=lambda n: len(members()[n])):
        for number in members()[name]:
            found[number].append(name)
    return tuple(tuple(names) for names in found)


def _numbers(text: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))

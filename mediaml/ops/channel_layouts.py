"""Channel layouts by FFmpeg's names, and the weight of each channel in loudness."""

from __future__ import annotations

import re

from mediaml.errors import InvalidValue

_STANDARD = {
    "mono": "FC",
    "stereo": "FL+FR",
    "2.1": "FL+FR+LFE",
    "3.0": "FL+FR+FC",
    "3.0(back)": "FL+FR+BC",
    "4.0": "FL+FR+FC+BC",
    "quad": "FL+FR+BL+BR",
    "quad(side)": "FL+FR+SL+SR",
    "3.1": "FL+FR+FC+LFE",
    "5.0": "FL+FR+FC+BL+BR",
    "5.0(side)": "FL+FR+FC+SL+SR",
    "4.1": "FL+FR+FC+LFE+BC",
    "5.1": "FL+FR+FC+LFE+BL+BR",
    "5.1(side)": "FL+FR+FC+LFE+SL+SR",
    "6.0": "FL+FR+FC+BC+SL+SR",
    "6.0(front)": "FL+FR+FLC+FRC+SL+SR",
    "3.1.2": "FL+FR+FC+LFE+TFL+TFR",
    "hexagonal": "FL+FR+FC+BL+BR+BC",
    "6.1": "FL+FR+FC+LFE+BC+SL+SR",
    "6.1(back)": "FL+FR+FC+LFE+BL+BR+BC",
    "6.1(front)": "FL+FR+LFE+FLC+FRC+SL+SR",
    "7.0": "FL+FR+FC+BL+BR+SL+SR",
    "7.0(front)": "FL+FR+FC+FLC+FRC+SL+SR",
    "7.1": "FL+FR+FC+LFE+BL+BR+SL+SR",
    "7.1(wide)": "FL+FR+FC+LFE+BL+BR+FLC+FRC",
    "7.1(wide-side)": "FL+FR+FC+LFE+FLC+FRC+SL+SR",
    "5.1.2": "FL+FR+FC+LFE+SL+SR+TFL+TFR",
    "5.1.2(back)": "FL+FR+FC+LFE+BL+BR+TFL+TFR",
    "octagonal": "FL+FR+FC+BL+BR+BC+SL+SR",
    "cube": "FL+FR+BL+BR+TFL+TFR+TBL+TBR",
    "5.1.4": "FL+FR+FC+LFE+SL+SR+TFL+TFR+TBL+TBR",
    "7.1.2": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR",
    "7.1.4": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBL+TBR",
    "7.2.3": "FL+FR+FC+LFE+BL+BR+SL+SR+TFL+TFR+TBC+LFE2",
    "9.1.4": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR",
    "9.1.6": "FL+FR+FC+LFE+BL+BR+FLC+FRC+SL+SR+TFL+TFR+TBL+TBR+TSL+TSR",
    "hexadecagonal": "FL+FR+FC+BL+BR+BC+SL+SR+TFL+TFC+TFR+TBL+TBC+TBR+WL+WR",
    "binaural": "BIL+BIR",
    "downmix": "DL+DR",
    "22.2": "FL+FR+FC+LFE+BL+BR+FLC+FRC+BC+SL+SR+TC+TFL+TFC+TFR+TBL+TBC+TBR+LFE2+TSL+TSR+BFC+BFL+BFR",
}

# What a bare channel count most likely is: the layouts of WAVE files without a channel mask.
_BY_COUNT = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}

SURROUND_WEIGHT = 1.41  # +1.5 dB
UNNAMED = "NONE"


def channel_names(layout: str, channels: int) -> tuple[str, ...]:
    """The names of a layout's channels in order: ("FL", "FR") for "stereo"; for "6 channels", those of 5.1.

    Channels that FFmpeg's description leaves open are "NONE". Raises InvalidValue where a named layout has another
    number of channels.
    """
    listed = re.search(r"\(([A-Z0-9+@]+)\)$", layout) if " channels" in layout else None
    text = _STANDARD.get(layout) or (listed[1] if listed else None)
    if text is None and channels in _BY_COUNT and re.fullmatch(r"\d+ channels", layout):
        text = _STANDARD[_BY_COUNT[channels]]
    if text is None:
        return (UNNAMED,) * channels
    names = tuple(text.split("+"))
    if len(names) != channels:
        raise InvalidValue(f"layout {layout!r} has {len(names)} channels, the samples have {channels}")
    return names


def loudness_weights(names: tuple[str, ...]) -> tuple[float, ...]:
    """The weight of each channel in a loudness sum, by its position (ITU-R BS.1770-5, table 4 of annex 3).

    Speakers at ear height between 60 and 120 degrees to a side: 1.41; LFE: 0; all others: 1. "BL" and "BR" are the
    surrounds of a 5.1 layout (110 degrees) unless side channels are there too; then they lie at 135 degrees and weigh 1.
    """
    surrounds = {"SL", "SR", "WL", "WR"}
    if not surrounds & {*names} - {"WL", "WR"}:
        surrounds |= {"BL", "BR"}
    return tuple(0.0 if n.startswith("LFE") else SURROUND_WEIGHT if n in surrounds else 1.0 for n in names)

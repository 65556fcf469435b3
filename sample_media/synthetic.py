"""Clips of our own making, with the truth about them: where the cuts, black, freeze, silence and tones are.

Every function writes one file and returns its truth as plain data (seconds unless the name says otherwise); the
assembler stores it beside the clip as `<name>.truth.json`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from sample_media.drawing import HEIGHT, RATE, WIDTH, bars, pq_encoded, scene, silence, talking_head, tone, voice
from sample_media.encode import Picture, write

FPS = 25
Truth = dict[str, Any]


def _every_frame(seconds: float) -> list[float]:
    return [i / FPS for i in range(round(seconds * FPS))]


def cuts_and_dissolve(path: Path) -> Truth:
    """Five scenes of 2 s: cuts at 2, 4 and 6 s, then a dissolve from 8 to 9 s; a note for each scene."""

    def picture(t: float) -> Picture:
        if t < 8:
            return scene(int(t // 2), t)
        share = min(t - 8, 1.0)
        mixed = scene(3, t) * (1 - share) + scene(4, t) * share
        return mixed.astype(np.uint8)

    notes = [tone(3 if i == 4 else 2, hz, -26) for i, hz in enumerate((220, 330, 262, 392, 294))]
    write(path, map(picture, _every_frame(11)), fps=FPS, options={"crf": "20"}, sound=np.concatenate(notes, axis=1))
    return {"fps": FPS, "duration": 11.0, "cuts": [2.0, 4.0, 6.0], "dissolves": [[8.0, 9.0]]}


def black_freeze_silence(path: Path) -> Truth:
    """Faults that quality control must find: 1 s of black, 2 s of freeze, 2.5 s of silence, and a clipped tone."""

    def picture(t: float) -> Picture:
        if 2 <= t < 3:
            return np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        return scene(1, t if t < 5 else max(5.0, t - 2))

    clipped = np.clip(tone(1, 330, 6), -1, 1)
    sound = np.concatenate([tone(4, 440, -18), silence(2.5), tone(1.5, 440, -18), clipped], axis=1)
    write(path, map(picture, _every_frame(9)), fps=FPS, options={"crf": "20"}, sound=sound)
    return {
        "fps": FPS,
        "duration": 9.0,
        "cuts": [2.0, 3.0],
        "black": [[2.0, 3.0]],
        "freeze": [[5.0, 7.0]],
        "silence": [[4.0, 6.5]],
        "clipping": [[8.0, 9.0]],
    }


def colour_bars(path: Path) -> Truth:
    """Bars with the line-up tone: 1 kHz, peak 20 dB below full scale."""
    write(path, map(bars, _every_frame(4)), fps=FPS, options={"crf": "18"}, sound=tone(4))
    return {
        "fps": FPS,
        "duration": 4.0,
        "cuts": [],
        "tones": [{"start": 0.0, "end": 4.0, "hz": 1000, "peak_dbfs": -20}],
    }


def speaking_face(path: Path) -> Truth:
    """A drawn face whose mouth follows the envelope of voice-like sound: picture and sound are in step."""
    sound, envelope = voice(6)
    frames = (talking_head(t, float(envelope[int(t * RATE)])) for t in _every_frame(6))
    write(path, frames, fps=FPS, options={"crf": "20"}, sound=sound)
    return {"fps": FPS, "duration": 6.0, "cuts": [], "av_offset": 0.0}


def sound_late(path: Path) -> Truth:
    """The same face with the sound 0.24 s late."""
    sound, envelope = voice(6)
    late = np.concatenate([silence(0.24), sound], axis=1)[:, : sound.shape[1]]
    frames = (talking_head(t, float(envelope[int(t * RATE)])) for t in _every_frame(6))
    write(path, frames, fps=FPS, options={"crf": "20"}, sound=late)
    return {"fps": FPS, "duration": 6.0, "cuts": [], "av_offset": 0.24}


def variable_frame_rate(path: Path) -> Truth:
    """Frames at 25 a second, then at 12.5, then at 25 again: time stamps that no constant rate explains."""
    ticks, now = [], 0
    for i in range(125):
        ticks.append(now)
        now += 2 if 50 <= i < 75 else 1
    frames = (scene(2, tick / FPS) for tick in ticks)
    write(path, frames, fps=FPS, pts=lambda i: ticks[i], options={"crf": "20"})
    return {"duration": now / FPS, "cuts": [], "frames": len(ticks), "variable_frame_rate": True}


def hdr_pq(path: Path) -> Truth:
    """10-bit HEVC tagged BT.2020 / PQ with mastering metadata: highlights move over a dark ramp."""
    x265 = (
        "log-level=none:hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:"
        "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50):max-cll=1000,400"
    )
    colour = {"color_primaries": 9, "color_trc": 16, "colorspace": 9, "color_range": 1}
    options = {"crf": "22", "preset": "veryfast", "x265-params": x265}
    pictures = (pq_encoded(scene(0, t), peak_nits=1000) for t in _every_frame(3))
    write(
        path, pictures, fps=FPS, codec="libx265", pix_fmt="yuv420p10le", options=options, colour=colour, matrix="BT2020"
    )
    return {"fps": FPS, "duration": 3.0, "cuts": [], "transfer": "smpte2084", "max_cll": 1000, "max_fall": 400}


def loudness_steps(path: Path) -> Truth:
    """1 kHz stereo tones with peaks at -20, -26 and -38 dBFS and a second of silence between them (WAV, no picture)."""
    parts = [tone(4, dbfs=-20), silence(1), tone(4, dbfs=-26), silence(1), tone(4, dbfs=-38)]
    write(path, sound=np.concatenate(parts, axis=1), audio_codec="pcm_s24le")
    spans = [(0.0, 4.0, -20), (5.0, 9.0, -26), (10.0, 14.0, -38)]
    return {
        "duration": 14.0,
        "silence": [[4.0, 5.0], [9.0, 10.0]],
        "tones": [{"start": a, "end": b, "hz": 1000, "peak_dbfs": level} for a, b, level in spans],
    }

"""What `mediaml transcribe` does beside the analysis: subtitles of what the lake holds, and words found in it."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from mediaml.engine.subtitles import cues, srt, vtt
from mediaml.errors import InvalidValue, printable
from mediaml.tables import Lake
from mediaml.tables.rows import decode_path


@dataclass(frozen=True, slots=True)
class TextHit:
    """A segment of a transcript that holds the words."""

    path: str
    media_id: str
    start_seconds: float
    end_seconds: float
    text: str
    confidence: float


def write_subtitles(lake: Lake, folder: Path, paths: list[Path] | None = None) -> list[Path]:
    """One .srt and one .vtt a media that has a transcript, named as the media file; the paths written.

    paths   only of these files; None for every media of the lake. Raises InvalidValue where the folder cannot be written.
    """
    wanted = None if paths is None else {str(p.absolute()) for p in paths}
    segments: dict[str, list[tuple[float, float, str, str]]] = defaultdict(list)
    rows = lake.query(
        "SELECT media_id, start_seconds, end_seconds, text, words FROM transcripts ORDER BY 1, 2"
    ).to_pylist()
    for row in rows:
        segments[row["media_id"]].append((row["start_seconds"], row["end_seconds"], row["text"], row["words"]))
    written: list[Path] = []
    names: set[str] = set()
    for path, media_id in _files(lake):
        if media_id not in segments or (wanted is not None and str(Path(path).absolute()) not in wanted):
            continue
        name = Path(path).name
        if name in names:
            name = f"{name}.{media_id[:8]}"
        names.add(name)
        found = cues(segments[media_id])
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for suffix, text in ((".srt", srt(found)), (".vtt", vtt(found))):
                target = folder / (name + suffix)
                target.write_text(text, encoding="utf-8")
                written.append(target)
        except OSError as error:
            raise InvalidValue(f"{printable(folder)}: cannot be written: {error.strerror or error}") from error
    return written


def files_without(lake: Lake, paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """(those without sound, those with sound in which no word was recognised) of the files that the lake knows."""
    rows = lake.query(
        "SELECT media_id, audio_streams, media_id IN (SELECT media_id FROM transcripts) AS spoken FROM media"
    ).to_pylist()
    facts = {r["media_id"]: (r["audio_streams"], r["spoken"]) for r in rows}
    seen = {str(Path(path).absolute()): facts[media_id] for path, media_id in _files(lake) if media_id in facts}
    known = [(p, seen[str(p.absolute())]) for p in paths if str(p.absolute()) in seen]
    return [p for p, (sounds, _) in known if not sounds], [p for p, (sounds, spoken) in known if sounds and not spoken]


def find_words(lake: Lake, words: str, top: int = 20) -> list[TextHit]:
    """Segments whose text holds every one of the words, whole and in any case; those that hold them in this order first.

    Raises InvalidValue where there is no word to look for.
    """
    asked = re.findall(r"\w[\w']*", words.lower())
    if not asked:
        raise InvalidValue(f"--text {words!r} holds no word to look for")
    paths = {media_id: path for path, media_id in reversed(_files(lake))}
    rows = lake.query("SELECT media_id, start_seconds, end_seconds, text, confidence FROM transcripts").to_pylist()
    hits = []
    for row in rows:
        held = re.findall(r"\w[\w']*", row["text"].lower())
        if set(asked) <= set(held):
            together = any(held[i : i + len(asked)] == asked for i in range(len(held)))
            hits.append((not together, -row["confidence"], row))
    hits.sort(key=lambda h: (h[0], h[1], h[2]["media_id"], h[2]["start_seconds"]))
    return [
        TextHit(
            paths.get(r["media_id"], ""),
            r["media_id"],
            r["start_seconds"],
            r["end_seconds"],
            r["text"],
            r["confidence"],
        )
        for _, _, r in hits[:top]
    ]


def _files(lake: Lake) -> list[tuple[str, str]]:
    """(path, media_id) of every file that was seen."""
    rows = lake.query("SELECT path, media_id FROM paths ORDER BY path").to_pylist()
    return [(str(decode_path(r["path"])), r["media_id"]) for r in rows]

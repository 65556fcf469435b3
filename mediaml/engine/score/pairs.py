"""Many pairs: which encode belongs to which source, and scoring them one after the other, resumable."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mediaml.decode.formats import IMAGE_EXTENSIONS, VIDEO_EXTENSIONS
from mediaml.decode.frame_reader import VideoFile
from mediaml.decode.pair.format import pair_format
from mediaml.decode.raw_video import RAW_EXTENSIONS, RawFormat
from mediaml.engine.pooling import Limit, Pooled, check_limits, missed
from mediaml.engine.run import Progress
from mediaml.engine.score.lake import stored
from mediaml.engine.score.metrics import Chosen, choose_metrics
from mediaml.engine.score.pair import BackendName, raw_like, score
from mediaml.engine.score.result import ScoreResult
from mediaml.engine.score.shots import ShotDetector
from mediaml.engine.settings import DeviceName
from mediaml.errors import AnalyzerError, InvalidValue, MediaError, MediaMissing, printable
from mediaml.tables import Lake

_PICTURES = VIDEO_EXTENSIONS | IMAGE_EXTENSIONS | RAW_EXTENSIONS
_SEPARATORS = "._- "


@dataclass(frozen=True, slots=True)
class Pair:
    """A distorted file and its reference."""

    distorted: Path
    reference: Path

    @property
    def name(self) -> str:
        """For file names of its own outputs."""
        return self.distorted.stem


def find_pairs(encode: Path, reference: Path) -> list[Pair]:
    """One pair of two files; every encode against one reference; or directories, by name.

    By name: the reference with the same stem, or the longest one whose stem the encode's begins with, followed by a
    separator (`tears_720p_crf28` belongs to `tears`).

    Raises MediaMissing; InvalidValue where an encode has no reference, or more than one.
    """
    for path in (encode, reference):
        if not path.exists():
            raise MediaMissing(path, "there is no such file or directory")
    if not encode.is_dir():
        if reference.is_dir():
            return [Pair(encode, _reference_of(encode, _files(reference), reference))]
        return [Pair(encode, reference)]
    encodes = _files(encode)
    if not encodes:
        raise InvalidValue(f"{printable(encode)}: holds no video or picture")
    if not reference.is_dir():
        return [Pair(e, reference) for e in encodes if e.resolve() != reference.resolve()]
    references = _files(reference)
    return [Pair(e, _reference_of(e, references, reference)) for e in encodes]


def read_pairs(path: Path) -> list[Pair]:
    """From a CSV with the columns `distorted` and `reference`; relative paths are taken from the CSV's folder.

    Raises InvalidValue naming the line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not UTF-8"
        raise InvalidValue(f"{printable(path)}: cannot be read: {why}") from error
    rows = csv.DictReader(text.splitlines())
    if not rows.fieldnames or not {"distorted", "reference"} <= set(rows.fieldnames):
        raise InvalidValue(f"{printable(path)}: its first line must name the columns distorted and reference")
    pairs = []
    for row in rows:
        named = row["distorted"], row["reference"]
        if not all(named):
            raise InvalidValue(f"{printable(path)}: line {rows.line_num} lacks a distorted or a reference file")
        pairs.append(Pair(*(path.parent / Path(n).expanduser() for n in named)))
    if not pairs:
        raise InvalidValue(f"{printable(path)}: names no pair")
    return pairs


def _files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix.lower() in _PICTURES and p.is_file())


def _reference_of(encode: Path, references: Sequence[Path], folder: Path) -> Path:
    stem = encode.stem.lower()
    equal = [r for r in references if r.stem.lower() == stem and r.resolve() != encode.resolve()]
    found = equal or _longest(r for r in references if _begins(stem, r.stem.lower()))
    if not found:
        known = ", ".join(printable(r.name) for r in references[:5]) or "no file"
        raise InvalidValue(
            f"{printable(encode)}: no file in {printable(folder)} has its name or a beginning of it (there: {known}); "
            "name the pairs with --pairs pairs.csv"
        )
    if len(found) > 1:
        names = ", ".join(printable(f.name) for f in found)
        raise InvalidValue(f"{printable(encode)}: could belong to {names}; name the pairs with --pairs pairs.csv")
    return found[0]


def _begins(stem: str, beginning: str) -> bool:
    return stem.startswith(beginning) and len(stem) > len(beginning) and stem[len(beginning)] in _SEPARATORS


def _longest(found: Iterable[Path]) -> list[Path]:
    candidates = list(found)
    most = max((len(c.stem) for c in candidates), default=0)
    return [c for c in candidates if len(c.stem) == most]


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """How pairs are scored; the fields are those of `score`. `limits`: values that a pair must reach, or not exceed."""

    metrics: tuple[str, ...] | None = None
    align: bool = True
    scale_to: str = "reference"
    raw: RawFormat | None = None
    device: DeviceName = "auto"
    backend: BackendName = "mediaml"
    out: Path | None = None
    limits: tuple[Limit, ...] = ()
    detect_shots: ShotDetector = "none"

    def names(self) -> list[str]:
        """The metrics, and those of the limits beside them. Raises UnknownName, InvalidValue."""
        given = choose_metrics(self.metrics)
        known = {c.name for c in given.columns}
        more = dict.fromkeys(limit.column for limit in self.limits if limit.column not in known)
        return [*(self.metrics or given.headline), *more]


@dataclass(slots=True, eq=False)
class PairOutcome:
    """What came of one pair. `result` is None where it failed, and where the lake knew the scores (`known`)."""

    pair: Pair
    headline: tuple[str, ...]
    pooled: dict[str, Pooled] = field(default_factory=dict)
    missed: list[tuple[Limit, float | None]] = field(default_factory=list)
    result: ScoreResult | None = None
    error: MediaError | AnalyzerError | None = None
    known: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "distorted": printable(self.pair.distorted),
            "reference": printable(self.pair.reference),
            "pooled_metrics": {n: p.to_dict() for n, p in self.pooled.items()},
            "missed": [{"limit": str(limit), "reached": reached} for limit, reached in self.missed],
            "error": None if self.error is None else str(self.error),
            "known_before": self.known,
        }


def exit_code(outcomes: Sequence[PairOutcome]) -> int:
    """0 all well, 1 where a pair failed, else 3 where a limit was missed."""
    if any(o.error is not None for o in outcomes):
        return 1
    return 3 if any(o.missed for o in outcomes) else 0


def score_pairs(
    pairs: Sequence[Pair], settings: ScoreSettings, progress: Callable[[Pair], Progress | None] | None = None
) -> Iterator[PairOutcome]:
    """Scores pair after pair; a pair's fault is in its outcome. What the lake `settings.out` holds is not computed again.

    Raises UsageError and WeightsError before the first pair.
    """
    chosen = choose_metrics(settings.names())
    check_limits(settings.limits, chosen.columns)
    for pair in pairs:
        try:
            outcome = _one(pair, settings, chosen, progress(pair) if progress is not None else None)
        except (MediaError, AnalyzerError) as error:
            outcome = PairOutcome(pair, chosen.headline, error=error)
        yield outcome


def _one(pair: Pair, settings: ScoreSettings, chosen: Chosen, progress: Progress | None) -> PairOutcome:
    against = raw_like(pair.reference, settings.raw)
    raw = raw_like(pair.distorted, settings.raw)
    if settings.out is not None and (found := _known(pair, settings, chosen, raw, against)) is not None:
        return PairOutcome(pair, chosen.headline, found, missed(settings.limits, found), known=True)
    result = score(
        pair.distorted,
        pair.reference,
        settings.names(),
        align=settings.align,
        scale_to=settings.scale_to,
        detect_shots=settings.detect_shots,
        raw=raw,
        raw_reference=against,
        device=settings.device,
        backend=settings.backend,
        out=settings.out,
        progress=progress,
    )
    return PairOutcome(pair, chosen.headline, result.pooled, missed(settings.limits, result.pooled), result)


def _known(
    pair: Pair, settings: ScoreSettings, chosen: Chosen, raw: RawFormat | None, against: RawFormat | None
) -> dict[str, Pooled] | None:
    assert settings.out is not None
    lake = Lake.open(settings.out, create=True)
    files = VideoFile.of(str(pair.distorted), raw), VideoFile.of(str(pair.reference), against)
    form = pair_format(*files, settings.scale_to)
    return stored(lake, *files, form, settings.align, chosen, settings.backend) or None

"""Sound against picture by their timestamps: start offset, different lengths, drift of the sound's own clock."""

from __future__ import annotations

from collections.abc import Mapping

from mediaml.analyzers.audio.runs import Finding, RunAnalyzer, span_rows
from mediaml.errors import InvalidValue
from mediaml.media import MediaInfo
from mediaml.spec import AudioView, Column, Need, Spec, Table

_FULL_SEVERITY_OFFSET = 1.0  # seconds
_FULL_SEVERITY_LENGTH = 5.0
_LEAST_JUMPS = 3  # one jump is a gap, several one way are a clock that runs at another speed
_ONE_WAY = 0.8


class StreamSync(RunAnalyzer):
    """How the main sound lies against the main picture in the file's own time.

    What is judged are timestamps: whether lips match words is a matter of content and not seen here.

    kinds   "av_start_offset": the sound begins `offset_seconds` or more before or after the picture
            "av_length_differs": it ends so much earlier or later, the start left out of account
            "av_drift": stated times and counted samples part, in jumps that mostly go one way
    files   av_start_offset_seconds: start of the sound less start of the picture (positive: sound is late)
            av_length_difference_seconds: length of the sound less that of the picture
            audio_drift_ppm: what the stated times gain on the counted samples, parts in a million; 0 where they agree

    Null where the file has no picture, or does not say the picture's start or length. The sound's length is counted in
    samples, with its gaps.
    """

    piece_seconds = 1.0
    spec = Spec(
        name="stream_sync",
        version=1,
        summary="start offset, length and clock of the sound against the picture, by timestamps",
        outputs=(
            Column(
                "av_start_offset_seconds", "float64", "s", "start of the sound less start of the picture", Table.FILES,
                nullable=True,
            ),
            Column(
                "av_length_difference_seconds", "float64", "s", "length of the sound less that of the picture", Table.FILES,
                nullable=True,
            ),
            Column(
                "audio_drift_ppm", "float64", "ppm", "gain of the sound's stated times on its counted samples", Table.FILES,
                nullable=True,
            ),
        ),
        need=Need(AudioView(layout="mono")),
        ordered=True,
        groups=("audio", "qc"),
        default=False,
        cite="timestamps of the container; ITU-R BT.1359-1 for what offsets are noticed (+45 ms, -125 ms)",
        cost_ms=0.1,
        kinds=("av_start_offset", "av_length_differs", "av_drift"),
    )  # fmt: skip

    def __init__(self, offset_seconds: float = 0.125, length_seconds: float = 0.25, drift_ppm: float = 100.0) -> None:
        for name, value in (("offset_seconds", offset_seconds), ("length_seconds", length_seconds)):
            if not 0 < value <= 60:
                raise InvalidValue(f"{name} {value} must lie in (0, 60]")
        if drift_ppm <= 0:
            raise InvalidValue(f"drift_ppm {drift_ppm} must be positive, e.g. 100")
        self.offset_seconds, self.length_seconds, self.drift_ppm = offset_seconds, length_seconds, drift_ppm
        super().__init__()

    @property
    def parameters(self) -> Mapping[str, float]:
        return {
            "offset_seconds": float(self.offset_seconds),
            "length_seconds": float(self.length_seconds),
            "drift_ppm": float(self.drift_ppm),
        }

    def start(self, media: MediaInfo) -> None:
        video = media.main_video if media.kind == "video" else None
        self._video_start = video.start_seconds if video else None
        self._video_length = video.duration_seconds_header if video else None
        if video is not None and self._video_length is None and video.frames_header and video.frame_rate:
            self._video_length = video.frames_header / video.frame_rate

    def reset(self) -> None:
        self._video_start = self._video_length = None
        self._first: float | None = None
        self._expected: float | None = None  # end of the run before
        self._last = 0.0
        self._jumps: list[float] = []

    def begin_run(self) -> None:
        if self._first is None:
            self._first = self.origin
        if self._expected is not None:
            self._jumps.append(self.origin - self._expected)

    def add(self, piece: object) -> None:
        """Samples are counted by the base class."""

    def end_run(self) -> None:
        self._expected = self._last = self.origin + self.run_samples / self.rate

    def rows(self) -> Mapping[Table, Mapping[str, list]]:
        offset = length = drift = None
        findings: list[Finding] = []
        if self._first is not None:
            heard = self._last - self._first
            drift = self._drift(heard, findings)
            if self._video_start is not None:
                offset = self._first - self._video_start
                self._offset(offset, findings)
            if self._video_length:
                length = heard - self._video_length
                self._length(length, findings)
        files = {
            "av_start_offset_seconds": [offset],
            "av_length_difference_seconds": [length],
            "audio_drift_ppm": [drift],
        }
        return {Table.SPANS: span_rows(findings), Table.FILES: files}

    def _drift(self, heard: float, findings: list[Finding]) -> float:
        total, size = sum(self._jumps), sum(map(abs, self._jumps))
        if len(self._jumps) < _LEAST_JUMPS or abs(total) < _ONE_WAY * size or heard <= 0:
            return 0.0
        ppm = 1e6 * total / heard
        if abs(ppm) >= self.drift_ppm:
            message = (
                f"the sound's times gain {total:+.3f} s on its samples in {len(self._jumps)} jumps ({ppm:+.0f} ppm)"
            )
            assert self._first is not None
            findings.append(Finding("av_drift", self._first, self._last, min(1.0, abs(total)), message))
        return ppm

    def _offset(self, offset: float, findings: list[Finding]) -> None:
        if abs(offset) < self.offset_seconds or self._first is None or self._video_start is None:
            return
        start, end = sorted((self._first, self._video_start))
        way = "after" if offset > 0 else "before"
        message = f"the sound begins {abs(offset):.3f} s {way} the picture"
        findings.append(Finding("av_start_offset", start, end, abs(offset) / _FULL_SEVERITY_OFFSET, message))

    def _length(self, length: float, findings: list[Finding]) -> None:
        if abs(length) < self.length_seconds or self._video_length is None:
            return
        start, end = sorted((self._last, self._last - length))
        way = "longer" if length > 0 else "shorter"
        message = f"the sound is {abs(length):.3f} s {way} than the picture"
        findings.append(Finding("av_length_differs", start, end, abs(length) / _FULL_SEVERITY_LENGTH, message))

"""What a pass over a file came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from mediaml.decode.problems import ProblemLog

SOFTWARE, NVDEC = "software", "nvdec"


@dataclass(slots=True)
class DecodeReport:
    """Complete once the stream is exhausted.

    mode              the plan's mode as it was carried out: a seek or key-frame plan falls back to "sequential" where
                      the file cannot seek
    frames_decoded    video frames that came out of the decoder
    frames_delivered  a lane's frames, summed over lanes
    samples_decoded   audio samples a channel
    cpu_seconds       of the decode thread: demuxing, decoding and making views
    ended_early       the consumer stopped before the end
    decoder           who decoded the pictures: "software" or "nvdec"
    why_software      on CUDA: why it was not NVDEC; else ""
    """

    mode: str = "sequential"
    frames_decoded: int = 0
    frames_delivered: int = 0
    samples_decoded: int = 0
    cpu_seconds: float = 0.0
    ended_early: bool = False
    decoder: str = SOFTWARE
    why_software: str = ""
    problems: ProblemLog = field(default_factory=ProblemLog)

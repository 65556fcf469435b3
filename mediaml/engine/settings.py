"""What a run was asked to do, in one picklable object that workers receive whole."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from mediaml.errors import InvalidValue

DeviceName = Literal["auto", "cpu", "cuda"]
EngineName = Literal["local", "ray"]
DEFAULT_MAX_PIXELS = 8192 * 8192  # of one coded picture; 8K video is half of it


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of a run.

    analyzers             registry names, already resolved from groups
    workers               processes, one file each; 0 runs in the calling process (for analyzers defined in a script)
    device                "auto" takes CUDA where torch finds it
    file_timeout_seconds  wall time after which a file's worker is ended and the file recorded as an error; None: no limit
    max_pixels            largest coded picture that is decoded
    max_memory_bytes      of one worker process, after which it is ended and its file recorded as an error; None: four
                          fifths of the machine's memory, so that the system's own killer never has to choose
    retry_errors          whether files and analyzers that failed before are tried again
    engine                "local": processes of this machine; "ray": actors of a Ray cluster
    ray_address           of the cluster ("auto", "ray://host:10001"); None starts one on this machine for the run
    """

    lake: Path
    analyzers: tuple[str, ...]
    workers: int = field(default_factory=lambda: len(os.sched_getaffinity(0)))
    device: DeviceName = "auto"
    file_timeout_seconds: float | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS
    max_memory_bytes: int | None = None
    retry_errors: bool = False
    engine: EngineName = "local"
    ray_address: str | None = None

    def __post_init__(self) -> None:
        if self.workers < 0:
            raise InvalidValue(f"workers {self.workers} must be 0 (in this process) or more")
        if self.device not in ("auto", "cpu", "cuda"):
            raise InvalidValue(f"device {self.device!r} must be auto, cpu or cuda")
        if self.file_timeout_seconds is not None and self.file_timeout_seconds <= 0:
            raise InvalidValue(f"file timeout {self.file_timeout_seconds} s must be positive")
        if self.engine not in ("local", "ray"):
            raise InvalidValue(f"engine {self.engine!r} must be local or ray")
        if self.ray_address is not None and self.engine != "ray":
            raise InvalidValue(f"the address {self.ray_address!r} is of a Ray cluster; add --engine ray")
        if self.engine == "ray" and self.workers < 1:
            raise InvalidValue("the ray engine needs at least one worker; workers 0 is for --engine local")
        if self.max_pixels < 1:
            raise InvalidValue(f"max_pixels {self.max_pixels} must be positive")

        if self.max_memory_bytes is not None and self.max_memory_bytes < 1 << 28:
            raise InvalidValue(f"max memory {self.max_memory_bytes / 1e9:g} GB of a worker must be at least 0.27 GB")

    @property
    def memory_limit(self) -> int:
        """Resident bytes that a worker may hold."""
        whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return self.max_memory_bytes or whole * 4 // 5

    @property
    def torch_threads(self) -> int:
        """Threads for torch in each worker: the cores shared out, so that workers do not fight."""
        return max(1, len(os.sched_getaffinity(0)) // max(1, self.workers))


def choose_device(name: DeviceName) -> str:
    """ "cuda" or "cpu"; raises InvalidValue for another name, and where CUDA is asked for and absent."""
    import torch

    if name not in ("auto", "cpu", "cuda"):
        raise InvalidValue(f"device {name!r} must be auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise InvalidValue("device cuda was asked for, but torch finds no CUDA device; use --device cpu or auto")
    return "cuda" if name != "cpu" and torch.cuda.is_available() else "cpu"

"""What a run leaves beside its output until it is whole: the finished segments, from which the next run goes on."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mediaml.engine.upscale.plan import UpscalePlan
from mediaml.errors import OutputUnwritable

_VERSION = 2


@dataclass(frozen=True, slots=True)
class DoneSegment:
    """A segment that is complete on disk."""

    frames: int
    last_pts: int
    size_bytes: int


class UpscaleState:
    """The folder `.OUT.upscale` beside the output."""

    def __init__(self, plan: UpscalePlan) -> None:
        self.folder = plan.out.parent / f".{plan.out.name}.upscale"
        status = plan.source.stat()
        self._identity: dict[str, Any] = {
            "version": _VERSION,
            "source": [str(plan.source.resolve()), status.st_size, status.st_mtime_ns],
            "settings": plan.settings.what_matters(),
        }
        self.segments: list[DoneSegment] = []

    def begin(self) -> bool:
        """Takes up what a run with the same source and settings left; True where there is something of it."""
        self.folder.mkdir(exist_ok=True)
        found = self._read()
        if found is not None and {k: found[k] for k in self._identity if k in found} == self._identity:
            for number, segment in enumerate(found["segments"]):
                done = DoneSegment(**segment)
                path = self.segment(number)
                if not path.is_file() or path.stat().st_size != done.size_bytes:
                    break
                self.segments.append(done)
        keep = {self.segment(i) for i in range(len(self.segments))}
        for path in self.folder.iterdir():
            if path not in keep:
                path.unlink()
        self._write()
        return bool(self.segments)

    @property
    def frames(self) -> int:
        """Frames that are done."""
        return sum(s.frames for s in self.segments)

    def segment(self, number: int) -> Path:
        return self.folder / f"segment_{number:06d}.bin"

    def joined(self, suffix: str) -> Path:
        """Where the output is put together before it gets its name."""
        return self.folder / f"joined{suffix}"

    def add(self, frames: int, last_pts: int) -> None:
        """The segment after the last is complete."""
        size = self.segment(len(self.segments)).stat().st_size
        self.segments.append(DoneSegment(frames, last_pts, size))
        self._write()

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        path = self.folder / "state.json"
        try:
            found = json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) and isinstance(found.get("segments"), list) else None

    def _write(self) -> None:
        path = self.folder / "state.json"
        part = path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            json.dump(self._identity | {"segments": [asdict(s) for s in self.segments]}, file)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)


def unwritable(error: OSError, plan: UpscalePlan, done_frames: int) -> OutputUnwritable:
    """A system's refusal, in words that say what is kept and what to do."""
    if error.errno == errno.ENOSPC:
        kept = f"{done_frames} frames are kept beside it" if done_frames else "nothing is kept"
        return OutputUnwritable(f"{plan.out}: the disk is full; {kept}; free some space and run the same command again")
    if error.errno in (errno.EACCES, errno.EROFS, errno.EPERM):
        return OutputUnwritable(f"{plan.out}: no permission to write in {plan.out.parent}; name another output")
    return OutputUnwritable(f"{plan.out} cannot be written: {error.strerror or error}")

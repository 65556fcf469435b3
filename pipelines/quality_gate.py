"""A gate for incoming media: what passes goes on, what fails is set aside with the reasons.

    python -m pipelines.quality_gate incoming/ streaming gate/

Files that pass (or only draw a warning) are linked into gate/passed, the others into gate/rejected beside a text that says
what is wrong and at which timecode. gate/qc.html shows it all. Running it again decodes nothing that was decoded before.
Public names only; read it from top to bottom and change what you like.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mediaml

GOES_ON = ("pass", "warn")


def gate(incoming: Path, profile: str, out: Path) -> int:
    """Judges everything in `incoming` by `profile` (a shipped name or a TOML file); 0 where all may go on, else 1 or 3."""
    result = mediaml.qc(incoming, profile, out=out / "lake", pictures=True)
    mediaml.build_qc_report(result, out / "qc.html")
    for number, file in enumerate(result.to_dict()["files"]):
        goes_on = file["verdict"] in GOES_ON
        print(f"{file['verdict']:10} {Path(file['path']).name}")
        link(Path(file["path"]), out / ("passed" if goes_on else "rejected"), number, [] if goes_on else reasons(file))
    return result.exit_code


def reasons(file: dict[str, Any]) -> list[str]:
    """One line for each rule that is broken, with the timecode of its worst place."""
    lines = list(file["errors"])
    for rule in file["rules"]:
        if rule["outcome"] in ("fail", "not_measured"):
            at = f" at {rule['evidence'][0]['start_timecode']}" if rule["evidence"] else ""
            lines.append(f"{rule['rule']}: {rule['message']}{at} ({rule['why']})")
    return lines


def link(file: Path, folder: Path, number: int, why: list[str]) -> None:
    """A link to the file in `folder`, numbered so that equal names do not collide; the reasons beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{number:04d}_{file.name}"
    place.unlink(missing_ok=True)
    place.symlink_to(file.absolute())
    if why:
        place.with_name(place.name + ".txt").write_text(
            "\n".join(why) + "\n", encoding="utf-8", errors="backslashreplace"
        )


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(gate(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))

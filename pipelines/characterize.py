"""From a directory of media to tables, a report and a first answer: the main job as a recipe.

    python -m pipelines.characterize ~/movies lake/

Public names only; read it from top to bottom and change what you like.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mediaml

ODDEST = """
    SELECT media.path, count(*) AS findings, max(severity) AS worst
    FROM spans JOIN media USING (media_id)
    GROUP BY media.path ORDER BY worst DESC, findings DESC LIMIT 10
"""


def characterize(media: Path, out: Path) -> mediaml.Lake:
    """Analyzes `media` into the lake `out`, writes `out`/report.html, and prints what deserves a look."""
    lake = mediaml.analyze(media, out=out)  # one decode a file; a second call computes nothing again
    report = mediaml.build_report(lake, out / "report.html")
    print(f"{lake.table('media').num_rows} media, {lake.table('shots').num_rows} shots; report: {report}")
    for error in lake.table("errors").to_pylist():
        print(f"failed: {error['path']}: {error['message']}")
    for row in lake.query(ODDEST).to_pylist():
        print(f"look at: {row['path']}: {row['findings']} findings, worst severity {row['worst']:.2f}")
    return lake


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    characterize(Path(sys.argv[1]), Path(sys.argv[2]))

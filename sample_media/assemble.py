"""Makes the sample directory: `python -m sample_media.assemble DIR`.

Files that are there and whole are left alone, so a second run takes no time; a file that was cut short or made by an
older recipe is made again. Real material that cannot be fetched is named at the end and the rest is made all the same;
`--strict` turns that into exit code 1.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from sample_media.recipes import RECIPES, Recipe
from sample_media.sources import MEMBERS, SourceUnavailable, fetch

_RECORD = ".assembled.json"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m sample_media.assemble", description="Make the sample media.")
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--strict", action="store_true", help="exit code 1 when real material cannot be fetched")
    chosen = parser.parse_args(arguments)
    os.environ.setdefault("SVT_LOG", "1")  # the AV1 encoder prints errors only
    console = Console(stderr=True)
    started = time.monotonic()
    failures = assemble(chosen.directory, console)
    for failure in failures:
        console.print(f"left out: {failure}", style="yellow", markup=False, highlight=False)
    files = [chosen.directory / r.path for r in RECIPES if (chosen.directory / r.path).is_file()]
    size = sum(f.stat().st_size for f in files) / 1e6
    took = time.monotonic() - started
    console.print(
        f"{len(files)} files, {size:.1f} MB in {chosen.directory} ({took:.0f} s)", markup=False, highlight=False
    )
    return 1 if failures and chosen.strict else 0


def assemble(directory: Path, console: Console) -> list[str]:
    """Make what is missing in `directory`; returns one message for each source that could not be fetched."""
    directory.mkdir(parents=True, exist_ok=True)
    record = _read_record(directory)
    todo = [r for r in RECIPES if not _is_whole(directory, r, record)]
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not todo) as progress:
        failures = _fetch_all(todo, progress)
        ready = [r for r in todo if all(MEMBERS[n].cached.is_file() for n in r.needs)]
        task = progress.add_task("encode", total=len(ready))
        for recipe in ready:
            progress.update(task, description=recipe.path)
            _make(directory, recipe)
            record[recipe.path] = _fingerprint(directory, recipe)
            (directory / _RECORD).write_text(json.dumps(record, indent=1, sort_keys=True), encoding="utf-8")
            progress.advance(task)
    return failures


def _fetch_all(todo: list[Recipe], progress: Progress) -> list[str]:
    missing = {name for r in todo for name in r.needs if not MEMBERS[name].cached.is_file()}
    distributions = sorted({MEMBERS[n].distribution for n in missing}, key=lambda d: d.name)
    failures = []
    task = progress.add_task("fetch", total=len(distributions), visible=bool(distributions))
    for distribution in distributions:
        progress.update(task, description=f"fetch {distribution.name} {distribution.version}")
        try:
            fetch(distribution)
        except SourceUnavailable as error:
            failures.append(str(error))
        progress.advance(task)
    return failures


def _make(directory: Path, recipe: Recipe) -> None:
    target = directory / recipe.path
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".part-{target.name}")
    truth = recipe.make(part)
    if truth is not None:
        truth_path = target.with_suffix(".truth.json")
        truth_path.write_text(json.dumps({"file": target.name, **truth}, indent=1) + "\n", encoding="utf-8")
    part.replace(target)


def _read_record(directory: Path) -> dict[str, list[int]]:
    try:
        return json.loads((directory / _RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _fingerprint(directory: Path, recipe: Recipe) -> list[int]:
    return [recipe.revision, (directory / recipe.path).stat().st_size]


def _is_whole(directory: Path, recipe: Recipe, record: dict[str, list[int]]) -> bool:
    path = directory / recipe.path
    return path.is_file() and record.get(recipe.path) == _fingerprint(directory, recipe)


if __name__ == "__main__":
    sys.exit(main())

"""Put the committed results into the README: `python -m benchmarks.figures`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.reporting import read_frames, readme_head, readme_rows
from benchmarks.reporting.measured import Frames

PROJECT = Path(__file__).parents[1]
CHECKPOINTS = Path("benchmarks/results/checkpoints.json")
ARCHITECTURES = Path("benchmarks/results/architectures")
HEAD = "| store | steps | ms a step over bare (median) | bytes a step |\n|---|---|---|---|\n"


def with_checkpoints(readme: str, result: dict[str, Any]) -> str:
    """Return the README with the rows and the database's growth as a `checkpoints` result has them."""
    rows = "".join(
        f"| {row['store']} | {row['steps']} | {row['ms_per_step_over_bare']['median']:.0f} "
        f"| {row['bytes_per_step']['median']:.0f} |\n"
        for row in result["rows"]
    )
    kilobytes = round(result["database_bytes_per_step"] / 1024)
    readme = re.sub(r"grows by about \S+ KB", f"grows by about {kilobytes} KB", readme)
    return _with_table(readme, CHECKPOINTS, HEAD + rows)


def with_architectures(readme: str, frames: Frames) -> str:
    """Return the README with the published table and our rows beside it as a result's frames have them."""
    return _with_table(readme, ARCHITECTURES, readme_head() + readme_rows(frames))


def with_figures(readme: str, project: Path = PROJECT) -> str:
    """Return the README with all figures as the committed results of a project have them."""
    readme = with_checkpoints(readme, json.loads((project / CHECKPOINTS).read_text(encoding="utf-8")))
    of_architectures = project / ARCHITECTURES
    return with_architectures(readme, read_frames(of_architectures)) if of_architectures.is_dir() else readme


def _with_table(readme: str, of: Path, table: str) -> str:
    """Put a table between its marker and the next empty line."""
    before, marker, after = readme.partition(f"<!-- figures: {of} -->\n")
    return before + marker + table + after[after.index("\n\n") + 1 :]


if __name__ == "__main__":
    file = PROJECT / "README.md"
    file.write_text(with_figures(file.read_text(encoding="utf-8")), encoding="utf-8")

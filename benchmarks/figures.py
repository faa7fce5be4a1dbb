"""Put the committed results into the README: `python -m benchmarks.figures`."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[1]
RESULT = PROJECT / "benchmarks" / "results" / "checkpoints.json"
HEAD = "|---|---|---|---|\n"


def table(result: dict[str, Any]) -> str:
    """Return the README's rows of a `checkpoints` result."""
    return "".join(
        f"| {row['store']} | {row['steps']} | {row['ms_per_step_over_bare']['median']:.0f} "
        f"| {row['bytes_per_step']['median']:.0f} |\n"
        for row in result["rows"]
    )


def with_figures(readme: str, result: dict[str, Any]) -> str:
    """Return the README with the rows and the database's growth as the result has them."""
    before, marker, after = readme.partition("<!-- figures: benchmarks/results/checkpoints.json -->")
    head, rule, rest = after.partition(HEAD)
    rest = table(result) + rest[rest.index("\n\n") + 1 :]
    kilobytes = round(result["database_bytes_per_step"] / 1024)
    rest = re.sub(r"grows by about \S+ KB", f"grows by about {kilobytes} KB", rest)
    return before + marker + head + rule + rest


if __name__ == "__main__":
    file = PROJECT / "README.md"
    file.write_text(
        with_figures(file.read_text(encoding="utf-8"), json.loads(RESULT.read_text(encoding="utf-8"))), encoding="utf-8"
    )

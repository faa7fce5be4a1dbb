"""The short forms: for an artifact on a flow run's page, and for the README."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.reporting import markdown, published
from benchmarks.reporting.about import About, described
from benchmarks.reporting.document import Table
from benchmarks.reporting.measured import US, Frames, Named, Results, by_name
from benchmarks.reporting.wins import wins


def summary_markdown(frames: Frames | Named, about: About | Mapping[str, Any]) -> str:
    """Return the published table beside ours, with a line on how it came about.

    Args:
        frames: By name, `measures` among them, and `differences`, to count where another arm is better.
        about: Where and when they were measured.
    """
    of, about = by_name(frames), described(about)
    results = Results(of)
    rounds = "1 round" if about.rounds == 1 else f"{about.rounds} rounds"
    line = markdown.inline(
        f"Profile {about.profile}, {rounds}, seed {about.seed}, on {about.machine.cpu}."
        + (f" Figures in which another arm beats `{US}`: {len(wins(results))}." if "differences" in of else "")
    )
    return f"{markdown.table(published.table(results))}\n{line}\n\n{markdown.inline(published.NOTE)}\n"


def readme_rows(frames: Frames | Named) -> str:
    """Return the rows of that table alone, for a head that stands in the README."""
    content = published.table(Results(by_name(frames)))
    return "".join(markdown.table(content).splitlines(keepends=True)[2:])


def readme_head() -> str:
    """Return the head of that table, with its rule."""
    return markdown.table(Table(published.table(Results({})).head, ()))

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
    # Without them nothing is known of who beats whom.
    is_held = "differences" in of and US in results.arms
    line = markdown.inline(
        f"Profile {about.profile}, {rounds}, seed {about.seed}, on {about.machine.cpu}."
        + (f" Figures in which another arm beats `{US}` beyond the noise: {len(wins(results))}." if is_held else "")
    )
    notes = [line, *(markdown.inline(each) for each in (published.left_out(results), published.note(results)) if each)]
    return "\n".join((markdown.table(published.table(results)), "\n\n".join(notes), ""))


def readme_rows(frames: Frames | Named) -> str:
    """Return the rows of that table alone, for a head that stands in the README."""
    content = published.table(Results(by_name(frames)))
    return "".join(markdown.table(content).splitlines(keepends=True)[2:])


def readme_head() -> str:
    """Return the head of that table, with its rule."""
    return markdown.table(Table(published.table(Results({})).head, ()))

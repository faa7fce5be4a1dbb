"""Where another arm beats the layered one: what the report says first."""

from __future__ import annotations

import math
from typing import NamedTuple

from benchmarks.reporting.document import Block, Bullets, Heading, Paragraph, Section, Table, section
from benchmarks.reporting.measured import ALL_FAULTS, BETTER, NOISE, US, Difference, Key, Results
from benchmarks.reporting.numbers import NO_INTERVAL, Figure, with_interval
from benchmarks.reporting.published import HEADLINES

NAMED = frozenset({"checkpoint_ms", "recovery_p50", "peak_memory", "idle_memory"}) | {
    headline.key.measure for headline in HEADLINES
}
"""Measures of which it is told one by one where another arm's figure is better, also where it has no interval."""


class Win(NamedTuple):
    """One measure in which an arm is better than the layered one."""

    arm: str
    key: Key
    difference: Difference


def wins(results: Results) -> tuple[Win, ...]:
    """Return every measure, on every workload and plan, in which an arm beats the layered one beyond the noise."""
    found: list[Win] = []
    for key in results.shown:
        for arm in results.arms:
            difference = results.against_us(arm, key)
            if difference is not None and difference.verdict == BETTER:
                found.append(Win(arm, key, difference))
    return tuple(found)


def without_interval(results: Results) -> tuple[Win, ...]:
    """Return every measure of `NAMED` in which an arm's figure is better, and too few rounds say what that means."""
    return tuple(
        Win(arm, key, difference)
        for key in results.shown
        for arm in results.arms
        if key.measure in NAMED
        and (difference := results.against_us(arm, key)) is not None
        and difference.verdict == NO_INTERVAL
        and _is_better(results, arm, key, difference)
    )


def _is_better(results: Results, arm: str, key: Key, difference: Difference) -> bool:
    measured, value = results.of(arm, key), difference.figure.value
    return measured is not None and bool(value) and (value < 0) == (measured.better == "lower")


def of_wins(results: Results) -> Section:
    """Return the report's first section."""
    title = f"Where another arm beats `{US}`"
    if US not in results.arms:
        return section(title, Paragraph(f"`{US}` was not measured here, so nothing can be held against it."))
    found = wins(results)
    headline_keys = {headline.key for headline in HEADLINES}
    first = [win for win in found if win.key in headline_keys]
    pooled = {(win.arm, win.key.measure, win.key.workload) for win in found if win.key.plan == ALL_FAULTS}
    rest = [win for win in found if win.key not in headline_keys and not _is_told_by_all(win, pooled)]
    blocks: list[Block] = []
    if not found:
        blocks.append(Paragraph(f"In no measure is another arm better than `{US}` by more than the noise."))
    if first:
        note = (
            "A difference is of the rounds and plans that both arms had. Where one had fewer, it need not be that of "
            "the two figures beside it."
        )
        blocks += [Heading("In the measures of the published table"), Paragraph(note), _table(results, first)]
    if rest:
        note = (
            "In these as well; a dash: not better beyond the noise. Where an arm is better under all faults "
            "together, the single fault plans are not listed again. The frame `differences` has the differences."
        )
        blocks += [Heading("In other measures, workloads and plans"), Paragraph(note), _matrix(results, rest)]
    if unclear := without_interval(results):
        pooled = {(win.arm, win.key.measure, win.key.workload) for win in unclear if win.key.plan == ALL_FAULTS}
        unclear = [win for win in unclear if not _is_told_by_all(win, pooled)]
        note = (
            "In these the figure is better, and there were too few rounds for an interval of the difference: it may be "
            "the machine's doing, or not."
        )
        blocks += [Heading("Better in the figure, no interval"), Paragraph(note), _matrix(results, unclear)]
    return section(title, blocks, _unclear(results), Paragraph(_chance(results)))


def _chance(results: Results) -> str:
    found = [results.against_us(arm, key) for key in results.shown for arm in results.arms if arm != US]
    compared = [each for each in found if each is not None]
    with_one = sum(each.verdict != NO_INTERVAL for each in compared)
    return (
        f"{len(compared)} differences were looked at, of which {with_one} have an interval. Where nothing differs, "
        "about one in forty of these comes out as better all the same, and as many as worse: that is what a 95% "
        "interval means. Of counts in one or two rounds it may be more: what strikes a whole trial is then taken for "
        "many things."
    )


def _is_told_by_all(win: Win, pooled: set[tuple[str, str, str]]) -> bool:
    of = (win.arm, win.key.measure, win.key.workload)
    return win.key.plan not in (ALL_FAULTS, "none", "all") and of in pooled


def _table(results: Results, found: list[Win]) -> Table:
    rows: list[tuple[str, ...]] = []
    for win in found:
        measured = results.of(win.arm, win.key)
        unit = "" if measured is None else f" ({measured.unit})"
        rows.append(
            (
                f"`{win.arm}`",
                f"`{win.key.measure}`{unit}",
                where(win.key),
                with_interval(results.figure(win.arm, win.key)),
                with_interval(results.figure(US, win.key)),
                between(win.difference.figure),
            )
        )
    return Table(("arm", "measure (unit)", "workload, plan", "the arm's", f"`{US}`", "difference"), tuple(rows))


def _matrix(results: Results, found: list[Win]) -> Table:
    """A row a measure, workload and plan, a column an arm: there are too many for a row each."""
    arms = [arm for arm in results.arms if any(win.arm == arm for win in found)]
    better = {(win.arm, win.key) for win in found}
    rows: list[tuple[str, ...]] = []
    for key in dict.fromkeys(win.key for win in found):
        measured = results.any_of(key)
        unit = "" if measured is None else f" ({measured.unit})"
        theirs = (with_interval(results.figure(arm, key)) if (arm, key) in better else "-" for arm in arms)
        rows.append((f"`{key.measure}`{unit}", where(key), with_interval(results.figure(US, key)), *theirs))
    return Table(("measure (unit)", "workload, plan", f"`{US}`", *(f"`{arm}`" for arm in arms)), tuple(rows))


def _unclear(results: Results) -> tuple[Block, ...]:
    """How often another arm's figure is the better one, and it means nothing."""
    counts: dict[str, dict[str, int]] = {NOISE: {}, NO_INTERVAL: {}}
    for key in results.shown:
        for arm in results.arms:
            difference = results.against_us(arm, key)
            if difference is None or difference.verdict not in counts:
                continue
            is_told = difference.verdict == NO_INTERVAL and key.measure in NAMED
            if not is_told and _is_better(results, arm, key, difference):
                of = counts[difference.verdict]
                of[arm] = of.get(arm, 0) + 1
    items = [
        f"{said}: {', '.join(f'`{arm}` in {count}' for arm, count in counts[verdict].items())}"
        for verdict, said in (
            (NOISE, f"Better than `{US}` in the figure, and the difference is inside the noise"),
            (NO_INTERVAL, f"Better than `{US}` in the figure, with too few rounds for an interval, in other measures"),
        )
        if counts[verdict]
    ]
    return (Bullets(tuple(items)),) if items else ()


def where(key: Key) -> str:
    """Return on what a measure was taken, in words."""
    if key.workload == key.plan == "all":
        return "whatever the workload"
    faults = {"none": "no faults", "all": "whatever the faults"}.get(key.plan, key.plan)
    return f"{'all workloads' if key.workload == 'all' else key.workload}, {faults}"


def between(figure: Figure) -> str:
    """Write a difference; where one side of it is never, no number says how large it is."""
    if any(each is not None and math.isinf(each) for each in figure):
        return "one of them in part or always never"
    return with_interval(figure)

"""The published table, for which no method was given, and our own rows beside it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from benchmarks.reporting.document import Table
from benchmarks.reporting.measured import ALL_FAULTS, US, Key, Results, in_order, records
from benchmarks.reporting.numbers import Figure, alone, with_interval

PUBLISHED = "published, no method given"
NOT_GIVEN = "not given"


class Headline(NamedTuple):
    """A column of the table, and where ours comes from."""

    title: str
    """With its unit."""
    key: Key


FIRST_TOKEN = Headline("first token, p50 (ms)", Key("first_token_p50", "retail", "none"))
FIRST_TOKEN_P95 = Headline("first token, p95 (ms)", Key("first_token_p95", "retail", "none"))
PERSISTENCE = Headline("state persistence rate (%)", Key("state_persistence_rate", "retail", ALL_FAULTS))
DEPLOYMENT = Headline("deployment overhead (min)", Key("deployment_overhead", "retail", "deploy"))
SUCCESS = Headline("tool-call success rate (%)", Key("tool_call_success_rate", "retail", ALL_FAULTS))
COST = Headline("cost of 10,000 runs (USD)", Key("cost_per_10k_runs", "retail", "none"))
HEADLINES = (FIRST_TOKEN, FIRST_TOKEN_P95, PERSISTENCE, DEPLOYMENT, SUCCESS, COST)


class Approach(NamedTuple):
    """A row of the published table."""

    name: str
    arm: str
    """The arm that is built so."""
    cells: tuple[str, ...]
    """One a headline."""


APPROACHES = (
    Approach("custom while loop + serverless", "while_loop", ("180", NOT_GIVEN, "62", "8", "74", "14.20")),
    Approach(
        "monolithic framework (LangGraph, AgentKit)",
        "monolith",
        ("210", NOT_GIVEN, NOT_GIVEN, "15 (derived)", NOT_GIVEN, "about 28 (derived)"),
    ),
    Approach("layered (loop + runtime + sandbox)", "layered", ("195", NOT_GIVEN, "99.8", "4", "96.5", "19.80")),
)
"""As they were published. Derived: not in the published table, computed from its claims and its other rows."""


def table(results: Results) -> Table:
    """Return the published rows, each with ours below it, and then the arms that it does not have."""
    rows: list[tuple[str, ...]] = []
    for approach in APPROACHES:
        rows.append((approach.name, PUBLISHED, *approach.cells))
        rows.append((f"`{approach.arm}`", "measured here", *_ours(results, approach.arm)))
    beside = {approach.arm for approach in APPROACHES}
    rows += [(f"`{arm}`", "measured here", *_ours(results, arm)) for arm in results.arms if arm not in beside]
    return Table(("approach", "source", *(each.title for each in HEADLINES)), tuple(rows))


def _ours(results: Results, arm: str) -> tuple[str, ...]:
    return tuple(with_interval(results.figure(arm, headline.key)) for headline in HEADLINES)


def note(results: Results) -> str:
    """Return what our cells are of."""
    key = PERSISTENCE.key
    plans = ", ".join(f"`{plan}`" for plan in results.plans_of(key.workload))
    counts = (
        f"`{arm}` {' and '.join(str(measured.n) for measured in found)}"
        for arm in results.arms
        if (found := [of for each in (FIRST_TOKEN, PERSISTENCE) if (of := results.of(arm, each.key)) is not None])
    )
    n = ", ".join(counts)
    fewer = "; ".join(filter(None, (_fewer(results, arm) for arm in results.arms)))
    return (
        "The published table is the comparison of three approaches that started this project; it was given without a "
        "method or a source. Ours: first token and cost of `retail` without faults; persistence and tool-call success "
        f"of `retail` under all fault plans together{f' (here {plans})' if plans else ''}, which strike far more often "
        "than a day in production does; deployment overhead of a deploy amid `retail`, `never` where it lost a run or "
        "the new version did not come. In brackets the 95% interval; what depends on the machine has none of one round."
        + (f" Not under all of these, and so not to be held against the other rows: {fewer}." if fewer else "")
        + (f" Runs behind first token and persistence: {n}." if n else "")
    )


def _fewer(results: Results, arm: str) -> str | None:
    """Say under which plans an arm's persistence was measured, if not under all, and what ours is under these alone."""
    key = PERSISTENCE.key
    all_plans = results.plans_of(key.workload)
    plans = [plan for plan in all_plans if results.of(arm, key._replace(plan=plan)) is not None]
    difference, value = results.against_us(arm, key), results.figure(arm, key).value
    if not plans or len(plans) == len(all_plans) or difference is None or difference.figure.value is None:
        return None
    assert value is not None
    ours = alone(Figure(value - difference.figure.value))
    alone_under = " and ".join(f"`{plan}`" for plan in plans)
    return f"`{arm}`, under {alone_under} alone, where the persistence of `{US}` is {ours}"


def left_out(results: Results) -> str:
    """Return how many trials of each arm are in no figure; empty if all are."""
    counts = Counter(row["arm"] for row in records(results.frames, "left_out") if not row["item"])
    said = ", ".join(f"{counts[arm]} of `{arm}`" for arm in in_order(counts))
    return f"In no figure, as the harness failed or the plan did not strike: trials, {said}." if said else ""

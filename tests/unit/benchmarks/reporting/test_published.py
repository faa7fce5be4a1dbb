"""The published table, and ours beside it."""

from __future__ import annotations

import math

from benchmarks.reporting import published
from benchmarks.reporting.measured import Results
from tests.unit.benchmarks.reporting import made


def test_the_published_figures_are_those_of_the_issue() -> None:
    rows = {row[0]: row[1:] for row in published.table(Results({})).rows}
    said = "published, no method given"
    assert rows["custom while loop + serverless"] == (said, "180", "not given", "62", "8", "74", "14.20")
    assert rows["monolithic framework (LangGraph, AgentKit)"] == (
        *(said, "210", "not given", "not given", "15 (derived)"),
        *("not given", "about 28 (derived)"),
    )
    assert rows["layered (loop + runtime + sandbox)"] == (said, "195", "not given", "99.8", "4", "96.5", "19.80")


def test_ours_stand_below_the_published_ones_and_the_other_arms_after_them() -> None:
    measures = [
        made.measure("layered", published.FIRST_TOKEN.key, 1800.0, 1700.0, 1900.0),
        made.measure("layered", published.DEPLOYMENT.key, math.inf, math.inf, math.inf),
        made.measure("dbos", published.COST.key, 11.5, 11.0, 12.0),
    ]
    table = published.table(Results(made.summed(measures)))
    assert [row[0] for row in table.rows][1::2][:3] == ["`while_loop`", "`monolith`", "`layered`"]
    assert table.rows[5][1:] == (
        *("measured here", "1,800 (1,700 to 1,900)", "not measured", "not measured"),
        *("never", "not measured", "not measured"),
    )
    assert table.rows[6] == ("`dbos`", "measured here", *["not measured"] * 5, "11.5 (11.0 to 12.0)")
    assert all(len(row) == len(table.head) for row in table.rows)


def test_the_note_names_the_plans_that_are_pooled_and_how_many_runs_there_are() -> None:
    keys = [published.PERSISTENCE.key._replace(plan=plan) for plan in ("deploy", "mixed", "all faults", "none")]
    said = published.note(Results(made.summed([made.measure("layered", key, 99.0, n=12) for key in keys])))
    assert "all fault plans together (here `deploy`, `mixed`)" in said
    assert "Runs behind first token and persistence: `layered` 12." in said
    assert "(here" not in published.note(Results({}))


def test_every_unit_stands_in_the_head() -> None:
    assert all(title.endswith(("(ms)", "(%)", "(min)", "(USD)")) for title in published.table(Results({})).head[2:])

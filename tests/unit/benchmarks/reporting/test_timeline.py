"""One killed item of each arm, event by event."""

from __future__ import annotations

from typing import Any, cast

from benchmarks.contract import FaultPlan, ItemTrial, LedgerLine, Trial
from benchmarks.reporting.timeline import TIMELINE, timeline


def line(item: str, at: float, event: Any, *, step: int = 0, attempt: int = 1) -> LedgerLine:
    return LedgerLine(at=at, item=item, kind="request", step=step, attempt=attempt, event=event)


def trial(
    arm: str, *lines: LedgerLine, plan: str = "kills", ended: float | None = None, failure: str | None = None
) -> Trial:
    came_of = tuple(
        ItemTrial(item=item, submitted_at=100.0, ended_at=ended, state="done", answer=None)
        for item in {line.item for line in lines}
    )
    of = FaultPlan(name=plan, seed=1)
    return Trial(
        arm=arm,
        workload="retail",
        plan=of,
        round=0,
        items=(),
        came_of=came_of,
        used=None,
        ledger=lines,
        harness_failure=failure,
    )


def rows(*trials: Trial) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", timeline(trials).to_dict("records"))


def test_seconds_count_from_the_submission_in_the_order_of_time() -> None:
    lines = [line("a", 103.0, "started", attempt=2), line("a", 101.0, "started"), line("a", 102.0, "killed")]
    found = rows(trial("dbos", *lines, ended=110.0))
    assert [(row["seconds"], row["event"], row["attempt"]) for row in found] == [
        (0.0, "submitted", 0),
        (1.0, "started", 1),
        (2.0, "killed", 1),
        (3.0, "started", 2),
        (10.0, "ended", 0),
    ]


def test_what_never_ended_has_no_end() -> None:
    assert [row["event"] for row in rows(trial("dbos", line("a", 101.0, "killed")))] == ["submitted", "killed"]


def test_it_is_the_item_that_was_killed_in_the_most_arms() -> None:
    killed = {item: line(item, 101.0, "killed") for item in "abc"}
    spared = line("b", 101.0, "finished")
    found = rows(
        trial("dbos", killed["a"], killed["b"]),
        trial("layered", killed["b"], killed["c"]),
        trial("monolith", spared, killed["c"]),
        trial("while_loop", killed["b"]),
        trial("layered_s3", spared),
    )
    assert {row["arm"]: row["item"] for row in found} == {
        "dbos": "b",
        "layered": "b",
        "monolith": "c",
        "while_loop": "b",
    }


def test_a_trial_in_which_the_harness_failed_shows_nothing() -> None:
    assert rows(trial("dbos", line("a", 101.0, "killed"), failure="no port was free")) == []


def test_the_columns_are_there_without_a_row() -> None:
    assert list(timeline([]).columns) == list(TIMELINE)

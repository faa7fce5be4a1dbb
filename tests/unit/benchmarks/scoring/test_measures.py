"""Every measure by a case computed by hand, and by one where the answer is bad."""

from __future__ import annotations

import math
from functools import cache

import pandas as pd
import pytest

from benchmarks.contract import Decision, Item, Parts, Trial
from benchmarks.scoring.measures import MEASURES
from benchmarks.scoring.summing_up import measure
from tests.unit.benchmarks.scoring.building import (
    APPROVED,
    CODE,
    LOOK,
    REFUND,
    Course,
    decision,
    frames_of,
    item,
    only,
    right_course,
    trial,
    used,
)

ONE, TWO, THREE, FOUR = (item(LOOK, REFUND, id=f"i{number}", wait_hours=number) for number in (1, 2, 3, 4))
CHAIN = item(*(LOOK,) * 10)
NEVER = math.inf

CASES: dict[str, tuple[str, float, float]] = {
    # The first chunk comes 1.2 s after submission; of the bad arm's four items two never get one.
    "first_token_p50": ("retail", 1200, NEVER),
    "first_token_p95": ("retail", 1200, NEVER),
    "overhead_p50": ("retail", 1000, NEVER),
    # Bad: of five completed steps of the first item four are executed again, and the one of the second is lost.
    "state_persistence_rate": ("retail", 100, 100 / 6),
    "unavoidable_loss_rate": ("retail", 0, 100 / 6),
    "runs_done_rate": ("retail", 100, 25),
    "deployment_overhead": ("retail", 1.5, NEVER),
    "deployment_serving": ("retail", 1.5, NEVER),
    "runs_lost_per_deploy": ("retail", 0, 2),
    # Bad: one is doubled, three are not made.
    "tool_call_success_rate": ("retail", 100, 0),
    # Six requests at $0.00045 over two items; over four.
    "cost_tokens_per_10k_runs": ("retail", 13.5, 6.75),
    # $0.09 over two items; $0.05 over four. Idle: two hours at 0.5 GiB, and four at 5 GiB and a quarter of a core.
    "cost_compute_per_10k_runs": ("retail", 450, 125),
    "cost_idle_per_10k_runs": ("retail", 36_000, 450_000),
    "cost_per_10k_runs": ("retail", 36_463.5, 450_131.75),
    "idle_memory": ("retail", 512, 5120),
    "idle_cpu": ("retail", 0, 0.25),
    # One crash; one doubled effect and one silent failure in two crashes.
    "duplicate_effects_per_100_crashes": ("retail", 0, 50),
    "silent_failures_per_100_faults": ("retail", 0, 50),
    # Of two items with code, that of one came with the credential.
    "credentials_taken_per_100_runs": ("coding", 0, 50),
    # Of two calls that were asked about, one was asked about again.
    "approvals_asked_again": ("retail", 0, 50),
    # Of two refunds that a person has to approve, one was made before they had.
    "unasked_effects_per_100_approvals": ("approvals", 0, 50),
    # Bad: one of the two that were killed never comes back.
    "recovery_p50": ("retail", 2, NEVER),
    "containers_left": ("retail", 0, 3),
    "peak_memory": ("retail", 300, 900),
    # 0.1 s over ten steps and 400 bytes a step; 20 s and 100 kB.
    "checkpoint_ms": ("steps-10", 10, 2000),
    "checkpoint_bytes": ("steps-10", 400, 100_000),
    "runs_per_second": ("throughput-20", 0.1, 0),
    "user_code_lines": ("all", 40, 400),
}


def good() -> list[Trial]:
    killed = Course("i1").request(0).add("started", "call", 0).killed("call", 0, "received")
    killed.call(0).request(1).call(1, effect=True).request(2)
    return [
        trial(
            (ONE, killed),
            (TWO, right_course(TWO)),
            arm="good",
            plan="kills",
            used=used(containers_left=0, memory_gib_seconds=27.0, idle_seconds=4.0, idle_gib_seconds=2.0),
            deploys=(Parts(parts={}, serving_seconds=90.0),),
            more={"asked": 2},
        ),
        chain("good", 0.1, 4000),
        trial((ONE, right_course(ONE)), arm="good", workload="throughput-20"),
        trial(*coding(), arm="good", workload="coding"),
        approvals("good", decision(APPROVED)),
    ]


def bad() -> list[Trial]:
    over = Course("i1").request(0).call(0).request(1).call(1, effect=True, fault="kill/done")
    over.killed("call", 1, "done").request(0).call(0).request(1).call(1, effect=True).request(2)
    gone = Course("i2").request(0).killed("request", 0, "answered")
    return [
        trial(
            (ONE, over),
            (TWO, gone),
            (THREE, Course("i3")),
            (FOUR, Course("i4")),
            arm="bad",
            plan="kills",
            states={"i2": "running", "i3": "failed", "i4": "failed"},
            used=used(
                **{"idle_seconds": 4.0, "idle_gib_seconds": 20.0, "idle_cpu_seconds": 1.0},
                **{"containers_left": 3, "peak_memory_mib": 900.0},
            ),
            deploys=(Parts(parts={}, serving_seconds=None, lost=2),),
            more={"asked": 3, "asked_again": 1},
        ),
        chain("bad", 20.0, 1_000_000),
        trial((ONE, right_course(ONE)), arm="bad", workload="throughput-20", states={"i1": "failed"}),
        trial(*coding("i1"), arm="bad", workload="coding"),
        approvals("bad"),
    ]


def approvals(arm: str, *decisions: Decision) -> Trial:
    """Two items of which one is approved in time, and these decisions come about the other."""
    of = [(each, right_course(each)) for each in (item(APPROVED, id="i1"), item(APPROVED, id="i2"))]
    whole = trial(*of, arm=arm, workload="approvals", more={"decisions": (decision(APPROVED),)})
    first = whole.came_of[0].model_copy(update={"decisions": decisions})
    return whole.model_copy(update={"came_of": (first, *whole.came_of[1:])})


def coding(*taken: str) -> list[tuple[Item, Course]]:
    """Two items that run code, and one that does not; the code of these comes to the world with the credential."""
    of = [(each, right_course(each)) for each in (item(CODE, id="i1"), item(LOOK, CODE, id="i2"), item(LOOK, id="i3"))]
    for each, course in of:
        if each.id in taken:
            course.add("taken", "call", 0)
    return of


def chain(arm: str, seconds: float, state_bytes: int) -> Trial:
    course = right_course(CHAIN)
    course.lines[-1] = course.lines[-1].model_copy(update={"at": course.at + seconds})
    return trial((CHAIN, course), arm=arm, workload="steps-10", used=used(state_bytes=state_bytes))


@cache
def measured() -> pd.DataFrame:
    trials = [*good(), *bad(), chain("while_loop", 0.0, 0)]
    return measure(frames_of(*trials, user_code={"good": 40, "bad": 400}), count=50)


def test_every_measure_has_a_case() -> None:
    assert sorted(CASES) == sorted(each.name for each in MEASURES)


@pytest.mark.parametrize("name", CASES)
def test_by_hand(name: str) -> None:
    workload, right, wrong = CASES[name]
    plan = {"retail": "kills", "all": "all"}.get(workload, "none")
    at = {"measure": name, "workload": workload, "plan": plan}
    assert only(measured(), arm="good", **at)["value"] == pytest.approx(right)
    assert only(measured(), arm="bad", **at)["value"] == pytest.approx(wrong)


def test_a_rate_says_of_how_many() -> None:
    row = only(measured(), arm="bad", measure="state_persistence_rate", plan="kills")
    assert (row["n"], row["part"], row["of"], row["unit"], row["better"]) == (2, 1.0, 6.0, "%", "higher")
    assert math.isnan(only(measured(), arm="bad", measure="recovery_p50", plan="kills")["of"])


def test_what_a_trial_costs_is_one_figure_however_many_share_it() -> None:
    for name in ("cost_per_10k_runs", "cost_compute_per_10k_runs", "cost_idle_per_10k_runs"):
        row = only(measured(), arm="bad", measure=name, plan="kills")
        assert (row["n"], row["of"]) == (1, 4.0)
        assert math.isnan(row["low"])
    assert only(measured(), arm="bad", measure="cost_tokens_per_10k_runs", plan="kills")["n"] == 4


def test_what_cannot_be_measured_has_no_row() -> None:
    quiet = measure(frames_of(trial((ONE, right_course(ONE)), used=None)), count=10)
    assert {
        "recovery_p50",
        "cost_per_10k_runs",
        "peak_memory",
        "idle_memory",
        "deployment_overhead",
        "approvals_asked_again",
    }.isdisjoint(quiet["measure"])
    assert "duplicate_effects_per_100_crashes" not in set(quiet["measure"])


def test_what_other_plans_double_is_not_laid_to_the_crashes() -> None:
    doubled = Course().request(0).call(0, effect=True).call(0, effect=True).request(1)
    of = item(REFUND)
    crash = Course().request(0).killed("request", 0, "answered").call(0, effect=True).request(1)
    both = measure(frames_of(trial((of, doubled), plan="tool_errors"), trial((of, crash), plan="kills")), count=10)
    name = "duplicate_effects_per_100_crashes"
    assert only(both, measure=name, plan="all faults")["value"] == 0
    in_trial = trial((of, crash), (item(REFUND, id="i2"), Course("i2", at=101.0)), plan="kills")
    more = [line.model_copy(update={"item": "i2"}) for line in doubled.lines]
    shared = in_trial.model_copy(update={"ledger": (*in_trial.ledger, *more)})
    # An item that was not killed itself, in a process that was.
    assert only(measure(frames_of(shared), count=10), measure=name, plan="kills")["value"] == 100

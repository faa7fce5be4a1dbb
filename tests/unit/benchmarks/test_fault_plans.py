"""A fault plan is the same for every arm, and names steps that are really made."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.contract import Fault, FaultPlan, Item
from benchmarks.fault_plans import FAULTS, HAPPENINGS, KILLED_SHARE, SLOW_SECONDS, SOON_SECONDS, make
from benchmarks.workloads import make_items, renamed

RETAIL = make_items("retail", 1, 24)
APPROVALS = make_items("approvals", 1, 24)
CODING = make_items("coding", 1, 24)
ALL = (*FAULTS, *HAPPENINGS)


def moments(plan: FaultPlan) -> set[tuple[str, str, str]]:
    return {(fault.kind, fault.what, fault.when) for fault in plan.faults}


@pytest.mark.parametrize("name", ALL)
def test_a_plan_follows_from_its_seed(name: str) -> None:
    plan = make(name, 1, RETAIL)
    assert (plan.name, plan.seed) == (name, 1)
    assert plan == make(name, 1, RETAIL)
    assert bool(plan.faults) is (name in FAULTS and name != "none")
    if plan.faults:
        assert plan.faults != make(name, 2, RETAIL).faults


@pytest.mark.parametrize("name", ALL)
def test_it_does_not_depend_on_what_items_are_called(name: str) -> None:
    other = make(name, 1, [renamed(item, "r7") for item in RETAIL])
    here = make(name, 1, RETAIL)
    assert [fault.item for fault in other.faults] == [f"r7-{fault.item}" for fault in here.faults]
    assert [fault.model_copy(update={"item": ""}) for fault in other.faults] == [
        fault.model_copy(update={"item": ""}) for fault in here.faults
    ]


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("items", [RETAIL, APPROVALS, CODING], ids=["retail", "approvals", "coding"])
def test_faults_meet_steps_that_are_made(name: str, items: tuple[Item, ...]) -> None:
    by_id = {item.id: item for item in items}
    for fault in make(name, 1, items).faults:
        actions = by_id[fault.item].actions
        if fault.kind == "request":
            assert fault.step <= len(actions)
        else:
            assert actions[fault.step].approval != "deny"
            assert actions[fault.step].result is None
    steps = Counter((fault.item, fault.kind, fault.step) for fault in make(name, 1, items).faults)
    assert set(steps.values()) <= {1}


def test_tools_fail_before_and_after_they_have_done_their_work() -> None:
    plan = make("tool_errors", 1, RETAIL)
    three = {("error", "received"), ("timeout", "received"), ("timeout", "done")}
    assert moments(plan) == {("call", what, when) for what, when in three}
    by_id = {item.id: item for item in RETAIL}
    changing = [fault for fault in plan.faults if by_id[fault.item].actions[fault.step].changes]
    assert moments(plan.model_copy(update={"faults": changing})) == moments(plan)
    calls = sum(len(item.actions) for item in RETAIL)
    assert 0.3 < len(plan.faults) / calls < 0.45
    assert {fault.times for fault in plan.faults} == {1, 2}


def test_slow_tools_answer_before_clients_give_up() -> None:
    plan = make("slow_tools", 1, RETAIL)
    assert moments(plan) == {("call", "slow", "received")}
    low, high = SLOW_SECONDS
    assert all(low <= fault.seconds <= high < 2 for fault in plan.faults)


def test_the_model_refuses_in_both_ways() -> None:
    plan = make("model_errors", 1, RETAIL)
    assert moments(plan) == {("request", "rate_limit", "received"), ("request", "error", "received")}
    assert {fault.times for fault in plan.faults} == {1, 2}


@pytest.mark.parametrize("items", [RETAIL, APPROVALS], ids=["retail", "approvals"])
def test_every_other_item_is_killed_once_at_some_moment(items: tuple[Item, ...]) -> None:
    faults = make("kills", 1, items).faults
    assert len(faults) == len({fault.item for fault in faults}) == KILLED_SHARE * len(items)
    assert {(fault.kind, fault.when) for fault in faults} == {
        (kind, when) for kind in ("request", "call") for when in ("received", "done", "answered")
    }
    assert {(fault.what, fault.times) for fault in faults} == {("kill", 1)}


@pytest.mark.parametrize("items", [RETAIL, APPROVALS], ids=["retail", "approvals"])
def test_nothing_is_killed_after_an_answer_with_which_it_may_end(items: tuple[Item, ...]) -> None:
    by_id = {item.id: item for item in items}
    late: list[Fault] = []
    for seed in range(20):
        late += (fault for fault in make("kills", seed, items).faults if fault.when == "answered")
    assert {fault.seconds for fault in late} == set(SOON_SECONDS)
    for fault in late:
        actions = by_id[fault.item].actions
        assert fault.kind == "call" or (fault.step < len(actions) and actions[fault.step].approval == "none")


def test_mixed_has_some_of_each_and_one_for_each_item() -> None:
    plan = make("mixed", 1, RETAIL)
    assert {fault.what for fault in plan.faults} == {"kill", "timeout", "error", "rate_limit", "slow"}
    assert max(Counter(fault.item for fault in plan.faults).values()) == 1
    assert len(make("mixed", 1, RETAIL[:6]).faults) == 6


def test_items_without_calls_are_killed_at_a_request() -> None:
    silent = [item.model_copy(update={"actions": ()}) for item in RETAIL[:8]]
    assert make("tool_errors", 1, silent).faults == ()
    assert {(fault.kind, fault.step) for fault in make("kills", 1, silent).faults} == {("request", 0)}


@pytest.mark.parametrize("name", HAPPENINGS)
def test_what_happens_to_the_whole_arm(name: str) -> None:
    (happening,) = make(name, 1, APPROVALS).happenings
    assert happening.what == name
    assert (happening.seconds > 0) is (name == "store_outage")


def test_an_unknown_plan_is_none() -> None:
    with pytest.raises(KeyError):
        make("nothing", 1, RETAIL)

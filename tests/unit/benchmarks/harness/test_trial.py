"""Trials of an arm that does what it is asked and no more, in the real world."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.arms.protocol import Job, Look, Place
from benchmarks.contract import Fault, FaultPlan, Happening, Item, LedgerLine, Parts, Trial, told
from benchmarks.fault_plans import make
from benchmarks.harness import PROJECT, person
from benchmarks.harness.person import READ_SECONDS, SETTLE_SECONDS
from benchmarks.harness.trial import Task, place_for, run_trial
from benchmarks.harness.world import Ledger, World, world
from benchmarks.workloads import make_items, renamed
from tests.unit.benchmarks.harness.fake_arm import RESTART_SECONDS, FakeArm
from triptych.settings import ScriptedSettings

MARK = "the-mark-of-no-process"
SLOWLY = ScriptedSettings(first_token_seconds=0.3)


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("world") / "world", MARK) as around:
        yield around


@pytest.fixture
def place(around: World, tmp_path: Path) -> Place:
    return place_for(tmp_path / "arm", around, MARK, sys.executable, PROJECT)


def items(workload: str, count: int, prefix: str) -> tuple[Item, ...]:
    return tuple(renamed(item, prefix) for item in make_items(workload, 1, count))


def task(of: tuple[Item, ...], plan: FaultPlan, **more: object) -> Task:
    told: dict[str, object] = {
        "arm": "fake",
        "workload": of[0].workload,
        "items": of,
        "plan": plan,
        "round": 0,
        "pace": ScriptedSettings(),
        "time_scale": 36_000.0,
        "deadline_seconds": 60.0,
    }
    return Task(**(told | more))  # pyright: ignore[reportArgumentType]


def states(trial: Trial) -> list[str]:
    assert (trial.harness_failure, trial.arm_failure) == (None, None)
    return [each.state for each in trial.came_of]


def test_items_are_handed_in_and_watched_to_their_ends(around: World, place: Place) -> None:
    of = items("retail", 3, "plain")
    trial = run_trial(task(of, make("none", 1, of)), FakeArm(place), place, around, print)
    assert states(trial) == ["done"] * 3
    assert [each.answer for each in trial.came_of] == [item.answer for item in of]
    finished = [(line.item, line.kind, line.step) for line in trial.ledger if line.event == "finished"]
    assert sorted(finished) == sorted(
        (item.id, kind, step)
        for item in of
        for kind, steps in (("request", len(item.actions) + 1), ("call", len(item.actions)))
        for step in range(steps)
    )
    assert trial.used is not None
    assert trial.used.state_bytes == 3000
    assert 0 < trial.used.seconds < 60


def test_so_many_items_are_under_way_at_once(around: World, place: Place) -> None:
    of = items("throughput", 6, "few")
    trial = run_trial(task(of, make("none", 1, of), at_once=2, pace=SLOWLY), FakeArm(place), place, around, print)
    assert states(trial) == ["done"] * 6
    spans = [(each.submitted_at, each.ended_at or 0) for each in trial.came_of]
    assert max(sum(began <= at < ended for began, ended in spans) for at, _ in spans) == 2


def test_a_person_is_asked_and_an_arm_restarted_while_it_waits(around: World, place: Place) -> None:
    of, arm = items("approvals", 4, "asked"), FakeArm(place)
    trial = run_trial(task(of, make("restart", 1, of)), arm, place, around, print)
    assert states(trial) == ["done"] * 4
    assert [(each.asked, each.asked_again) for each in trial.came_of] == [(1, 0)] * 4
    assert arm.restarts == 1
    (struck,) = trial.struck
    assert struck.what == "restart"
    assert struck.until - struck.at < RESTART_SECONDS, "it is not from when the killing began"
    waits = [each.waits[0] for each in trial.came_of]
    undisturbed_since = max(struck.until, *(since for since, _ in waits))
    for (_, until), item in zip(waits, of, strict=True):
        opened_at = until - item.wait_hours * 0.1
        assert opened_at > undisturbed_since + SETTLE_SECONDS + READ_SECONDS - 0.01, "nobody answers before that"
    assert trial.used is not None
    assert 1 < trial.used.idle_seconds < trial.used.seconds - SETTLE_SECONDS
    intended = {item.id for item in of for action in item.actions if action.approval == "approve"}
    applied = {line.item for line in trial.ledger if line.event == "applied"}
    assert applied == intended
    assert applied != {item.id for item in of}, "every fourth is denied"
    for each, item, (_, until) in zip(trial.came_of, of, waits, strict=True):
        (decision,) = each.decisions
        assert decision.call == told("refund", next(a.arguments for a in item.actions if a.approval != "none"))
        assert decision.approve == (item.id in intended)
        assert decision.at == until


def test_an_item_that_is_stuck_leaves_idle_unread(around: World, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(person, "OPEN_AT_THE_LATEST_SECONDS", 1.0)
    of = items("approvals", 2, "stuck")
    late = Fault(item=of[1].id, kind="request", step=0, what="slow", seconds=5)
    trial = run_trial(task(of, FaultPlan(name="slow", seed=1, faults=(late,))), FakeArm(place), place, around, print)
    assert states(trial) == ["done"] * 2
    (first,), (second,) = (each.waits for each in trial.came_of)
    assert first[1] < second[0], "it is not held up"
    assert second[1] - second[0] < SETTLE_SECONDS, "the desk stays open"
    assert trial.used is not None
    assert (trial.used.idle_seconds, trial.used.idle_gib_seconds) == (0, 0)


def test_a_deploy_is_over_when_the_new_version_asks_the_model(around: World, place: Place) -> None:
    of = items("retail", 2, "deploy")
    trial = run_trial(task(of, make("deploy", 1, of), pace=SLOWLY), FakeArm(place), place, around, print)
    assert states(trial) == ["done"] * 2
    (deploy,) = trial.deploys
    assert deploy.parts == {"read": 0.0}
    assert deploy.serving_seconds is not None
    assert deploy.lost == 0
    (struck,) = trial.struck
    assert (struck.what, struck.until - struck.at < deploy.serving_seconds) == ("deploy", True)
    assert {line.version for line in trial.ledger if line.kind == "request" and line.event == "started"} == {"1"}
    assert {line.item for line in trial.ledger} == {item.id for item in of}, "probes are not part of it"


class _NeverTheNewOne(FakeArm):
    def deploy(self) -> dict[str, float]:
        return {"forgotten": 0.0}


def test_a_deploy_that_never_serves_is_told(around: World, place: Place) -> None:
    of = items("retail", 1, "never")
    trial = run_trial(task(of, make("deploy", 1, of), pace=SLOWLY), _NeverTheNewOne(place), place, around, print)
    (deploy,) = trial.deploys
    assert deploy.serving_seconds is None


def test_an_item_that_does_not_end_has_no_end(around: World, place: Place) -> None:
    of = items("retail", 1, "slow")
    plan = FaultPlan(
        name="slow", seed=1, faults=(Fault(item=of[0].id, kind="request", step=0, what="slow", seconds=9),)
    )
    trial = run_trial(task(of, plan, deadline_seconds=1.0), FakeArm(place), place, around, print)
    assert states(trial) == ["running"]
    assert trial.came_of[0].ended_at is None


def test_an_outage_comes_when_it_is_due(around: World, place: Place) -> None:
    of, arm = items("retail", 2, "outage"), FakeArm(place)
    plan = FaultPlan(name="out", seed=1, happenings=(Happening(what="store_outage", after_share=0.3, seconds=4),))
    trial = run_trial(task(of, plan, pace=SLOWLY), arm, place, around, print)
    assert arm.outages == [4]
    assert [each.what for each in trial.struck] == ["store_outage"]
    # Of eight requests three are answered by then.
    answered = [line.at for line in trial.ledger if line.kind == "request" and line.event == "finished"]
    assert sorted(answered)[1] < trial.struck[0].at


class _Breaks(FakeArm):
    """Cannot do one thing."""

    what = ""

    def submit(self, job: Job) -> None:
        self._perhaps("submit")
        super().submit(job)

    def look(self, job: Job) -> Look:
        self._perhaps("look")
        return super().look(job)

    def decide(self, job: Job, approve: bool) -> None:
        self._perhaps("decide")
        super().decide(job, approve)

    def deploy(self) -> dict[str, float]:
        self._perhaps("deploy")
        return super().deploy()

    def restart(self) -> dict[str, float]:
        self._perhaps("restart")
        return super().restart()

    def store_outage(self, seconds: float) -> None:
        self._perhaps("store_outage")
        super().store_outage(seconds)

    def _perhaps(self, what: str) -> None:
        if what == self.what:
            raise TimeoutError(f"no {what}")


@pytest.mark.parametrize("what", ["submit", "look", "decide", "deploy", "restart", "store_outage"])
def test_what_an_arm_cannot_do_counts_and_ends_its_trial(around: World, place: Place, what: str) -> None:
    of, arm = items("approvals", 2, f"breaks-{what.replace('_', '-')}"), _Breaks(place)
    arm.what = what
    happenings = tuple(
        Happening.model_validate({"what": each, "after_share": 0.5, "seconds": 1})
        for each in ("deploy", "restart", "store_outage")
        if each == what
    )
    plan = FaultPlan(name="breaks", seed=1, happenings=happenings)
    trial = run_trial(task(of, plan, at_once=1), arm, place, around, print)
    assert trial.harness_failure is None
    assert trial.arm_failure is not None
    assert trial.arm_failure.endswith(f"TimeoutError: no {what}")
    assert [each.item for each in trial.came_of] == [item.id for item in of], "what it was not even handed is not done"
    assert {each.ended_at for each in trial.came_of} == {None}
    assert trial.came_of[1].state == "unknown"
    assert trial.used is not None
    assert [each.what for each in trial.struck] == [each.what for each in happenings]
    failed = Parts(parts={}, serving_seconds=None, lost=1)
    assert list(trial.deploys) == ([failed] if what == "deploy" else [])
    # The next one has its own chance.
    arm.what = ""
    again = items("retail", 1, f"after-{what.replace('_', '-')}")
    assert states(run_trial(task(again, make("none", 1, again)), arm, place, around, print)) == ["done"]


def test_an_arm_that_takes_no_item_after_a_deploy_has_not_been_deployed(around: World, place: Place) -> None:
    class NoMore(_Breaks):
        def deploy(self) -> dict[str, float]:
            self.what = "submit"
            return {"read": 0.0}

    of = items("retail", 1, "no-more")
    trial = run_trial(task(of, make("deploy", 1, of), pace=SLOWLY), NoMore(place), place, around, print)
    assert trial.arm_failure == "it could not take an item: TimeoutError: no submit"
    assert list(trial.deploys) == [Parts(parts={"read": 0.0}, serving_seconds=None, lost=1)]


def test_a_failure_of_the_harness_is_told_apart(around: World, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Ledger) -> list[LedgerLine]:
        if time.monotonic() < until:
            raise OSError("the ledger cannot be read")
        return refresh(self)

    until, refresh = time.monotonic() + 0.5, Ledger.refresh
    monkeypatch.setattr(Ledger, "refresh", broken)
    of = items("retail", 1, "broken")
    trial = run_trial(task(of, make("deploy", 1, of)), FakeArm(place), place, around, print)
    assert trial.harness_failure == "OSError: the ledger cannot be read"
    assert (trial.arm_failure, trial.used) == (None, None)

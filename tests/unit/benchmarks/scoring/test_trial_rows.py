"""The rows of one trial, by cases computed by hand."""

from __future__ import annotations

import json
import math

import pytest

from benchmarks.contract import Item, Parts, Trial
from benchmarks.scoring.frames import CHECKPOINTS, DEPLOYS, THROUGHPUT, USE
from tests.unit.benchmarks.scoring.building import (
    APPROVED,
    LOOK,
    Course,
    came_of,
    frames_of,
    item,
    only,
    right_course,
    trial,
    used,
)

CHAIN = item(*(LOOK,) * 10)
"""Eleven requests of 0.5 s and ten calls of 0.1 s: 6.5 s."""


def slower(of: Item, seconds: float) -> Course:
    """The right course, and then so much longer."""
    course = Course(of.id)
    for step in range(len(of.actions)):
        course.request(step).call(step)
    return course.add("started", "request", 10).add("finished", "request", 10, after=0.5 + seconds)


def run(arm: str, seconds: float, *, round: int = 0, plan: str = "none") -> Trial:
    of = used(state_bytes=4000)
    return trial((CHAIN, slower(CHAIN, seconds)), arm=arm, workload="steps-10", round=round, plan=plan, used=of)


def test_a_checkpoint_by_hand() -> None:
    frames = frames_of(run("while_loop", 0.0), run("layered", 0.2))
    row = only(frames.checkpoints, arm="layered")
    assert list(row) == list(CHECKPOINTS)
    assert (row["steps"], row["state_bytes_per_step"]) == (10, 400.0)
    assert row["seconds"] == pytest.approx(6.7)
    assert row["bare_seconds"] == pytest.approx(6.5)
    assert row["ms_per_step"] == pytest.approx(20.0)
    assert math.isnan(only(frames.checkpoints, arm="while_loop")["ms_per_step"])


def test_a_checkpoint_that_costs_much_shows() -> None:
    frames = frames_of(run("while_loop", 0.0), run("layered", 20.0))
    assert only(frames.checkpoints, arm="layered")["ms_per_step"] == pytest.approx(2000.0)


def test_a_run_is_held_against_the_bare_one_of_its_own_round() -> None:
    frames = frames_of(run("while_loop", 5.0, round=1), run("layered", 5.1, round=1), run("layered", 0.1))
    assert only(frames.checkpoints, arm="layered", round=1)["ms_per_step"] == pytest.approx(10.0)
    assert math.isnan(only(frames.checkpoints, arm="layered", round=0)["ms_per_step"])


def test_runs_under_faults_or_of_another_workload_measure_no_checkpoint() -> None:
    lost = trial((CHAIN, slower(CHAIN, 0)), workload="steps-10", states={"i1": "failed"})
    other = trial((CHAIN, slower(CHAIN, 0)), workload="retail")
    assert frames_of(run("layered", 0.1, plan="kills"), lost, other).checkpoints.empty


def test_throughput_by_hand() -> None:
    items = [item(LOOK, id=f"i{number}") for number in range(4)]
    of = [(each, right_course(each)) for each in items]
    frames = frames_of(trial(*of, workload="throughput-20", states={"i3": "failed"}))
    row = only(frames.throughput)
    assert list(row) == list(THROUGHPUT)
    # Three were done in ten seconds; the fourth was not.
    assert (row["in_flight"], row["runs"], row["runs_per_second"]) == (20, 3, 0.3)
    none = trial(*of, workload="throughput-20", states={each.id: "failed" for each in items}, round=1)
    assert only(frames_of(none).throughput)["runs_per_second"] == 0.0
    assert frames_of(trial(*of)).throughput.empty


def test_deploys_by_hand() -> None:
    deploys = (
        Parts(parts={"stop": 4.0, "start": 2.0}, serving_seconds=90.0),
        Parts(parts={}, serving_seconds=30.0, lost=2),
        Parts(parts={}, serving_seconds=None),
    )
    frames = frames_of(trial((CHAIN, right_course(CHAIN)), deploys=deploys))
    assert list(frames.deploys.columns) == list(DEPLOYS)
    assert list(frames.deploys["serving_minutes"]) == [1.5, 0.5, math.inf]
    assert list(frames.deploys["minutes"]) == [1.5, math.inf, math.inf]
    assert list(frames.deploys["lost"]) == [0, 2, 0]
    assert list(json.loads(str(frames.deploys["parts"][0])).items()) == [("stop", 4.0), ("start", 2.0)]


def test_use_by_hand() -> None:
    twice = Course().request(0).killed("request", 0, "answered").request(0)
    frames = frames_of(trial((CHAIN, twice), arm="while_loop", used=used(containers_left=2), time_scale=100.0))
    row = only(frames.use)
    assert list(row) == list(USE)
    assert (row["items"], row["invocations"], row["containers_left"], row["time_scale"]) == (1, 2, 2.0, 100.0)
    assert row["cost_compute_usd"] == pytest.approx(30 * 0.01 + 2 * 0.5)
    assert (row["cost_idle_usd"], row["longest_wait_hours"], row["idle_seconds"]) == (0.0, 0.0, 0.0)
    assert math.isnan(row["idle_memory_mib"])
    assert math.isnan(row["idle_cores"])
    assert math.isnan(row["other_cores"])
    beside = frames_of(trial((CHAIN, twice), used=used(other_cpu_seconds=8.0)))
    assert only(beside.use)["other_cores"] == 0.8


def asked(*hours: float, idle: float = 4.0, unasked: float = 0.0) -> Trial:
    """Items whose people take so long, and one that was to be asked about and never was."""
    items = [item(APPROVED, id=f"i{at}", wait_hours=each) for at, each in enumerate((*hours, unasked))]
    courses = [right_course(each) for each in items]
    of = used(idle_seconds=idle, idle_gib_seconds=20.0 if idle else 0.0, idle_cpu_seconds=1.0 if idle else 0.0)
    came = tuple(came_of(course, each.id, asked=1) for each, course in zip(items, courses, strict=True))
    whole = trial(*zip(items, courses, strict=True), used=of, time_scale=3600.0)
    return whole.model_copy(update={"came_of": (*came[:-1], came[-1].model_copy(update={"asked": 0}))})


def test_idle_by_hand() -> None:
    frames = frames_of(asked(1.0, 3.0, 2.0, unasked=12.0))
    row = only(frames.use)
    # 20 GiB-seconds and one second of CPU in four seconds, for the three hours of the longest that was waited for.
    assert (row["idle_memory_mib"], row["idle_cores"], row["longest_wait_hours"]) == (5 * 1024, 0.25, 3.0)
    assert row["cost_idle_usd"] == pytest.approx(3 * 3600 * (5 * 0.002 + 0.25 * 0.01))
    assert row["cost_compute_usd"] == pytest.approx(3 * 0.01 + 10 * 0.002)
    # They wait side by side, and share it.
    assert list(frames.items["cost_idle_usd"]) == pytest.approx([row["cost_idle_usd"] / 4] * 4)


def test_idle_does_not_grow_with_how_fast_the_harness_lets_hours_go_by() -> None:
    slow, fast = (only(frames_of(asked(2.0).model_copy(update={"time_scale": scale})).use) for scale in (1.0, 3600.0))
    assert slow["cost_idle_usd"] == fast["cost_idle_usd"] > 0


def test_idle_that_was_not_read_leaves_the_cost_of_a_run_unknown() -> None:
    frames = frames_of(asked(1.0, idle=0.0))
    assert math.isnan(only(frames.use)["cost_idle_usd"])
    assert frames.items["cost_idle_usd"].isna().all()
    assert not frames.items["cost_compute_usd"].isna().any()


def test_what_was_not_measured_is_empty_and_not_nothing() -> None:
    frames = frames_of(trial((CHAIN, slower(CHAIN, 0)), workload="steps-10", used=None))
    assert frames.use.empty
    assert math.isnan(only(frames.items)["cost_compute_usd"])
    assert math.isnan(only(frames.checkpoints)["state_bytes_per_step"])
    assert math.isnan(only(frames_of(trial((CHAIN, right_course(CHAIN)))).use)["containers_left"])

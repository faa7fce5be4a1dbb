"""What of a result is quoted for a workload, and what it is said to lack."""

from __future__ import annotations

from typing import Any

from benchmarks import workloads
from benchmarks.arms import ARMS
from benchmarks.scoring.measures import MEASURES
from tests.unit.advice.results import KEYED, ROWS, result
from triptych.advice import Workload
from triptych.advice.quoting import APPROVALS, BARE, CODING, DONE, LAYERED, LOOPS, RETAIL, WANTED, is_ours, quote


def quoted(rows: str = ROWS, **workload: Any) -> list[tuple[str, str, str]]:
    found = quote(Workload.model_validate(workload), result(rows))
    return [(each.measure, each.arm, each.workload) for each in found.figures]


def test_what_matters_for_the_workload_is_quoted() -> None:
    assert [each for each in quoted(steps=4) if each[1] == "layered"] == [
        ("state_persistence_rate", "layered", "retail"),
        ("silent_failures_per_100_faults", "layered", "retail"),
        ("cost_per_10k_runs", "layered", "retail"),
        ("checkpoint_ms", "layered", "steps-10"),
        ("peak_memory", "layered", "retail"),
    ]
    assert {measure for measure, _, _ in quoted(steps=1)} == {"cost_per_10k_runs", "peak_memory"}
    assert ("checkpoint_ms", "layered", "steps-50") in quoted(steps=40)
    assert ("deployment_overhead", "layered", "retail") in quoted(steps=4, outlives_deploys=True)


def test_every_arm_of_the_result_is_quoted() -> None:
    rows = ROWS + KEYED + "dbos,steps-10,none,checkpoint_ms,ms,lower,3,2,4,5,,\n"
    rows += "while_loop_keyed,steps-10,none,checkpoint_ms,ms,lower,0,0,0,5,,\n"
    found = quoted(rows, steps=4)
    assert ("silent_failures_per_100_faults", "while_loop_keyed", "retail") in found
    assert [arm for measure, arm, _ in found if measure == "checkpoint_ms"] == ["dbos", "layered"]  # loops keep none
    lost = quote(Workload(steps=4), result(rows)).lost
    assert "dbos beats layered in checkpoint_ms: 3 ms (2 to 4) against 15 ms (14 to 16)" in lost
    assert any(each.startswith("while_loop_keyed beats layered in cost") for each in lost)


def test_another_store_of_ours_does_not_beat_us() -> None:
    rows = ROWS + "layered_s3,retail,none,cost_per_10k_runs,USD,lower,9,9,9,40,,\n"
    assert ("cost_per_10k_runs", "layered_s3", "retail") in quoted(rows, steps=4)
    assert not any(each.startswith("layered") for each in quote(Workload(steps=4), result(rows)).lost)


def test_what_is_not_in_the_result_is_said_and_not_made_up() -> None:
    unmeasured = quote(Workload(steps=4, pauses=1), result()).unmeasured
    assert "approvals_asked_again of layered" in unmeasured
    assert "state_persistence_rate of monolith" in unmeasured
    assert "state_persistence_rate of layered" not in unmeasured
    assert "overhead_p50 of layered" in quote(Workload(steps=1), result("")).unmeasured


def test_a_run_that_waits_is_not_priced_by_one_that_does_not() -> None:
    waiting = Workload(steps=4, pauses=1)
    found = quote(waiting, result())
    assert not [each for each in found.figures if each.measure == "cost_per_10k_runs"]
    assert {"cost_per_10k_runs of while_loop", "cost_per_10k_runs of layered"} <= set(found.unmeasured)
    rows = ROWS + "layered,approvals,restart,cost_per_10k_runs,USD,lower,50,40,60,6,,\n"
    (cost,) = [each for each in quote(waiting, result(rows)).figures if each.measure == "cost_per_10k_runs"]
    assert (cost.workload, cost.plan, cost.value) == ("approvals", "restart", 50.0)
    rows += "layered,approvals,none,cost_per_10k_runs,USD,lower,45,40,60,6,,\n"
    (cost,) = [each for each in quote(waiting, result(rows)).figures if each.measure == "cost_per_10k_runs"]
    assert (cost.workload, cost.plan, cost.value) == ("approvals", "none", 45.0)
    # Nor the other way round.
    assert (
        "cost_per_10k_runs of layered"
        in quote(Workload(steps=4), result(rows.replace("layered,retail", "layered,other"))).unmeasured
    )


CODE = """\
while_loop,coding,none,credentials_taken_per_100_runs,runs,lower,100,100,100,12,12,12
layered,coding,none,credentials_taken_per_100_runs,runs,lower,0,0,0,12,0,12
layered,coding,kills,containers_left,containers,lower,0,0,0,3,0,3
layered,coding,kills,state_persistence_rate,%,higher,97,95,99,12,,
layered,coding,none,cost_per_10k_runs,USD,lower,40,38,42,12,,
"""


def test_where_code_is_run_only_runs_of_code_are_quoted() -> None:
    for code in ("snippets", "repository"):
        found = quoted(ROWS + CODE, steps=4, code=code)
        of_code = {each for each in found if each[0] != "checkpoint_ms"}
        assert of_code == {
            ("credentials_taken_per_100_runs", "while_loop", "coding"),
            ("credentials_taken_per_100_runs", "layered", "coding"),
            ("containers_left", "layered", "coding"),
            ("state_persistence_rate", "layered", "coding"),
            ("cost_per_10k_runs", "layered", "coding"),
        }
        unmeasured = quote(Workload.model_validate({"steps": 4, "code": code}), result(ROWS + CODE)).unmeasured
        assert {"cost_per_10k_runs of while_loop", "peak_memory of layered"} <= set(unmeasured)
        assert "containers_left of while_loop" not in unmeasured  # it makes none
    assert "credentials_taken_per_100_runs of layered" in quote(Workload(steps=4, code="snippets"), result()).unmeasured
    # No workload of the benchmark both runs code and waits.
    assert not [each for each in quoted(ROWS + CODE, steps=4, code="snippets", pauses=1) if each[0].startswith("cost")]


def test_where_another_arm_beats_ours_it_is_said() -> None:
    lost = quote(Workload(steps=1), result()).lost
    assert lost == (
        "while_loop beats layered in cost_per_10k_runs: $14.20 (14.00 to 14.40) against $19.80 (19.00 to 20.00)",
        "while_loop beats layered in peak_memory: 80 MiB (79 to 81) against 900 MiB (880 to 920)",
        "monolith beats layered in peak_memory: 160 MiB (150 to 170) against 900 MiB (880 to 920)",
    )
    noisy = ROWS.replace("MiB,lower,900,880,920", "MiB,lower,900,100,920")
    assert [each.split()[0] for each in quote(Workload(steps=1), result(noisy)).lost] == ["while_loop", "while_loop"]


def test_what_is_looked_for_is_what_the_benchmark_measures() -> None:
    better = {each.name: each.better for each in MEASURES}
    assert {each.measure: each.better for each in WANTED}.items() <= better.items()
    assert DONE in better
    assert {BARE, LAYERED, *LOOPS} <= ARMS.keys()
    assert [arm for arm in ARMS if is_ours(arm)] == ["layered", "layered_s3"]
    assert {RETAIL, APPROVALS, CODING} <= workloads.WORKLOADS.keys()

"""What changed between two results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.reporting import Comparison, compare, markdown
from benchmarks.reporting.comparison import ELSEWHERE_THE_SAME, ORDER, WHEREVER
from benchmarks.scoring.frames import Frames
from benchmarks.scoring.measures import MEASURES
from tests.unit.benchmarks.reporting import made
from triptych.errors import ConfigurationError

ARMS = ("layered", "monolith")
TIMED = {
    "first_token_p50",
    "first_token_p95",
    "overhead_p50",
    "deployment_overhead",
    "deployment_serving",
    "cost_per_10k_runs",
    "cost_compute_per_10k_runs",
    "cost_idle_per_10k_runs",
    "recovery_p50",
    "checkpoint_ms",
    "runs_per_second",
    "peak_memory",
    "idle_memory",
    "idle_cpu",
}


def saved(folder: Path, frames: Frames, **changed: Any) -> Path:
    """A result as far as `compare` reads it."""
    folder.mkdir()
    (folder / "about.json").write_text(made.about(**changed).model_dump_json())
    for name, content in frames._asdict().items():
        content.to_csv(folder / f"{name}.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("results") / "before", made.frames(arms=ARMS, rounds=2))


def verdicts(found: Comparison) -> dict[str, set[str]]:
    by_verdict: dict[str, set[str]] = {}
    for change in found.changes:
        by_verdict.setdefault(change.verdict, set()).add(change.key.measure)
    return by_verdict


def shown(found: Comparison) -> str:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(found.table())
    return capture.get()


def test_a_result_has_not_changed_from_itself(before: Path) -> None:
    found = compare(before, before)
    assert found.circumstances == ()
    assert set(verdicts(found)) <= {"inside the noise", "no interval"}
    assert "Nothing changed beyond the noise." in shown(found)
    assert "are the same" in markdown.render(found.document())


def test_what_became_slower_is_worse_and_comes_first(before: Path, tmp_path: Path) -> None:
    slower = saved(tmp_path / "after", made.frames(arms=ARMS, rounds=2, slower=3.0), commit="fedc", versions={})
    found = compare(before, slower)
    worse = [change for change in found.changes if change.verdict == "worse"]
    order = [ORDER.index(change.verdict) for change in found.changes]
    assert order == sorted(order)
    assert {change.arm for change in worse} == {"layered"}
    assert "first_token_p50" in {change.key.measure for change in worse}
    assert "state_persistence_rate" not in {change.key.measure for change in worse}
    assert {each.what for each in found.circumstances} >= {"commit", "version of langgraph"}
    assert "first_token_p50" in shown(found)
    back = compare(slower, before)
    assert back.changes[0].verdict == "better"


def test_records_are_what_json_can_hold(tmp_path: Path) -> None:
    frames = made.frames(arms=ARMS, rounds=3)
    earlier = saved(tmp_path / "earlier", frames)
    frames.deploys["minutes"] = float("inf")
    found = compare(earlier, saved(tmp_path / "after", frames))
    records = json.loads(json.dumps(found.as_json(), allow_nan=False))["changes"]
    assert records == found.records()
    (row,) = (each for each in records if each["arm"] == "layered" and each["measure"] == "deployment_overhead")
    assert (row["b"], row["unit"], row["plan"], row["verdict"], row["why"]) == (
        *("never", "minutes", "deploy", "worse", None),
    )
    assert isinstance(row["a"], float)


def test_one_round_each_is_not_taken_for_a_comparison(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", made.frames(arms=ARMS, rounds=1))
    slower = saved(tmp_path / "slower", made.frames(arms=ARMS, rounds=1, slower=3.0))
    by_verdict = verdicts(compare(one, slower))
    assert by_verdict["no interval"] >= TIMED - {"idle_cpu", "checkpoint_ms"}
    assert not by_verdict.keys() & {"worse", "better"}
    nothing = Comparison("a", "b", (), ())
    assert "so nothing is called better or worse" in shown(nothing)


def test_another_machine_leaves_what_is_counted(before: Path, tmp_path: Path) -> None:
    machine = {**made.about().machine.model_dump(), "cpu": "Another"}
    found = compare(before, saved(tmp_path / "after", made.frames(arms=ARMS, rounds=2), machine=machine))
    assert [each.what for each in found.circumstances] == ["machine"]
    assert verdicts(found)["not comparable"] <= TIMED
    assert "first_token_p50" in verdicts(found)["not comparable"]
    assert "state_persistence_rate" in verdicts(found)["inside the noise"]
    assert all(change.why == "machines differ" for change in found.changes if change.verdict == "not comparable")
    assert all(change.difference.value is None for change in found.changes if change.verdict == "not comparable")


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"seed": 8}, "seeds differ"),
        ({"profile": "smoke"}, "profiles differ"),
        ({"pace": {"a": 1}}, "paces differ"),
        ({"tau": {"path": "tasks", "sha256": "0123"}}, "tickets differ"),
    ],
)
def test_other_runs_leave_what_is_about_no_run(before: Path, tmp_path: Path, changed: dict[str, Any], why: str) -> None:
    found = compare(before, saved(tmp_path / "after", made.frames(arms=ARMS, rounds=2), **changed))
    compared = {change.key.measure for change in found.changes if change.verdict != "not comparable"}
    assert compared == {"user_code_lines"}
    assert {change.why for change in found.changes if change.verdict == "not comparable"} == {why}
    assert "not comparable" in shown(found)


def test_the_same_tickets_may_lie_elsewhere(tmp_path: Path) -> None:
    frames = made.frames(arms=ARMS, rounds=2)
    here, there = (saved(tmp_path / path, frames, tau={"path": path, "sha256": "0123"}) for path in ("here", "there"))
    assert compare(here, there).circumstances == ()


def test_another_time_scale_or_other_rates_leave_the_rest(before: Path, tmp_path: Path) -> None:
    found = compare(before, saved(tmp_path / "after", made.frames(arms=ARMS, rounds=2), time_scale=60.0))
    assert {change.key.workload for change in found.changes if change.verdict == "not comparable"} == {"approvals"}
    rates = {
        "function": {"gb_second_usd": 1, "request_usd": 1, "as_of": "now"},
        "container": {"vcpu_hour_usd": 1, "gb_hour_usd": 1, "as_of": "now"},
    }
    found = compare(before, saved(tmp_path / "dear", made.frames(arms=ARMS, rounds=2), rates=rates))
    assert {each.split("_")[0] for each in verdicts(found)["not comparable"]} == {"cost"}


def test_another_version_of_the_benchmark_is_not_even_read(before: Path, tmp_path: Path) -> None:
    (tmp_path / "after").mkdir()
    (tmp_path / "after" / "about.json").write_text(made.about(benchmark_version=99).model_dump_json())
    found = compare(before, tmp_path / "after")
    assert found.changes == ()
    assert found.circumstances[0] == ("version of the benchmark", "1", "99", "nothing is compared")
    assert "nothing is compared" in shown(found)


def test_what_only_one_of_them_has_is_said(before: Path, tmp_path: Path) -> None:
    found = compare(before, saved(tmp_path / "after", made.frames(arms=("layered", "dbos"), rounds=2)))
    assert {change.arm for change in found.changes if change.verdict == "only in A"} == {"monolith"}
    assert {change.arm for change in found.changes if change.verdict == "only in B"} == {"dbos"}


def test_a_folder_that_is_no_result_is_refused(before: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no result of this benchmark"):
        compare(before, tmp_path)
    with pytest.raises(ConfigurationError, match="is no result of this benchmark"):
        compare(tmp_path / "nowhere", before)


def test_every_measure_is_known_to_depend_on_the_machine_or_not() -> None:
    assert {measure.name for measure in MEASURES if measure.noise != "rounds"} <= ELSEWHERE_THE_SAME
    assert {measure.name for measure in MEASURES} == ELSEWHERE_THE_SAME | TIMED
    assert not ELSEWHERE_THE_SAME & TIMED
    assert WHEREVER < ELSEWHERE_THE_SAME


def test_a_number_that_no_column_can_hold_is_said_with_the_file(before: Path, tmp_path: Path) -> None:
    broken = saved(tmp_path / "broken", made.frames(arms=ARMS, rounds=2))
    text = (broken / "items.csv").read_text().splitlines()
    cells = text[1].split(",")
    cells[text[0].split(",").index("requests_paid")] = "9" * 30
    (broken / "items.csv").write_text("\n".join([text[0], ",".join(cells), *text[2:]]))
    with pytest.raises(ConfigurationError, match=r"items\.csv cannot be read as a frame"):
        compare(before, broken)

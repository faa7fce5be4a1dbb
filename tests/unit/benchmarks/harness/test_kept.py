"""What a run has kept: whole, cut short, broken, or of another time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.contract import Trial
from benchmarks.harness.kept import TRIALS, Known, go_on_with, missing, read_trials, require_this_version
from tests.unit.benchmarks.reporting import made
from triptych.errors import ConfigurationError

ARMS = ("while_loop", "layered")
OF = made.trials(arms=ARMS)
PLANNED = {Known.of(trial): tuple(item.id for item in trial.items) for trial in OF}


def kept(folder: Path, *lines: str) -> Path:
    (folder / TRIALS).write_text("".join(lines))
    return folder


def line(trial: Trial) -> str:
    return f"{trial.model_dump_json()}\n"


def test_trials_are_read_as_they_were_written(tmp_path: Path) -> None:
    said: list[str] = []
    assert read_trials(kept(tmp_path, *map(line, OF)), said.append) == OF
    assert said == []


def test_a_last_line_that_was_cut_short_is_passed_over_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    assert read_trials(kept(tmp_path, line(OF[0]), line(OF[1])[:-50]), said.append) == OF[:1]
    (note,) = said
    assert f"{tmp_path / TRIALS}, line 2" in note
    assert "cut short" in note


@pytest.mark.parametrize(
    ("broken", "why"), [("{nonsense\n", "Invalid JSON"), ('{"arm": "layered"}\n', "workload: Field required")]
)
def test_a_line_that_is_no_trial_is_named(tmp_path: Path, broken: str, why: str) -> None:
    with pytest.raises(ConfigurationError, match=r"trials\.jsonl, line 2: it is no trial of this version") as error:
        read_trials(kept(tmp_path, line(OF[0]), broken, line(OF[1])), print)
    assert why in str(error.value)


def test_a_folder_without_trials_is_no_result(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no result of this benchmark"):
        read_trials(tmp_path, print)
    with pytest.raises(ConfigurationError, match=r"no trial in .* is over"):
        read_trials(kept(tmp_path, ""), print)


def test_a_result_of_another_version_is_not_scored_again(tmp_path: Path) -> None:
    require_this_version(made.about(), tmp_path)
    with pytest.raises(ConfigurationError, match="measured by version 99 of the benchmark, and this is version"):
        require_this_version(made.about(benchmark_version=99), tmp_path)


def test_what_was_planned_and_is_not_there_is_said_by_arm() -> None:
    arms: dict[str, dict[str, str]] = {arm: {} for arm in ARMS}
    count = sum(trial.arm == "layered" for trial in OF)
    assert missing(made.about(arms=arms, planned=dict.fromkeys(arms, count)), OF) is None
    assert missing(made.about(arms=arms), OF[:1]) is None
    planned = {"while_loop": 2, "layered": count + 1}
    short = missing(made.about(arms=arms, planned=planned), [each for each in OF if each.arm == "layered"])
    assert short is not None
    assert f"0 of 2 trials of `while_loop`, {count} of {count + 1} trials of `layered`" in short


def test_a_result_is_gone_on_with_from_what_counts_of_it(tmp_path: Path) -> None:
    failed = OF[1].model_copy(update={"harness_failure": "no port is free"})
    folder = kept(tmp_path, line(OF[0]), line(failed), line(OF[1])[:-50])
    before = made.about(rounds=1)
    assert go_on_with(folder, before, before.model_copy(update={"rounds": 3}), PLANNED, print) == OF[:1]
    assert (folder / TRIALS).read_text() == line(OF[0])


@pytest.mark.parametrize("text", ["", line(OF[0])[:-50]])
def test_one_without_a_whole_trial_is_gone_on_with_from_nothing(tmp_path: Path, text: str) -> None:
    assert go_on_with(kept(tmp_path, text), made.about(), made.about(), PLANNED, print) == []
    assert (tmp_path / TRIALS).read_text() == ""


@pytest.mark.parametrize("planned", [{}, dict.fromkeys(PLANNED, ("another",))])
def test_one_of_other_workloads_is_not_gone_on_with(tmp_path: Path, planned: dict[Known, tuple[str, ...]]) -> None:
    with pytest.raises(ConfigurationError, match="trials that this run would not have, or not with these items"):
        go_on_with(kept(tmp_path, *map(line, OF)), made.about(), made.about(), planned, print)
    assert (tmp_path / TRIALS).read_text() == "".join(map(line, OF))


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ({"seed": 99}, r"seed \(\d+, now 99\)"),
        ({"commit": "another"}, r"commit \(.*, now another\)"),
        ({"rounds": 1}, "has 2 rounds: give --rounds 2 or more"),
    ],
)
def test_a_result_of_other_circumstances_is_not_gone_on_with(tmp_path: Path, now: dict[str, object], why: str) -> None:
    folder = kept(tmp_path, line(OF[0]), line(OF[1])[:-50])
    before = made.about(rounds=2)
    with pytest.raises(ConfigurationError, match=why):
        go_on_with(folder, before, before.model_copy(update=now), PLANNED, print)
    assert (folder / TRIALS).read_text() == line(OF[0]) + line(OF[1])[:-50]

"""What the report says, and in which order."""

from __future__ import annotations

import math

from benchmarks.reporting import markdown
from benchmarks.reporting.document import Plot
from benchmarks.reporting.measured import Key
from benchmarks.reporting.report import report
from benchmarks.scoring.frames import COLUMNS, frame
from benchmarks.scoring.given import PLANS, WORKLOADS
from benchmarks.scoring.measures import MEASURES
from tests.unit.benchmarks.reporting import made

RECOVERY = Key("recovery_p50", "retail", "kills")


def text(**changed: object) -> str:
    of = made.summed(
        [
            made.measure("layered", RECOVERY, 2.0, 1.5, 2.5),
            made.measure("dbos", RECOVERY, 2.2, 1.6, 2.8),
            made.measure("monolith", RECOVERY, 1.0, 0.8, 1.2),
        ],
        [
            made.difference("dbos", "layered", RECOVERY, 0.2, -0.5, 0.9, "inside the noise"),
            made.difference("monolith", "layered", RECOVERY, -1.0, -1.4, -0.6, "better"),
        ],
    )
    failed = {"arm": "dbos", "workload": "retail", "plan": "kills", "round": 2, "items": 8, "item": ""}
    of["left_out"] = frame(COLUMNS["left_out"], [{**failed, "reason": "no <port> | free"}])
    plots = [Plot("cost", "Cost", "It shows.", None), Plot("recovery", "Recovery", "It shows.", b"png")]
    return markdown.render(report(of, made.about(**changed), plots))


def test_where_another_arm_is_better_comes_first() -> None:
    titles = [line for line in text().splitlines() if line.startswith("## ")]
    assert titles == [
        "## 1. Where another arm beats `layered`",
        "## 2. The published table, and ours",
        "## 3. The four claims",
        "## 4. What the arms were given to do, and what struck them",
        "## 5. All measures by arm",
        "## 6. How the arms were tuned",
        "## 7. Where, when and how it was measured",
    ]
    first = text().split("## 2.")[0]
    assert "| `recovery_p50` (ms) | retail, kills | 2.0 (1.5 to 2.5) | 1.00 (0.80 to 1.20) |" in first


def test_a_difference_inside_the_noise_is_called_that() -> None:
    row = "| retail, kills | 2.0 (1.5 to 2.5) | 1.00 (0.80 to 1.20), better | 2.2 (1.6 to 2.8), inside the noise | 10 |"
    assert row in text()


def test_a_measure_that_was_not_taken_is_named_as_such() -> None:
    said = text()
    assert all(f"### `{measure.name}` ({measure.unit}, {measure.better} is better)" in said for measure in MEASURES)
    assert said.count("It was not measured.") == len(MEASURES) - 1
    assert "| 0 |" not in said.split("## 6.")[0].split("## 5.")[1]


def test_every_arm_says_how_it_was_tuned() -> None:
    said = text().split("## 6.")[1].split("## 7.")[0]
    assert "but for `while_loop`, which leaves out one advice on purpose" in said
    assert said.count("### ") == len(made.ARMS)
    assert "https://docs.example.org/monolith/production" in said
    assert said.endswith("### `dbos`\n\nIt names no source.\n\n")


def test_where_and_when_and_how_to_repeat_it() -> None:
    said = text(is_clean=False).split("## 7.")[1]
    for part in (
        "| machine | Some CPU 3 GHz, 2 cores, 7.8 GiB of memory |",
        "| commit | `0123456789ab`, with changed files |",
        "| seed | 7 |",
        "| rounds | 5 |",
        "| profile | full |",
        "| time scale | 3600:",
        "| the model's pace | first_token_seconds 0.15 |",
        "| dbos | not installed |",
        "```console\nmake bench ARGS='--profile full --seed 7'\n```",
    ):
        assert part in said, part


def test_what_was_left_out_is_said_with_the_reason() -> None:
    said = text().split("### What was left out, and why")[1]
    assert "- Coding agents in the sandbox: no Docker Engine answered." in said
    assert "- The plot “Cost”: its data is not there." in said
    assert r"| `dbos` | retail, kills, round 2 | all 8 | no &lt;port&gt; \| free |" in said
    assert "Recovery" not in said


def test_what_no_benchmark_can_say() -> None:
    said = text().split("### What this benchmark cannot say")[1].split("## 4.")[0]
    assert "3 to 5 times as much" in said
    assert "not measured and cannot be" in said


def of_frames(**frames: object) -> str:
    of = made.summed([made.measure("layered", RECOVERY, 2.0)])
    return markdown.render(report({**of, **made.by_name(made.frames(rounds=1)), **frames}, made.about(), []))  # pyright: ignore[reportArgumentType]


def test_what_an_arm_could_not_do_is_said_beside_what_was_left_out() -> None:
    said = of_frames().split("### What an arm could not do")[1]
    assert "| `while_loop` | approvals, restart, round 1 | it could not stand the restart |" in said
    assert "### What was left out, and why" in said
    assert "What an arm could not do" not in text()


def test_the_published_table_says_how_many_trials_are_not_in_it() -> None:
    line = "In no figure, as the harness failed or the plan did not strike: trials, 1 of `dbos`."
    assert line in text().split("## 2.")[1].split("## 3.")[0]


def test_workloads_and_plans_are_explained_as_far_as_they_were_run() -> None:
    keys = [Key("recovery_p50", "retail", plan) for plan in ("kills", "mixed", "all faults", "none")]
    keys.append(Key("checkpoint_ms", "steps-50", "none"))
    of = made.summed([made.measure("layered", key, 2.0) for key in keys])
    said = markdown.render(report(of, made.about(), [])).split("## 4.")[1].split("## 5.")[0]
    assert f"- `retail`: {WORKLOADS['retail']}." in said
    assert "- `steps-<length>`: " in said
    assert f"- `mixed`: {PLANS['mixed']}." in said
    assert "`approvals`" not in said
    assert "`store_outage`" not in said
    assert "What `all faults` pools here, of each workload: retail: kills, mixed." in said


def test_a_machine_that_was_busy_with_something_else_is_named() -> None:
    assert "| used by all else meanwhile, world and harness included | 0.20 cores in the median trial |" in of_frames()
    use = made.frames(rounds=1).use
    assert "0.80 cores in the median trial. That is much" in of_frames(use=use.assign(other_cores=0.8))
    assert "used by all else" not in of_frames(use=use.assign(other_cores=float("nan")))


def test_recovery_of_a_function_is_said_to_be_too_good() -> None:
    assert text().split("### `recovery_p50`")[1].split("###")[0].count("far too good") == 1


def test_a_figure_with_an_interval_and_none_of_its_difference_does_not_contradict_itself() -> None:
    of = made.summed(
        [made.measure("layered", RECOVERY, 2.0), made.measure("dbos", RECOVERY, 2.2, 1.6, 2.8)],
        [made.difference("dbos", "layered", RECOVERY, 0.2, math.nan, math.nan, "no interval")],
    )
    said = markdown.render(report(of, made.about(), []))
    assert "| retail, kills | 2 (no interval) | 2.2 (1.6 to 2.8), too few rounds to compare | 10 |" in said

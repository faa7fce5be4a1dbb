"""What the report says first: where another arm is better."""

from __future__ import annotations

import math

from benchmarks.reporting import published
from benchmarks.reporting.document import Heading, Section, Table
from benchmarks.reporting.measured import Key, Results
from benchmarks.reporting.numbers import Figure
from benchmarks.reporting.published import FIRST_TOKEN
from benchmarks.reporting.wins import between, of_wins, where, wins
from tests.unit.benchmarks.reporting import made

OTHER = Key("peak_memory", "retail", "none")


def said(section: Section) -> str:
    return repr(section)


def results() -> Results:
    measures = [
        made.measure("layered", FIRST_TOKEN.key, 1800, 1700, 1900),
        made.measure("monolith", FIRST_TOKEN.key, 200, 190, 210),
        made.measure("dbos", FIRST_TOKEN.key, 1750, 1600, 1900),
        made.measure("layered", OTHER, 900, 800, 1000),
        made.measure("monolith", OTHER, 100, 90, 110),
        made.measure("dbos", OTHER, 2000, 1900, 2100),
    ]
    differences = [
        made.difference("monolith", "layered", FIRST_TOKEN.key, -1600, -1700, -1500, "better"),
        made.difference("dbos", "layered", FIRST_TOKEN.key, -50, -200, 100, "inside the noise"),
        made.difference("layered", "monolith", OTHER, 800, 700, 900, "worse"),
        made.difference("dbos", "layered", OTHER, 1100, 900, 1300, "worse"),
    ]
    return Results(made.summed(measures, differences))


def test_beyond_the_noise_and_no_other() -> None:
    assert [(win.arm, win.key) for win in wins(results())] == [("monolith", FIRST_TOKEN.key), ("monolith", OTHER)]


def test_the_published_measures_come_first_with_figures_and_interval() -> None:
    section = of_wins(results())
    tables = [block for block in section.blocks if isinstance(block, Table)]
    assert isinstance(section.blocks[0], Heading)
    assert tables[0].rows == (
        (
            *("`monolith`", "`first_token_p50` (ms)", "retail, no faults", "200 (190 to 210)"),
            *("1,800 (1,700 to 1,900)", "-1,600 (-1,700 to -1,500)"),
        ),
    )
    assert tables[1].rows == (("`peak_memory` (ms)", "retail, no faults", "900 (800 to 1,000)", "100 (90 to 110)"),)
    assert "inside the noise: `dbos` in 1" in said(section)
    assert "4 differences were looked at, of which 4 have an interval" in said(section)


def test_a_single_plan_is_not_told_again_where_all_together_are() -> None:
    keys = [Key("recovery_p50", "retail", plan) for plan in ("kills", "mixed", "all faults", "none")]
    measures = [made.measure(arm, key, 1.0) for arm in ("layered", "dbos") for key in keys]
    rows = [made.difference("dbos", "layered", key, -1, -2, -0.5, "better") for key in keys]
    section = of_wins(Results(made.summed(measures, rows)))
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    assert [row[1] for row in table.rows] == ["retail, no faults", "retail, all faults"]


def test_a_named_measure_without_an_interval_is_told_by_its_name() -> None:
    deploy = published.DEPLOYMENT.key
    keys = [deploy, Key("checkpoint_ms", "steps-10", "none"), OTHER, Key("idle_cpu", "approvals", "none")]
    measures = [made.measure(arm, key, value) for arm, value in (("layered", 2.0), ("dbos", 1.0)) for key in keys]
    rows = [made.difference("dbos", "layered", key, -1, math.nan, math.nan, "no interval") for key in keys]
    worse = Key("recovery_p50", "retail", "kills")
    rows.append(made.difference("dbos", "layered", worse, 1, math.nan, math.nan, "no interval"))
    section = of_wins(Results(made.summed([*measures, made.measure("dbos", worse, 3.0)], rows)))
    assert Heading("Better in the figure, no interval") in section.blocks
    (table,) = (block for block in section.blocks if isinstance(block, Table))
    # In the order of the measures here.
    assert [row[0] for row in table.rows] == [
        "`deployment_overhead` (ms)",
        "`checkpoint_ms` (ms)",
        "`peak_memory` (ms)",
    ]
    assert table.rows[0][2:] == ("2 (no interval)", "1 (no interval)")
    assert "too few rounds for an interval, in other measures: `dbos` in 1" in said(section)
    assert "5 differences were looked at, of which 0 have an interval" in said(section)


def test_that_nobody_is_better_is_said() -> None:
    alone = Results(made.summed([made.measure("layered", OTHER, 1.0)]))
    assert "In no measure is another arm better" in said(of_wins(alone))


def test_without_the_layered_arm_nothing_is_claimed() -> None:
    others = Results(made.summed([made.measure("dbos", OTHER, 1.0)]))
    assert "was not measured here" in said(of_wins(others))


def test_words() -> None:
    assert where(Key("m", "all", "all")) == "whatever the workload"
    assert where(Key("m", "retail", "none")) == "retail, no faults"
    assert between(Figure(-math.inf, -math.inf, -1.0)) == "one of them in part or always never"
    assert between(Figure(-1.0, -2.0, 0.0)) == "-1.0 (-2.0 to 0.0)"

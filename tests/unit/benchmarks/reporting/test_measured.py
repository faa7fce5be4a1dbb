"""The frames `measures` and `differences`, asked for one figure."""

from __future__ import annotations

import math

from benchmarks.reporting.measured import Key, Results
from benchmarks.reporting.numbers import Figure
from tests.unit.benchmarks.reporting import made

KEY = Key("recovery_p50", "retail", "kills")


def test_what_is_empty_is_not_measured() -> None:
    results = Results(made.summed([made.measure("layered", KEY, 2.0)]))
    assert results.figure("layered", KEY) == Figure(2.0, None, None)
    assert results.figure("dbos", KEY) == Figure(None)
    assert results.figure("layered", KEY._replace(plan="none")) == Figure(None)
    assert Results({}).arms == ()


def test_a_pair_counts_either_way_round() -> None:
    rows = [
        made.difference("dbos", "layered", KEY, -2.0, -3.0, -1.0, "better"),
        made.difference("layered", "monolith", KEY, -2.0, -3.0, -1.0, "better"),
        made.difference("layered", "while_loop", KEY, math.inf, math.nan, math.nan, "no interval"),
    ]
    results = Results(made.summed([], rows))
    one, other, third = (results.against_us(arm, KEY) for arm in ("dbos", "monolith", "while_loop"))
    assert one == (Figure(-2.0, -3.0, -1.0), "better")
    assert other == (Figure(2.0, 1.0, 3.0), "worse")
    assert third == (Figure(-math.inf), "no interval")
    assert results.against_us("layered_s3", KEY) is None


def test_all_faults_are_told_once_where_there_is_one_plan() -> None:
    keys = [Key("m", "a", plan) for plan in ("all faults", "none", "kills")]
    more = [Key("m", "b", plan) for plan in ("all faults", "mixed", "kills")]
    results = Results(made.summed([made.measure("layered", key, 1.0) for key in (*keys, *more)]))
    assert set(results.keys) - set(results.shown) == {keys[0]}


def test_arms_and_lengths_come_in_order() -> None:
    names = ("zeta", "monolith", "layered_s3", "layered", "while_loop")
    lengths = [Key("checkpoint_ms", f"steps-{number}", "none") for number in (200, 10, 50)]
    results = Results(made.summed([made.measure(arm, key, 1.0) for arm in names for key in lengths]))
    assert results.arms == ("layered", "while_loop", "monolith", "layered_s3", "zeta")
    assert [key.workload for key in results.keys] == ["steps-10", "steps-50", "steps-200"]

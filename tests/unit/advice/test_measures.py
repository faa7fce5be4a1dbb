"""A measures.csv is read as it stands, and what is not in it is not there."""

from __future__ import annotations

import math

import pytest

from tests.unit.advice.results import HEAD, ROWS, result
from triptych.advice import Figure, parse_measures
from triptych.errors import ConfigurationError


def test_a_row_is_read_whole() -> None:
    assert result().figures[0] == Figure(
        arm="while_loop", workload="retail", plan="kills", measure="silent_failures_per_100_faults", unit="runs",
        value=30.0, low=25.0, high=35.0, n=40, of=20.0,
    )  # fmt: skip


def test_a_row_without_a_value_was_not_measured() -> None:
    assert len(result().figures) == len(ROWS.splitlines()) - 1
    assert result().find("approvals_asked_again", "layered", ["retail"], ["restart"]) is None


def test_never_is_a_value() -> None:
    found = result().find("deployment_overhead", "layered", ["retail"], ["deploy"])
    assert found is not None
    assert math.isinf(found.value)
    assert '"value":"Infinity"' in found.model_dump_json()


def test_the_nearest_workload_is_found_before_the_nearest_plan() -> None:
    rows = "a,two,none,m,s,lower,1,,,1,,\na,one,mixed,m,s,lower,2,,,1,,\n"
    found = result(rows).find("m", "a", ["one", "two"], ["none", "mixed"])
    assert found is not None
    assert (found.workload, found.plan, found.low, found.of) == ("one", "mixed", None, None)


def test_the_nine_columns_are_enough() -> None:
    (found,) = parse_measures("n,high,low,value,unit,measure,plan,workload,arm\n3,2,0,1,s,m,p,w,a\n", "x.csv").figures
    assert (found.arm, found.value, found.n, found.of) == ("a", 1.0, 3, None)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "m.csv:1: it has no column arm, workload, plan"),
        ("arm,workload,plan,measure,unit,value,low,high\n", "m.csv:1: it has no column n;"),
        (HEAD + "a,w,p,m,s,lower,fast,,,1,,\n", "m.csv:2: value: 'fast' is no number"),
        (HEAD + "a,w,p,m,s,lower,1,,,1,,\na,w,p,m,s,lower,1,x,,1,,\n", "m.csv:3: low: 'x' is no number"),
        (HEAD + "a,w,p,m,s,lower,1,,,1.5,,\n", "m.csv:2: n: '1.5' is no count"),
        (HEAD + "a,w,p,m,s,lower,1,,,inf,,\n", "m.csv:2: n: 'inf' is no count"),
        (HEAD + "a,w,p,m,s,lower,1,,,0,,\n", "m.csv:2: n: '0' is no count"),
        (HEAD + "a,w,p,m,s,lower,1,,,-3,,\n", "m.csv:2: n: '-3' is no count"),
        (HEAD + "a,w,p,m,s,lower,1,,,,,\n", "m.csv:2: n: '' is no count"),
        (HEAD + "a,w,p,m,s,lower,1,,,3,,0\n", "m.csv:2: of: '0' is no number of runs"),
        (HEAD + "a,w,p,m,s,lower,1,,,3,,-2\n", "m.csv:2: of: '-2' is no number of runs"),
        (HEAD + "a,w,p,m,s,lower,1,,,3,,inf\n", "m.csv:2: of: 'inf' is no number of runs"),
        (HEAD + "a,w,p,m,USD,lower,-inf,,,3,,\n", "m.csv:2: value: '-inf' cannot be in USD"),
        (HEAD + "a,w,p,m,ms,lower,-inf,,,3,,\n", "m.csv:2: value: '-inf' cannot be in ms"),
        (HEAD + "a,w,p,m,runs,lower,inf,,,3,,\n", "m.csv:2: value: 'inf' cannot be in runs"),
        (HEAD + "a,w,p,m,runs,lower,1,0,inf,3,,\n", "m.csv:2: high: 'inf' cannot be in runs"),
        (HEAD + "a,w,p,m,USD,lower,-2,,,3,,\n", "m.csv:2: value: '-2' cannot be in USD"),
        (HEAD + "a,w,p,m,USD,lower,1e308,,,3,,\n", "m.csv:2: value: '1e308' cannot be in USD"),
        (HEAD + "a,w,p,m,%,higher,101,,,3,,\n", "m.csv:2: value: '101' cannot be in %"),
        (HEAD + "a,w,p,m,s,lower,2,3,1,3,,\n", "m.csv:2: low: 3 is above high, 1"),
        (
            HEAD + "a,w,p,m,s,lower,2,,,3,,\nb,w,p,m,s,lower,2,,,3,,\na,w,p,m,s,lower,9,,,3,,\n",
            "m.csv:4: measure: a, w, p, m stands here twice, first in line 2",
        ),
        ("arm," + "x" * 200_000 + "\n", "m.csv:1: not CSV: field larger than field limit"),
        (HEAD + "a,w\n", None),
    ],
)
def test_what_is_no_result_is_refused_with_its_line(content: str, said: str | None) -> None:
    if said is None:
        assert parse_measures(content, "m.csv").figures == ()
        return
    with pytest.raises(ConfigurationError) as caught:
        parse_measures(content, "m.csv")
    assert str(caught.value).startswith(said)
    assert "; mend: " in str(caught.value)


@pytest.mark.parametrize(
    ("low", "high", "apart"),
    [(4.0, 5.0, True), (3.0, 5.0, False), (0.0, 0.9, True), (0.0, 1.0, False), (None, 9.0, False)],
)
def test_figures_are_apart_where_their_intervals_do_not_touch(low: float | None, high: float, apart: bool) -> None:
    one = Figure(arm="a", workload="w", plan="p", measure="m", unit="s", value=2, low=1, high=3, n=5)
    other = one.model_copy(update={"low": low, "high": high})
    assert one.is_apart_from(other) is other.is_apart_from(one) is apart


def test_a_difference_may_be_below_nothing_and_bounds_equal_but_for_rounding() -> None:
    rows = "a,w,p,m,ms,lower,-0.4,-1,0.2,5,,\na,w,p,k,USD,lower,1.3,1.3000000000000003,1.3,5,,\n"
    assert [each.value for each in result(rows).figures] == [-0.4, 1.3]

"""What compute and tokens cost, by cases computed by hand; and the file that is shipped."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from benchmarks.arms import ARMS
from benchmarks.scoring.rates import compute_cost, is_function, load_rates, request_cost_usd
from tests.unit.benchmarks.scoring.building import RATES, used
from triptych.errors import ConfigurationError


def test_a_container_by_hand() -> None:
    cost = compute_cost(RATES, "layered", used(), invocations=7, wait_seconds=0.0)
    assert cost == pytest.approx((4 * 0.01 + 30 * 0.002, 0.0))


def test_a_function_by_hand() -> None:
    for arm in ("while_loop", "while_loop_keyed"):
        cost = compute_cost(RATES, arm, used(), invocations=7, wait_seconds=0.0)
        assert cost == pytest.approx((30 * 0.01 + 3.5, 0.0))


# Four seconds in which 20 GiB-seconds and one second of CPU were used: 5 GiB are held, and a quarter of a core is used.
IDLE = used(idle_seconds=4.0, idle_gib_seconds=20.0, idle_cpu_seconds=1.0)


def test_what_is_held_and_used_while_people_think_is_billed_for_as_long_as_they_do() -> None:
    cost = compute_cost(RATES, "layered", IDLE, invocations=0, wait_seconds=3600.0)
    assert cost == pytest.approx((3 * 0.01 + 10 * 0.002, 3600 * (5 * 0.002 + 0.25 * 0.01)))


def test_a_function_pays_for_what_it_holds_meanwhile_and_nothing_where_it_holds_nothing() -> None:
    holds = compute_cost(RATES, "while_loop", IDLE, invocations=2, wait_seconds=3600.0)
    assert holds == pytest.approx((10 * 0.01 + 1.0, 3600 * 5 * 0.01))
    holds_nothing = compute_cost(RATES, "while_loop", used(idle_seconds=4.0), invocations=2, wait_seconds=3600.0)
    assert holds_nothing == pytest.approx((30 * 0.01 + 1.0, 0.0))


@pytest.mark.parametrize("arm", ["layered", "while_loop"])
def test_idle_that_was_not_read_is_not_taken_for_nothing(arm: str) -> None:
    assert math.isnan(compute_cost(RATES, arm, used(), invocations=0, wait_seconds=3600.0).idle_usd)


def test_a_request_costs_its_list_price() -> None:
    assert request_cost_usd(1_000_000, 0) == pytest.approx(0.25)
    assert request_cost_usd(0, 1_000_000) == pytest.approx(2.0)


def test_the_shipped_rates() -> None:
    rates = load_rates()
    # One vCPU and one GB for an hour, beside one GB for an hour of a function.
    assert rates.container.vcpu_hour_usd + rates.container.gb_hour_usd == pytest.approx(0.044925)
    assert 3600 * rates.function.gb_second_usd == pytest.approx(0.06, rel=1e-4)


def test_how_an_arm_is_billed_stands_in_its_line() -> None:
    assert [arm for arm in ARMS if is_function(arm)] == ["while_loop", "while_loop_keyed"]
    assert not is_function("an arm of long ago")


@pytest.mark.parametrize("text", ["[function", "[function]\ngb_second_usd = -1\n", "[fargate]\n"])
def test_rates_that_cannot_be_used_say_so(tmp_path: Path, text: str) -> None:
    file = tmp_path / "rates.toml"
    with pytest.raises(ConfigurationError, match=r"rates\.toml"):
        load_rates(file)
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r"rates\.toml"):
        load_rates(file)

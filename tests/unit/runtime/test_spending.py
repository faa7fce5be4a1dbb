"""What runs have spent on a day: figures that only grow, in names that nothing but figures makes."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.durable_runs import DurableRuns
from triptych.runtime.spending import Spent, record, spent_by_others

DAY = "2026-01-31"


async def test_of_several_names_of_one_run_the_highest_figures_count(runs: DurableRuns) -> None:
    await runs.store.write(f"spending/{DAY}/a/flow/1-900-0-0", b"{}")
    await runs.store.write(f"spending/{DAY}/a/flow/2-200-1500000-250", b"{}")
    await runs.store.write(f"spending/{DAY}/b/flow/10-50-0-0", b"{}")
    await runs.store.write("spending/2026-02-01/a/flow/99-0-0-0", b"{}")
    assert await spent_by_others(runs.store, DAY, "c") == {"flow": Spent(12, 950, 1.5, 0.25)}
    assert await spent_by_others(runs.store, DAY, "b") == {"flow": Spent(2, 900, 1.5, 0.25)}
    await record(runs.store, DAY, "a", "flow", Spent(3, 300, 2.0, 1.0))
    assert await runs.store.keys(f"spending/{DAY}/a") == [f"spending/{DAY}/a/flow/3-900-2000000-1000"]


async def test_a_figure_never_falls(runs: DurableRuns) -> None:
    await record(runs.store, DAY, "a", "flow", Spent(5, 10, 0.5, 1.0))
    # A superseded execution, whose answer came late.
    assert await record(runs.store, DAY, "a", "flow", Spent(3, 40, 0.1, 2.0)) == Spent(5, 40, 0.5, 2.0)
    assert await runs.store.keys("spending") == [f"spending/{DAY}/a/flow/5-40-500000-2000"]


async def test_nothing_spent_is_nothing_written(runs: DurableRuns) -> None:
    assert await record(runs.store, DAY, "a", "flow", Spent()) == Spent()
    assert await runs.store.keys("spending") == []


@pytest.mark.parametrize("flow", [".", "..", "", "a b/c"])
async def test_every_flow_has_a_name_that_is_read_again(runs: DurableRuns, flow: str) -> None:
    await record(runs.store, DAY, "a", flow, Spent(1, 2, 3.0, 4.0))
    assert list((await spent_by_others(runs.store, DAY, "b")).values()) == [Spent(1, 2, 3.0, 4.0)]


async def test_what_is_no_name_of_ours_is_passed_over(runs: DurableRuns) -> None:
    await runs.store.write(f"spending/{DAY}/README.txt", b"")
    await runs.store.write(f"spending/{DAY}/a/flow/-1-0-0-0", b"")
    await runs.store.write(f"spending/{DAY}/a/1-0-0-0", b"")
    assert await spent_by_others(runs.store, DAY, "b") == {}
    await record(runs.store, DAY, "a", "flow", Spent(1))
    assert await spent_by_others(runs.store, DAY, "b") == {"flow": Spent(1)}
    assert len(await runs.store.keys("spending")) == 4


@pytest.mark.parametrize(
    ("usage", "spent"),
    [
        ({"input_tokens": 10, "output_tokens": 5, "cost": "0.25"}, Spent(1, 15, 0.25)),
        ({"input_tokens": -10, "output_tokens": 5, "cost": "NaN"}, Spent(1, 5)),
        ({"input_tokens": 1, "output_tokens": None, "cost": "-1"}, Spent(1, 1)),
        ({"cost": math.inf}, Spent(1)),
        (None, Spent(1)),
    ],
)
def test_what_is_no_amount_counts_for_nothing(usage: Any, spent: Spent) -> None:
    assert Spent.by_request({"usage": usage}) == spent


def test_responses_that_a_fallback_rejected_were_paid() -> None:
    rejected = {"usage": {"input_tokens": 10, "output_tokens": 1, "cost": "0.5"}}
    response = {"usage": {"input_tokens": 2, "output_tokens": 3, "cost": "0.25"}}
    spent = Spent.by_request({**response, "failed_attempts": [rejected, {"usage": None}]})
    assert spent == Spent(1, 16, 0.75)

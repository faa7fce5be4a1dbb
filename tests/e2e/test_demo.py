"""`triptych demo`, as `make demo` runs it: one run is killed, and all is handled once."""

from __future__ import annotations

import pytest

from tests.e2e.stack import Home
from triptych.samples import TICKETS

FIELDS = [
    "tickets",
    "completed",
    "steps",
    "steps_executed_again",
    "effects_applied",
    "effects_expected",
    "kills",
    "approvals",
    "tokens",
    "cost_usd",
    "seconds",
    "ui_url",
]


@pytest.mark.timeout(400)
def test_the_demo_handles_every_ticket_once_through_a_kill(home: Home, seed: int) -> None:
    # By the seed: a minute is enough for one of them, and each has its day.
    result = home.json("demo", "--exit", "--deny" if seed % 2 else "--approve")
    assert list(result) == FIELDS
    tickets = len(TICKETS.read_text().splitlines())
    assert (result["tickets"], result["completed"]) == (tickets, tickets)
    assert result["kills"] == 1
    assert result["approvals"] == 1
    assert result["steps_executed_again"] == 0
    assert result["effects_applied"] == result["effects_expected"] > 0
    assert result["steps"] > tickets
    assert result["tokens"] > 0
    assert result["cost_usd"] > 0
    assert not (home.folder / "up.json").exists(), "the demo has a home of its own, and leaves nothing in the user's"

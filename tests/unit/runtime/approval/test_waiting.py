"""What a run's history says of how often it asked, and of what it waits for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.schemas.objects import State, StateDetails, StateType

from triptych.runtime.approval.judging import Refused
from triptych.runtime.approval.waiting import GRACE_SECONDS, Attempt, Wait, answer_to, attempts_in, wait_of

REQUEST, OTHER = "0123456789abcdef", "fedcba9876543210"
BEGAN = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNTIL = BEGAN + timedelta(hours=1)
TYPES = {
    "Running": StateType.RUNNING,
    "Letting go": StateType.RUNNING,
    "Retrying": StateType.RUNNING,
    "Pending": StateType.PENDING,
    "Resuming": StateType.SCHEDULED,
    "Recovering": StateType.SCHEDULED,
    "AwaitingRetry": StateType.SCHEDULED,
    "Completed": StateType.COMPLETED,
    "Crashed": StateType.CRASHED,
    "Failed": StateType.FAILED,
    "Cancelling": StateType.CANCELLING,
    "Cancelled": StateType.CANCELLED,
}


def waiting(key: str, *, has_end: bool = True) -> State[Any]:
    end: Any = UNTIL + timedelta(seconds=GRACE_SECONDS) if has_end else None
    return State(
        type=StateType.PAUSED,
        name="Paused" if key.endswith("-held") else "Suspended",
        state_details=StateDetails(pause_key=key, pause_timeout=end),
    )


def other(step: str) -> State[Any]:
    """With a star behind it, a state that a process or a worker proposed; otherwise the server's own."""
    name = step.removesuffix("*")
    return State(
        type=TYPES[name], name=name, state_details=StateDetails(transition_id=uuid4() if step != name else None)
    )


def history(*steps: str) -> list[State[Any]]:
    """Each step is a state's name, or the pause key of a wait; one a second."""
    states = [waiting(step) if step.startswith(("approval-", "0")) else other(step) for step in steps]
    for second, state in enumerate(states):
        state.timestamp = at(second)
    return states


def at(second: int) -> Any:
    return BEGAN + timedelta(seconds=second)


FIRST, SECOND, THIRD = (f"approval-{REQUEST}-{number}" for number in (1, 2, 3))
HELD = f"{FIRST}-held"


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([], []),
        (["Pending", "Running"], []),
        # Asked, and nothing since.
        (["Running", FIRST], [Attempt(FIRST, 1, False, None)]),
        (["Running", HELD], [Attempt(HELD, 1, True, None)]),
        # Answered, whatever becomes of the run then.
        (["Running", FIRST, "Resuming", "Pending", "Running"], [Attempt(FIRST, 1, False, at(2))]),
        (["Running", FIRST, "Resuming", "Running", "Crashed", "Recovering"], [Attempt(FIRST, 1, False, at(2))]),
        (["Running", HELD, "Running", "Crashed", "Recovering", "Running"], [Attempt(HELD, 1, True, at(2))]),
        (["Running", HELD, "Running", "AwaitingRetry", "Retrying"], [Attempt(HELD, 1, True, at(2))]),
        # Its process died while it was asked.
        (["Running", FIRST, "Crashed", "Recovering", "Pending", "Running"], [Attempt(FIRST, 1, False, None)]),
        (["Running", HELD, "Crashed", "Recovering", "Running"], [Attempt(HELD, 1, True, None)]),
        (["Running", HELD, "Recovering", "Running"], [Attempt(HELD, 1, True, None)]),
        (
            ["Running", FIRST, "Crashed", "Recovering", "Running", SECOND, "Resuming", "Running"],
            [Attempt(FIRST, 1, False, None), Attempt(SECOND, 2, False, at(6))],
        ),
        # Let go, and suspended under the same number.
        (
            ["Running", HELD, "Letting go", FIRST, "Resuming"],
            [Attempt(HELD, 1, True, None, has_let_go=True), Attempt(FIRST, 1, False, at(4))],
        ),
        (["Running", HELD, "Letting go", "Crashed", "Recovering"], [Attempt(HELD, 1, True, None, has_let_go=True)]),
        # Let go and answered in the same moment, in either order.
        (["Running", HELD, "Letting go", "Running"], [Attempt(HELD, 1, True, at(3))]),
        (["Running", HELD, "Running", "Letting go"], [Attempt(HELD, 1, True, at(2))]),
        # Answered twice in the same moment.
        (["Running", HELD, "Running", "Running"], [Attempt(HELD, 1, True, at(2), is_disputed=True)]),
        (["Running", HELD, "Running", "Letting go", "Running"], [Attempt(HELD, 1, True, at(2), is_disputed=True)]),
        (["Running", FIRST, "Resuming", "Resuming", "Pending"], [Attempt(FIRST, 1, False, at(2), is_disputed=True)]),
        # Executed by other than a worker: the one that resumed it, and the execution.
        (["Running", FIRST, "Resuming", "Running", "Running"], [Attempt(FIRST, 1, False, at(2))]),
        # Another process of the same run has begun: nobody answered.
        (["Running*", HELD, "Running*", "Completed*"], [Attempt(HELD, 1, True, None)]),
        (["Running*", HELD, "Running", "Running*"], [Attempt(HELD, 1, True, at(2))]),
        # Ended otherwise.
        (["Running", HELD, "Cancelling", "Cancelled"], [Attempt(HELD, 1, True, None)]),
        (["Running", FIRST, "Cancelled"], [Attempt(FIRST, 1, False, None)]),
        (["Running", FIRST, "Failed"], [Attempt(FIRST, 1, False, None)]),
        # Another request's, and pauses of the flow's own.
        (["Running", f"approval-{OTHER}-1", "Resuming", "Running"], []),
        (["Running", "0", "Resuming", "Running", FIRST], [Attempt(FIRST, 1, False, None)]),
        (["Running", f"{FIRST}-more", "Resuming"], []),
    ],
)
def test_attempts_in_a_history(steps: list[str], found: list[Attempt]) -> None:
    assert attempts_in(history(*steps), REQUEST) == found


def test_requests_of_one_run_are_told_apart() -> None:
    steps = ["Running", FIRST, "Resuming", "Running", f"approval-{OTHER}-1-held", "Running", THIRD]
    assert [each.key for each in attempts_in(history(*steps), REQUEST)] == [FIRST, THIRD]
    assert attempts_in(history(*steps), OTHER) == [Attempt(f"approval-{OTHER}-1-held", 1, True, at(5))]


async def test_of_two_answers_neither_counts() -> None:
    assert await answer_to(uuid4(), Attempt(FIRST, 1, False, None)) is None
    refused = await answer_to(uuid4(), Attempt(FIRST, 1, False, BEGAN, is_disputed=True))
    assert isinstance(refused, Refused)
    assert "same moment" in refused.reason


@pytest.mark.parametrize(
    ("state", "found"),
    [
        (None, None),
        (history("Running")[0], None),
        (waiting(FIRST), Wait(REQUEST, is_held=False, until=UNTIL)),
        (waiting(f"approval-{REQUEST}-12-held"), Wait(REQUEST, is_held=True, until=UNTIL)),
        # A flow's own waits: nobody but the flow may end them.
        (waiting("0"), None),
        (waiting(f"my-approval-{REQUEST}-1"), None),
        (waiting(FIRST, has_end=False), None),
        # What remembers its wait, and waits no more.
        (State(type=StateType.RUNNING, state_details=StateDetails(pause_key=FIRST)), None),
    ],
)
def test_what_a_state_waits_for(state: State[Any] | None, found: Wait | None) -> None:
    assert wait_of(state) == found

"""Every figure that chaos publishes as a zero is made something else once, by books written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from triptych.loop.desk import Effect
from triptych.records import WitnessLine
from triptych.runtime.chaos.answers import Answer
from triptych.runtime.chaos.counting import Counts, State, TicketRun, asked_again, count, paid_again
from triptych.runtime.chaos.tickets import Case, cases

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
RUN = "11111111-0000-0000-0000-000000000000"
TRIAGE, AGENT = f"{RUN}:triage-1", f"{RUN}:orders-1"
COMPLETED = State("COMPLETED", "Completed")
CLEAN = (
    State("SCHEDULED", "Scheduled"),
    State("PENDING", "Pending"),
    State("RUNNING", "Running"),
    State("CRASHED", "Crashed"),
    State("SCHEDULED", "Recovering"),
    State("RUNNING", "Running"),
    COMPLETED,
)
FORGOTTEN = State("CANCELLED", "Cancelled", "Deployment concurrency slot lost during provisioning - no slots available")
LOOK, SMALL, BIG, BOTH = cases(0, 4)


def lines(*events: str) -> list[WitnessLine]:
    """Lines such as `agent request:1 started`, one a second."""
    found: list[WitnessLine] = []
    for second, event in enumerate(events):
        who, key, stage = event.split()
        what = "request" if key.startswith("request") else "tool"
        found.append(
            WitnessLine.model_validate(
                {
                    "at": BEGAN + timedelta(seconds=second),
                    "pid": 1,
                    "event": f"{what}.{stage}",
                    "run": {"triage": TRIAGE, "agent": AGENT}.get(who, who),
                    "name": "n",
                    "key": key,
                }
            )
        )
    return found


def answer(second: float = 0, *, case: Case = BIG, **more: str | bool) -> Answer:
    payout = next(each for each in case.payouts if each.needs_person)
    said = {
        "at": BEGAN + timedelta(seconds=second),
        "event": "taken",
        "flow_run_id": RUN,
        "request_id": "r",
        "pause_key": "approval-r-1",
        "fingerprint": "f",
        "arguments": {"order_id": case.order_id, "amount": payout.amount},
        "approve": True,
    }
    return Answer.model_validate(said | more)


def effect(case: Case, *, key: str = "k", payout: int = 0) -> Effect:
    arguments = {"order_id": case.order_id, "amount": case.payouts[payout].amount}
    return Effect(key=key, tool="refund", arguments=arguments, result="{}", applied_at=BEGAN)


def counted(
    case: Case,
    *,
    history: Sequence[State] = CLEAN,
    witness: Sequence[WitnessLine] = (),
    answers: Sequence[Answer] = (),
    effects: Sequence[Effect] = (),
) -> Counts:
    return count([(case, [TicketRun(RUN, tuple(history))])], witness, answers, effects)


def test_clean_books_are_clean() -> None:
    assert counted(LOOK) == Counts(1, 0, 0, 0, 0, 0, ())
    assert counted(SMALL, effects=[effect(SMALL)]) == Counts(1, 1, 1, 0, 0, 0, ())
    assert counted(BIG, answers=[answer()], effects=[effect(BIG)]) == Counts(1, 1, 1, 0, 0, 0, ())
    assert counted(BIG, answers=[answer(approve=False)]) == Counts(1, 0, 0, 0, 0, 0, ())
    # Cancelled by Prefect, not by a person, and brought back.
    assert counted(LOOK, history=[*CLEAN[:2], FORGOTTEN, *CLEAN[1:]]) == Counts(1, 0, 0, 0, 0, 0, ())
    # Told again by a process whose server was killed before it had answered.
    assert counted(LOOK, history=[*CLEAN, CLEAN[-1]]) == Counts(1, 0, 0, 0, 0, 0, ())
    both = [effect(BOTH, key="a"), effect(BOTH, key="b", payout=1)]
    assert counted(BOTH, answers=[answer(case=BOTH)], effects=both) == Counts(1, 2, 2, 0, 0, 0, ())


@pytest.mark.parametrize(
    ("history", "terminal", "fault"),
    [
        (CLEAN[:3], 0, "is not terminal: it is Running"),
        ((), 0, "is not terminal: it is not there"),
        ((*CLEAN[:2], FORGOTTEN), 0, "is not terminal: it is Cancelled"),
        ((State("CANCELLED", "Cancelled", "by Mia"), *CLEAN), 0, "2 terminal outcomes: Cancelled, Completed"),
        ((*CLEAN, State("RUNNING", "Running"), COMPLETED), 0, "2 terminal outcomes: Completed, Completed"),
        ((State("FAILED", "Failed", "torn"), *CLEAN), 0, "2 terminal outcomes: Failed, Completed"),
        ((*CLEAN, State("FAILED", "Failed", "torn")), 0, "2 terminal outcomes: Completed, Failed"),
        ((*CLEAN, State("RUNNING", "Running")), 0, "goes on after its end"),
        ((*CLEAN[:3], State("FAILED", "Failed", "torn")), 1, "is Failed: torn"),
    ],
)
def test_an_outcome_that_is_none_or_two_or_no_completion(history: Sequence[State], terminal: int, fault: str) -> None:
    counts = counted(LOOK, history=history)
    assert counts.terminal == terminal
    (said,) = counts.faults
    assert fault in said


def test_a_ticket_with_two_runs_has_no_single_outcome() -> None:
    counts = count([(LOOK, [TicketRun(RUN, CLEAN), TicketRun("another", CLEAN)])], [], [], [])
    assert (counts.terminal, len(counts.faults)) == (0, 1)


def test_an_effect_that_was_applied_twice() -> None:
    counts = counted(SMALL, effects=[effect(SMALL), effect(SMALL, key="another")])
    assert (counts.effects_applied, counts.effects_expected, counts.duplicate_effects) == (2, 1, 1)
    assert len(counts.faults) == 1


def test_an_effect_that_is_lost() -> None:
    counts = counted(SMALL)
    assert (counts.effects_applied, counts.effects_expected, counts.duplicate_effects) == (0, 1, 0)
    assert len(counts.faults) == 1


def test_an_effect_lost_and_another_doubled_do_not_make_up_for_each_other() -> None:
    other = cases(0, 6)[5]
    runs = [(SMALL, [TicketRun(RUN, CLEAN)]), (other, [TicketRun("other", CLEAN)])]
    counts = count(runs, [], [], [effect(SMALL), effect(SMALL, key="another")])
    assert counts.effects_applied == counts.effects_expected == 2
    assert (counts.duplicate_effects, len(counts.faults)) == (1, 2)


def test_an_effect_that_was_denied() -> None:
    counts = counted(BIG, answers=[answer(approve=False)], effects=[effect(BIG)])
    assert (counts.effects_applied, counts.effects_expected, len(counts.faults)) == (1, 0, 1)


def test_an_effect_that_nobody_asked_for() -> None:
    counts = counted(LOOK, effects=[effect(SMALL)])
    assert (counts.effects_applied, counts.effects_expected, len(counts.faults)) == (1, 0, 1)


def test_a_person_who_was_not_asked_or_asked_for_nothing() -> None:
    assert "nobody was asked" in counted(BIG, effects=[effect(BIG)]).faults[0]
    about_small = answer().model_copy(update={"arguments": effect(SMALL).arguments})
    assert "a person was asked" in counted(SMALL, answers=[about_small], effects=[effect(SMALL)]).faults[0]


def test_an_approval_that_was_asked_again() -> None:
    again = [answer(), answer(5, event="sent"), answer(6)]
    assert asked_again(again) == {(RUN, "f"): 1}
    counts = counted(BIG, answers=again, effects=[effect(BIG)])
    assert (counts.approvals_asked_again, len(counts.faults)) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        {"event": "sent"},
        # The server died before it was told: the run still waits.
        {"event": "lost"},
        {"flow_run_id": "another"},
        {"fingerprint": "of another call"},
    ],
)
def test_what_is_no_second_answer(other: dict[str, str]) -> None:
    assert not asked_again([answer(), answer(5).model_copy(update=other)])


@pytest.mark.parametrize(
    "events",
    [
        # The answer's checkpoint was durable when the tool began.
        ["agent request:1 started", "agent request:1 finished", "agent call-1-1 started", "agent request:1 started"],
        ["agent request:1 started", "agent request:2 started", "agent request:1 started"],
        # Triage came before the agent.
        ["triage request:1 started", "agent request:1 started", "triage request:1 started"],
        # Two executions later as well.
        ["agent request:1 started", "agent request:2 started", "agent request:2 started", "agent request:1 started"],
    ],
)
def test_a_request_that_was_paid_again(events: list[str]) -> None:
    assert paid_again(lines(*events), []).total() == 1
    counts = counted(LOOK, witness=lines(*events))
    assert (counts.requests_paid_again, len(counts.faults)) == (1, 1)


def test_a_request_that_was_paid_again_after_a_person_answered() -> None:
    witness = lines("agent request:1 started", "agent request:1 finished", "agent request:1 started")
    assert paid_again(witness, [answer(1.5)]).total() == 1
    assert paid_again(witness, [answer(2.5)]).total() == 0
    # However often they were asked about it, the next request is not yet paid.
    many = [answer(0.5 + number / 100) for number in range(9)]
    assert paid_again(lines("agent request:1 started", "agent request:2 started"), many).total() == 0


@pytest.mark.parametrize(
    "events",
    [
        ["agent request:1 started", "agent request:2 started", "agent request:3 started"],
        # Cut short, or answered and killed before the checkpoint was durable.
        ["agent request:1 started", "agent request:1 started", "agent request:1 finished"],
        ["agent request:1 started", "agent request:1 finished", "agent request:1 started"],
        # A tool call is no request: its backend knows the key.
        ["agent call-1-1 started", "agent call-1-1 finished", "agent request:2 started", "agent call-1-1 started"],
        # Of another run.
        ["agent request:1 started", "agent request:2 started", "other:orders-1 request:1 started"],
    ],
)
def test_what_was_paid_once(events: list[str]) -> None:
    assert paid_again(lines(*events), []).total() == 0

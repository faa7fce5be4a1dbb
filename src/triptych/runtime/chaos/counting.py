"""The count of what the kills did, from books that are not our checkpoints.

Those are the file of the scripted model and the tools, the person's own file, the desk's list of effects, and the
server's history of each run.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from triptych.loop.desk import Effect
from triptych.records import WitnessLine
from triptych.runtime.chaos.answers import Answer
from triptych.runtime.chaos.tickets import REFUND, Case
from triptych.runtime.recovery import LOST_PLACE

_TERMINAL = ("COMPLETED", "FAILED", "CANCELLED")
_REQUEST = re.compile(r"request:(\d+)")
_CALL = re.compile(r"call-(\d+)-\d+")
"""The scripted model's ids name the response that made the call."""
_Place = tuple[int, float]
"""A step's place in its flow run: which agent run, and the number of its request; what a request led to comes after."""


class State(NamedTuple):
    """One state of a flow run, as the server tells it."""

    type: str
    name: str
    message: str = ""


class TicketRun(NamedTuple):
    """A flow run of a ticket."""

    flow_run_id: str
    history: tuple[State, ...]
    """The oldest first."""
    executions: int = 1

    @property
    def outcomes(self) -> list[State]:
        """The ends that it came to.

        A crash is none, and neither is Prefect's own cancellation of a run whose place under a concurrency limit a
        server forgot when it was killed: recovery brings both back, and where it does not, there is no end at all.

        An end that is told twice, with nothing between, is one: a server that was killed had written it and its answer
        was lost, so the process said it again. A second execution has a Running before its end.
        """
        told = [state for state, before in zip(self.history, (None, *self.history), strict=False) if state != before]
        return [state for state in told if state.type in _TERMINAL and LOST_PLACE not in state.message]


class Counts(NamedTuple):
    """What is published."""

    terminal: int
    effects_applied: int
    effects_expected: int
    duplicate_effects: int
    approvals_asked_again: int
    requests_paid_again: int
    faults: tuple[str, ...]
    """What is not as it must be, one sentence each."""


def count(
    runs: Sequence[tuple[Case, Sequence[TicketRun]]],
    witness: Sequence[WitnessLine],
    answers: Sequence[Answer],
    effects: Sequence[Effect],
) -> Counts:
    """Hold the books against what must be.

    Args:
        runs: Each ticket with its flow runs, of which there must be one.
        witness: The witness's lines, in the order of the file.
        answers: The person's lines, in the order of the file.
        effects: The desk's, all of them.
    """
    ended = [_is_ended(of) for _, of in runs]
    faults = [fault for case, of in runs for fault in _outcome_faults(case, of)]
    paid = paid_again(witness, answers)
    faults += [f"{key} of {run} was paid again {times} times" for (run, key), times in sorted(paid.items())]
    asked = asked_again(answers)
    faults += [f"run {run}: {call} was asked again {times} times" for (run, call), times in sorted(asked.items())]
    expected = Counter[tuple[str, float]]()
    for case, of in runs:
        faults += _expect(case, of, answers, expected)
    applied = Counter(_call(effect) for effect in effects)
    duplicates = sum(times - 1 for times in applied.values())
    for call in sorted({*expected, *applied}):
        if applied[call] != expected[call]:
            order_id, amount = call
            faults.append(
                f"the refund of {amount} for {order_id} was applied {applied[call]} times, not {expected[call]}"
            )
    return Counts(
        terminal=sum(ended),
        effects_applied=applied.total(),
        effects_expected=expected.total(),
        duplicate_effects=duplicates,
        approvals_asked_again=sum(asked.values()),
        requests_paid_again=sum(paid.values()),
        faults=tuple(faults),
    )


def paid_again(witness: Iterable[WitnessLine], answers: Iterable[Answer]) -> Counter[tuple[str, str]]:
    """Count the requests that were made again although a later step of their flow run had begun.

    A step begins once the checkpoints of those before it are durable, and so does the question to a person. A request
    that a kill cut short, or whose answer it took from us before it was durable, is not counted.

    Returns:
        How often, by agent run and request.
    """
    reached: dict[str, _Place] = {}
    agent_runs: dict[str, list[str]] = {}
    again = Counter[tuple[str, str]]()
    for _, line in heapq.merge(_timed(witness), _timed(answers), key=lambda item: item[0]):
        if isinstance(line, Answer):
            if line.flow_run_id in reached:
                ordinal, number = reached[line.flow_run_id]
                reached[line.flow_run_id] = (ordinal, max(number, int(number) + 0.25))
            continue
        what, _, stage = line.event.partition(".")
        place = _place(line, agent_runs)
        if stage != "started" or place is None:
            continue
        flow_run_id = line.run.partition(":")[0]
        if what == "request" and place < reached.get(flow_run_id, place):
            again[line.run, line.key] += 1
        reached[flow_run_id] = max(place, reached.get(flow_run_id, place))
    return again


def _timed(lines: Iterable[WitnessLine] | Iterable[Answer]) -> Iterable[tuple[datetime, WitnessLine | Answer]]:
    return ((line.at, line) for line in lines)


def _place(line: WitnessLine, agent_runs: dict[str, list[str]]) -> _Place | None:
    """Return where a line's step stands; agent runs of one flow run are numbered as they first appear."""
    known = agent_runs.setdefault(line.run.partition(":")[0], [])
    if line.run not in known:
        known.append(line.run)
    if (request := _REQUEST.fullmatch(line.key)) is not None:
        return known.index(line.run), float(request[1])
    if (call := _CALL.search(line.key)) is not None:
        return known.index(line.run), float(call[1]) + 0.5
    return None


def asked_again(answers: Iterable[Answer]) -> Counter[tuple[str, str]]:
    """Count the answers that were taken although the same call of the same run had been answered.

    Returns:
        How often, by flow run and fingerprint.
    """
    taken = Counter((answer.flow_run_id, answer.fingerprint) for answer in answers if answer.event == "taken")
    return Counter({about: times - 1 for about, times in taken.items() if times > 1})


def _is_ended(of: Sequence[TicketRun]) -> bool:
    return len(of) == 1 and len(of[0].outcomes) == 1 and of[0].history[-1].type in _TERMINAL


def _outcome_faults(case: Case, of: Sequence[TicketRun]) -> list[str]:
    if len(of) != 1:
        return [f"{case.ticket.id} has {len(of)} flow runs"]
    run = of[0]
    what = f"{case.ticket.id} ({run.flow_run_id})"
    names = [state.name for state in run.outcomes]
    last = run.history[-1] if run.history else State("", "not there")
    if not names:
        return [f"{what} is not terminal: it is {last.name}. {last.message}".strip()]
    if len(names) > 1:
        return [f"{what} has {len(names)} terminal outcomes: {', '.join(names)}"]
    if last.type not in _TERMINAL:
        return [f"{what} goes on after its end: it is {last.name}"]
    if last.type != "COMPLETED":
        return [f"{what} is {last.name}: {last.message}"]
    return []


def _expect(
    case: Case, of: Sequence[TicketRun], answers: Sequence[Answer], expected: Counter[tuple[str, float]]
) -> list[str]:
    """Add the effects that a ticket must have; return what is wrong with the answers about it."""
    faults: list[str] = []
    ids = {run.flow_run_id for run in of}
    for payout in case.payouts:
        call = (case.order_id, payout.amount)
        told = [
            answer.approve
            for answer in answers
            if answer.event == "taken"
            and answer.flow_run_id in ids
            and (answer.arguments.get("order_id"), answer.arguments.get("amount")) == call
        ]
        if not payout.needs_person or (told and told[0]):
            expected[call] += 1
        if bool(told) != payout.needs_person and any(run.outcomes for run in of):
            asked = "a person was asked" if told else "nobody was asked"
            faults.append(f"{case.ticket.id} paid out {payout.amount}, and {asked}")
    return faults


def _call(effect: Effect) -> tuple[str, float]:
    if effect.tool != REFUND:
        return f"{effect.tool} {effect.key}", 0.0
    return str(effect.arguments["order_id"]), float(effect.arguments["amount"])

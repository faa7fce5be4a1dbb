"""How a flow run waits for its answer on Prefect: held by its own process (Paused), or without one (Suspended).

Prefect's history of the run's states says what was answered: a wait that is followed at once by the state of a resume
was, any other ended by a crash. So whatever dies, the next execution knows as much as the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from typing import Any, NamedTuple, cast
from uuid import UUID

from httpx import TransportError
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import Pause
from prefect.flow_runs import apause_flow_run, asuspend_flow_run
from prefect.input.actions import aread_flow_run_input
from prefect.states import Running
from pydantic import ValidationError

from triptych.records import ApprovalRequest
from triptych.runtime.approval.form import form_with, read_answer, save_form, write_once
from triptych.runtime.approval.judging import Answer, Refused
from triptych.runtime.approval.page import amount, page
from triptych.runtime.digest import digest_of

GRACE_SECONDS = 86_400.0
"""How long after the end of a wait Prefect itself would fail the run. Whoever resumes it until then gets the policy's
answer; the recovery loop does so at once."""
POLL_SECONDS = 1
"""How often a held run looks whether it was answered."""
SLOT_LOOK = timedelta(seconds=225)
"""How often Prefect looks whether a process still has its place under the limit of its deployment."""
SLOT_MARGIN = timedelta(seconds=25)
"""How long before that a run that has none lets go: long enough for a slow machine."""
_KEY = re.compile(r"approval-(?P<request>[0-9a-f]{16})-(?P<number>\d+)(?P<held>-held)?")
"""The pause key of a request: by it our waits are told from a flow's own."""
_LET_GO = "Letting go"
"""The state in which a held run goes on because its holding has ended: no answer."""
_NEVER = datetime.max.replace(tzinfo=UTC)

_logger = logging.getLogger(__name__)


class Wait(NamedTuple):
    """A state in which a run waits for a person."""

    request_id: str
    is_held: bool
    until: datetime
    """Where it is held, when the process lets go; otherwise the deadline."""


class Attempt(NamedTuple):
    """One time that a request was asked."""

    key: str
    number: int
    is_held: bool
    resumed_at: datetime | None
    """When it was answered, by the server's clock; None where it was not."""
    has_let_go: bool = False
    """Whether it was held, and goes on without a process."""
    is_disputed: bool = False
    """Whether it was answered more than once: on Postgres the server takes an empty form beside a filled-in one when
    both come in the same moment."""


def wait_of(state: State[Any] | None) -> Wait | None:
    """Return what a state of ours waits for; None for any other state, and for waits that are a flow's own."""
    if state is None or state.type != StateType.PAUSED or state.state_details.pause_timeout is None:
        return None
    matched = _KEY.fullmatch(state.state_details.pause_key or "")
    if matched is None:
        return None
    until = state.state_details.pause_timeout - timedelta(seconds=GRACE_SECONDS)
    return Wait(matched["request"], matched["held"] is not None, until)


async def attempts(flow_run_id: UUID, request_id: str) -> list[Attempt]:
    """Return how often a request was asked, and when it was answered, the first attempt first."""
    async with get_client() as client:
        states: list[State[Any]] = await client.read_flow_run_states(flow_run_id)
    return attempts_in(sorted(states, key=lambda state: state.timestamp), request_id)


def attempts_in(states: Sequence[State[Any]], request_id: str) -> list[Attempt]:
    """Find a request's attempts in a run's history, oldest state first."""
    found: list[Attempt] = []
    for index, state in enumerate(states):
        matched = _KEY.fullmatch(state.state_details.pause_key or "") if state.type == StateType.PAUSED else None
        if matched is None or matched["request"] != request_id:
            continue
        is_held = matched["held"] is not None
        later = states[index + 1 :]
        # An answer that came in the moment in which the process let go is an answer.
        answers = _leading([each for each in later if each.name != _LET_GO], "Running" if is_held else "Resuming")
        found.append(
            Attempt(
                key=matched[0],
                number=int(matched["number"]),
                is_held=is_held,
                resumed_at=answers[0].timestamp if answers else None,
                has_let_go=bool(later) and later[0].name == _LET_GO and not answers,
                is_disputed=len(answers) > 1,
            )
        )
    return found


def _leading(states: Sequence[State[Any]], name: str) -> list[State[Any]]:
    # Processes and workers number the states that they propose; that of a resume is the server's own.
    return list(takewhile(lambda state: state.name == name and state.state_details.transition_id is None, states))


async def answer_to(flow_run_id: UUID, attempt: Attempt) -> Answer | Refused | None:
    """Return what an attempt was answered with, None where it was not, or why its answers do not count."""
    if attempt.resumed_at is None:
        return None
    if attempt.is_disputed:
        # Both of them were told that they decided, and an empty form leaves no trace of what it stood for.
        return Refused("two people answered in the same moment, so that neither answer counts. Only one may answer")
    filled_in = await read_answer(_base_key(attempt.key, is_held=attempt.is_held), flow_run_id)
    marked = await read_mark(flow_run_id, attempt.key, filled_in) if filled_in else False
    return Answer(filled_in, attempt.resumed_at, "command" if marked else "form", attempt.number)


async def wait(request: ApprovalRequest, number: int, *, refused: str, can_suspend: bool) -> None:
    """Wait for an answer: return when there may be one, or end this process.

    Args:
        request: What is asked.
        number: Which attempt this is, from 1.
        refused: Why the last answer could not be used; empty where there was none.
        can_suspend: Whether the run can be scheduled again, so that it need not keep its process.

    Raises:
        Pause: Prefect's signal that ends this process; not an error.
    """
    form = form_with(
        page(request, refused), request_id=request.id, does=f"call {request.tool} (amount: {amount(request)})"
    )
    flow_run_id = UUID(request.flow_run_id)
    until = min(request.hold_until, request.deadline, _end_of_slot()) if can_suspend else request.deadline
    now = datetime.now(UTC)
    if request.deadline <= now:
        return
    is_held = until > now
    key = f"approval-{request.id}-{number}" + ("-held" if is_held else "")
    await save_form(form, _base_key(key, is_held=is_held), flow_run_id)
    if not is_held:
        await asuspend_flow_run(wait_for_input=form, key=key, timeout=_timeout(request.deadline))
        raise AssertionError("a suspended flow run goes no further")
    await _count_no_execution(flow_run_id)
    end = asyncio.create_task(_end_hold(flow_run_id, key, until, is_deadline=until >= request.deadline))
    try:
        # What does not fit the form is judged from what is stored, as it is after a crash.
        with contextlib.suppress(ValidationError):
            await apause_flow_run(wait_for_input=form, key=key, timeout=_timeout(until), poll_interval=POLL_SECONDS)
    except (TransportError, Pause) as error:
        # The client has tried for a minute; a server that is moved or upgraded may take longer. Or it took the pause,
        # did not get to say so, and refused the client's second try, which Prefect takes for the end of this process.
        _logger.warning("The Prefect API did not answer (%s); the run stays held", type(error).__name__)
        if not await _is_resumed(flow_run_id):
            raise
    finally:
        end.cancel()


async def write_mark(flow_run_id: UUID, key: str, filled_in: Mapping[str, Any]) -> None:
    """Leave word, before a run is resumed, that this answer comes from the command.

    The API keeps no word of who resumed a run. The mark counts for an answer with just this content.
    """
    await write_once(_mark(key, filled_in), "command", flow_run_id)


async def read_mark(flow_run_id: UUID, key: str, filled_in: Mapping[str, Any]) -> bool:
    """Return whether the command left word of this answer."""
    return await aread_flow_run_input(_mark(key, filled_in), flow_run_id=flow_run_id) is not None


def _mark(key: str, filled_in: Mapping[str, Any]) -> str:
    return f"{key}-command-{digest_of(sorted(filled_in.items()))[:16]}"


def _base_key(key: str, *, is_held: bool) -> str:
    return f"{'paused' if is_held else 'suspended'}-{key}"


def _timeout(until: datetime) -> int:
    seconds = (until - datetime.now(UTC)).total_seconds() + GRACE_SECONDS
    return math.ceil(max(seconds, 60.0))


async def _count_no_execution(flow_run_id: UUID) -> None:
    """Keep the server from counting the resume of a pause as another execution, which eats a flow's retries.

    It counts every Running but one of a run that is `resuming`, and says that of a pause only when it has been counted.
    """
    async with get_client() as client:
        run = await client.read_flow_run(flow_run_id)
        policy = run.empirical_policy.model_copy(update={"resuming": True})
        await client.update_flow_run(flow_run_id, empirical_policy=policy)


def _end_of_slot() -> datetime:
    """Return until when a run may be held although the server has taken its place under its deployment's limit.

    It does so with every run that is paused, and does not give it back. Prefect ends a process that is found without.
    """
    context = FlowRunContext.get()
    run = None if context is None else context.flow_run
    if context is None or run is None or run.state is None:
        return _NEVER
    if run.state.state_details.deployment_concurrency_lease_id is None:
        return _NEVER
    began = cast(datetime, context.start_time)
    # Not one timedelta by the other: the clock of a run is of a class that cannot be divided.
    looks = (datetime.now(UTC) - began).total_seconds() // SLOT_LOOK.total_seconds()
    return began + (looks + 1) * SLOT_LOOK - SLOT_MARGIN


async def _is_resumed(flow_run_id: UUID) -> bool:
    """Wait until a run is not paused any more, and say whether it goes on."""
    while True:
        with contextlib.suppress(TransportError):
            async with get_client() as client:
                run = await client.read_flow_run(flow_run_id)
            if run.state is None or run.state.type != StateType.PAUSED:
                return run.state is not None and run.state.is_running()
        await asyncio.sleep(POLL_SECONDS)


async def _end_hold(flow_run_id: UUID, key: str, until: datetime, *, is_deadline: bool) -> None:
    """Let a held run go on at the end of its holding, or with the policy's answer at the deadline."""
    await asyncio.sleep((until - datetime.now(UTC)).total_seconds())
    # Until the wait is over and this is cancelled: the server may not have begun it when its time has come already.
    while True:
        try:
            async with get_client() as client:
                run = await client.read_flow_run(flow_run_id)
                if run.state is None or run.state.type != StateType.PAUSED or run.state.state_details.pause_key != key:
                    pass  # not begun yet, or over: another execution's wait is not ours to end
                elif is_deadline:
                    # Of two who resume, the server lets one.
                    await client.resume_flow_run(flow_run_id, run_input={})
                else:
                    await client.set_flow_run_state(flow_run_id, cast(Any, Running(name=_LET_GO)))
        except Exception as error:  # whatever the API's transport raises: nobody else ends this wait
            _logger.warning("The Prefect API does not answer (%s); trying again", type(error).__name__)
        await asyncio.sleep(POLL_SECONDS)

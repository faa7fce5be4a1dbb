"""A run's history says of each step what it was asked and what came of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic_ai import Agent, ApprovalRequired, DeferredToolRequests, DeferredToolResults, RunContext, Tool
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.usage import UsageLimits

from tests.durable_runs import DurableRuns, calls, durable_agent
from tests.resume.six_step_run import goodwill
from triptych.errors import CheckpointMissing, CheckpointTorn, ConfigurationError
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.models import Plan
from triptych.loop.tools.execution import HONOURS_KEY, SIDE_EFFECTS
from triptych.records import PrunedRun
from triptych.runtime.checkpoints import checkpoint_key, step_and_execution
from triptych.runtime.history import pruned_key
from triptych.runtime.telling import RunHistory, ToldStep, history_of

REFUND = ("goodwill", {"order_id": "#A", "amount": 5.0})


class Crash(Exception):
    """What ends an execution."""


async def test_an_agent_below_a_tool_is_told_with_its_path(runs: DurableRuns, desk: OrderDesk) -> None:
    inner_model = runs.model(Plan(turns=(calls(REFUND),), final="refunded"))
    inner = durable_agent(inner_model, goodwill, name="inner", deps_type=DeskDeps)

    async def delegate(ctx: RunContext[DeskDeps], what: str) -> str:
        return (await inner.run(what, deps=ctx.deps)).output

    async def body() -> str:
        plan = Plan(turns=(calls(("delegate", {"what": "Refund #A."})),), final="done")
        agent = durable_agent(runs.model(plan), delegate, name="outer", deps_type=DeskDeps)
        return (await agent.run("Delegate.", deps=DeskDeps(desk))).output

    done = await runs.execute(body)
    history = await history_of(runs.store, str(done.flow_run_id))
    assert (history.state, [each.number for each in history.executions]) == ("Completed", [1])
    first, delegated, below, refund, below_again, last = history.steps
    assert [step.number for step in history.steps] == [1, 2, 3, 4, 5, 6]
    assert {step.agent_run for step in (first, delegated, last)} == {"outer-0"}
    assert {step.agent_run for step in (below, refund, below_again)} == {f"{delegated.name}/inner-0"}
    assert all(step.name.startswith(f"{step.agent_run}/") for step in history.steps)

    assert (first.prompt, first.given, first.label) == ("Delegate.", (), "1. ask scripted")
    (call,) = first.calls
    assert (call.tool, call.arguments) == ("delegate", {"what": "Refund #A."})
    assert first.model == "scripted"
    assert first.input_tokens
    assert first.output_tokens
    assert first.cost_usd
    assert first.seconds_to_first_token is not None
    assert first.seconds >= first.seconds_to_first_token

    assert delegated.arguments == {"what": "Refund #A."}
    assert _result(delegated) == "refunded"
    # The ids are the same, above and below: each call is found in its own agent run.
    assert (below.prompt, refund.arguments) == ("Refund #A.", REFUND[1])
    assert (delegated.model, delegated.cost_usd, delegated.input_tokens) == (None, None, None)
    assert [each.result for each in below_again.given] == [_result(refund)]
    assert below_again.text == "refunded"
    assert (last.prompt, [(each.tool, each.result) for each in last.given]) == (None, [("delegate", "refunded")])
    assert (last.text, last.calls) == ("done", ())
    for step in history.steps:
        content = await runs.store.read(step.place)
        assert content is not None
        assert step.bytes == len(content)


async def test_a_call_that_was_approved_is_told_in_both_rounds(runs: DurableRuns) -> None:
    def pay(ctx: RunContext[None], amount: float) -> str:
        if not ctx.tool_call_approved:
            raise ApprovalRequired
        return f"paid {amount}"

    async def body() -> Any:
        plan = Plan(turns=(calls(("pay", {"amount": 9.0}), ("look", {"order": "#A"})),), final="done")
        agent = durable_agent(runs.model(plan), pay, look, output_type=[str, DeferredToolRequests])
        asked = await agent.run("Pay.")
        answers = DeferredToolResults(approvals={each.tool_call_id: True for each in asked.output.approvals})
        return (await agent.run(message_history=asked.all_messages(), deferred_tool_results=answers)).output

    done = await runs.execute(body)
    assert done.result == "done"
    steps = (await history_of(runs.store, str(done.flow_run_id))).steps
    put_off, paid = (step for step in steps if step.operation == "tool-pay")
    assert (put_off.agent_run, paid.agent_run) == ("small-0", "small-1")
    assert put_off.outcome is not None
    assert put_off.outcome.kind == "approval_required"
    assert put_off.arguments == paid.arguments == {"amount": 9.0}
    assert _result(paid) == "paid 9.0"
    assert (steps[-1].operation, steps[-1].prompt) == ("model-request", None)
    assert [each.result for each in steps[-1].given] == ["paid 9.0", "#A is there"]


def look(order: str) -> str:
    return f"{order} is there"


def looking(runs: DurableRuns, order: str) -> Agent[Any, Any]:
    return durable_agent(runs.model(Plan(turns=(calls(("look", {"order": order})),), final="done")), look)


async def test_a_new_run_of_an_agent_is_not_taken_for_a_round(runs: DurableRuns) -> None:
    async def body() -> None:
        with pytest.raises(UsageLimitExceeded):
            await looking(runs, "#A").run("One.", usage_limits=UsageLimits(request_limit=1))
        await looking(runs, "#A").run("Two.")

    done = await runs.execute(body)
    steps = (await history_of(runs.store, str(done.flow_run_id))).steps
    assert [(step.prompt, len(step.given)) for step in steps if step.model] == [("One.", 0), ("Two.", 0), (None, 1)]


async def test_runs_of_an_agent_at_once_keep_their_own_calls(runs: DurableRuns) -> None:
    async def body() -> None:
        await asyncio.gather(*(looking(runs, order).run(order) for order in ("#A", "#B", "#C")))

    done = await runs.execute(body)
    steps = (await history_of(runs.store, str(done.flow_run_id))).steps
    looked = [step for step in steps if step.outcome is not None]
    assert sorted(step.arguments["order"] for step in looked) == ["#A", "#B", "#C"]
    assert all(_result(step) == f"{step.arguments['order']} is there" for step in looked)


async def test_what_takes_effect_and_what_is_unknown_is_marked(runs: DurableRuns) -> None:
    dying = [True]

    def send(to: str) -> str:
        if dying:
            raise Crash
        return f"sent to {to}"

    async def body() -> None:
        plan = Plan(turns=(calls(("look", {"order": "#A"})), calls(("send", {"to": "Ada"}))), final="done")
        tools = [Tool(look, metadata={SIDE_EFFECTS: False}), Tool(send, metadata={HONOURS_KEY: False})]
        await durable_agent(runs.model(plan), *tools).run("Write.")

    first = await runs.execute(body)
    dying.clear()
    await runs.execute(body, first.flow_run_id)
    history = await history_of(runs.store, str(first.flow_run_id))
    assert [each.number for each in history.executions] == [1, 2]
    looked, sent = (step for step in history.steps if step.outcome is not None)
    assert (looked.execution, looked.took_effect) == (1, False)
    assert sent.execution == 2
    assert sent.outcome is not None
    assert (sent.outcome.is_unknown, sent.took_effect) == (True, False)

    async def body_alone() -> None:
        plan = Plan(turns=(calls(("send", {"to": "Ada"})),), final="done")
        await durable_agent(runs.model(plan), Tool(send)).run("Write.")

    other = await runs.execute(body_alone)
    assert _step(await history_of(runs.store, str(other.flow_run_id)), "tool-send").took_effect


async def test_what_a_superseded_execution_wrote_late_is_not_told(runs: DurableRuns) -> None:
    dying = [True]

    async def body() -> None:
        await durable_agent(runs.model(Plan(final="one")), name="first").run("One.")
        if dying:
            raise Crash
        await durable_agent(runs.model(Plan(final="two")), name="second").run("Two.")

    first = await runs.execute(body)
    dying.clear()
    await runs.execute(body, first.flow_run_id)
    history = await history_of(runs.store, str(first.flow_run_id))
    assert [(step.prompt, step.execution) for step in history.steps] == [("One.", 1), ("Two.", 2)]
    # As a process does that was taken for dead.
    late = checkpoint_key(step_and_execution(history.steps[1].place)[0], 1)
    await runs.store.write(late, b"late")
    assert await history_of(runs.store, str(first.flow_run_id)) == history


async def test_what_cannot_be_told_is_said_why(runs: DurableRuns) -> None:
    async def nothing() -> None: ...

    async def one() -> None:
        await durable_agent(runs.model(Plan(final="Hello."))).run("Hello.")

    empty, done = await runs.execute(nothing), await runs.execute(one)
    with pytest.raises(CheckpointMissing, match="no agent took a step"):
        await history_of(runs.store, str(empty.flow_run_id))
    with pytest.raises(ConfigurationError, match="`triptych runs` lists them"):
        await history_of(runs.store, "nobody")

    (place,) = await runs.checkpoints(done.flow_run_id)
    await runs.store.write(place, b"torn")
    with pytest.raises(CheckpointTorn, match=place):
        await history_of(runs.store, str(done.flow_run_id))

    await runs.store.remove(place)
    record = PrunedRun(
        flow_run_id=str(done.flow_run_id), pruned_at=datetime(2026, 3, 4, 5, 6, tzinfo=UTC), checkpoints=1, bytes=9
    )
    await runs.store.write(pruned_key(record.flow_run_id), record.model_dump_json().encode())
    with pytest.raises(CheckpointMissing, match=r"pruned at 2026-03-04 05:06 UTC: 1 checkpoints"):
        await history_of(runs.store, record.flow_run_id)
    await runs.store.write(pruned_key(record.flow_run_id), b"torn")
    with pytest.raises(CheckpointTorn, match="pruned/"):
        await history_of(runs.store, record.flow_run_id)


def _result(step: ToldStep) -> Any:
    assert step.outcome is not None
    assert step.outcome.kind == "tool_return"
    return step.outcome.result


def _step(history: RunHistory, operation: str) -> ToldStep:
    (found,) = (step for step in history.steps if step.operation == operation)
    return found

"""Agent runs in a flow run: each has its own checkpoints and effects, and finds them again; elsewhere it is refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest
from prefect import task
from prefect.context import FlowRunContext
from prefect.filesystems import LocalFileSystem
from pydantic_ai import Agent, RunContext
from pydantic_ai.capabilities import ProcessHistory
from pydantic_ai.messages import ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models.function import AgentInfo, DeltaToolCall, DeltaToolCalls, FunctionModel
from pydantic_ai.models.test import TestModel

from tests.components.prefect_server import PrefectServer
from tests.durable_runs import DurableRuns, calls, durable_agent, tool_returns
from tests.resume.six_step_run import goodwill
from triptych.errors import CheckpointIncompatible, ConfigurationError
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import OrderDesk
from triptych.loop.models import Plan
from triptych.runtime.durability import Durability

REFUND = ("goodwill", {"order_id": "#A", "amount": 5.0})
ONE_REFUND = Plan(turns=(calls(REFUND),), final="done")


class Crash(Exception):
    """What ends an execution after its agent has."""


def amounts(desk: OrderDesk) -> list[float]:
    return sorted(effect.arguments["amount"] for effect in desk.effects())


@pytest.mark.parametrize("concurrently", [False, True], ids=["in turn", "concurrently"])
async def test_two_equal_agent_runs_are_two_runs_and_stay_two_when_resumed(
    runs: DurableRuns, desk: OrderDesk, concurrently: bool
) -> None:
    agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)

    async def once() -> Any:
        return tool_returns((await agent.run("Refund.", deps=DeskDeps(desk))).all_messages())

    async def body() -> Any:
        both = await asyncio.gather(once(), once()) if concurrently else [await once(), await once()]
        return both, [effect.key for effect in desk.effects()]

    first = await runs.execute(body)
    told, keys = first.result
    # The provider repeats its call ids; the effects are two all the same.
    assert [[call_id for call_id, _ in each] for each in told] == [["call-1-1"], ["call-1-1"]]
    assert amounts(desk) == [5.0, 5.0]
    assert len(set(keys)) == 2
    assert all(key.startswith(f"{first.flow_run_id}:small-") for key in keys)
    assert len(runs.asked) == 4
    assert len(await runs.checkpoints(first.flow_run_id)) == 6

    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result
    assert amounts(desk) == [5.0, 5.0]
    assert len(runs.asked) == 4


async def test_a_new_flow_run_shares_nothing_with_another(runs: DurableRuns, desk: OrderDesk) -> None:
    async def body() -> Any:
        agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)
        return (await agent.run("Refund.", deps=DeskDeps(desk))).output

    first, second = await runs.execute(body), await runs.execute(body)
    assert first.flow_run_id != second.flow_run_id
    assert amounts(desk) == [5.0, 5.0]
    assert len(runs.asked) == 4


async def test_calls_with_the_same_id_are_told_apart(runs: DurableRuns, desk: OrderDesk) -> None:
    asked: list[int] = []

    async def one_id_for_all(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[DeltaToolCalls | str]:
        asked.append(len(messages))
        match len(messages):
            case 1:  # two calls of one response
                yield {0: a_call("#A", 5.0), 1: a_call("#B", 1.0)}
            case 3:  # and of a later one
                yield {0: a_call("#C", 2.0)}
            case _:
                yield "done"

    async def body() -> Any:
        model = FunctionModel(stream_function=one_id_for_all)
        result = await durable_agent(model, goodwill, deps_type=DeskDeps).run("Refund.", deps=DeskDeps(desk))
        return [call_id for call_id, _ in tool_returns(result.all_messages())]

    first = await runs.execute(body)
    assert len(set(first.result)) == 3
    assert first.result[0] == "x"
    assert amounts(desk) == [1.0, 2.0, 5.0]
    assert len(await runs.checkpoints(first.flow_run_id)) == 6
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result
    assert amounts(desk) == [1.0, 2.0, 5.0]
    assert len(asked) == 3


def a_call(order_id: str, amount: float) -> DeltaToolCall:
    return DeltaToolCall("goodwill", json.dumps({"order_id": order_id, "amount": amount}), tool_call_id="x")


async def test_an_agent_in_a_tool_is_durable_below_its_call(runs: DurableRuns, desk: OrderDesk) -> None:
    inner = durable_agent(runs.model(ONE_REFUND), goodwill, name="inner", deps_type=DeskDeps)

    async def delegate(ctx: RunContext[DeskDeps], what: str) -> str:
        result = await inner.run(what, deps=ctx.deps)
        await inner.run(what, deps=ctx.deps)
        if what in dying:
            raise Crash
        return result.output

    plan = Plan(turns=(calls(("delegate", {"what": "a"})), calls(("delegate", {"what": "b"}))), final="done")
    dying = {"b"}

    async def body() -> Any:
        outer = durable_agent(runs.model(plan), delegate, name="outer", deps_type=DeskDeps)
        return (await outer.run("Delegate.", deps=DeskDeps(desk))).output

    first = await runs.execute(body)
    assert isinstance(first.error, Crash)
    asked = len(runs.asked)
    keys = await runs.checkpoints(first.flow_run_id)
    assert any("/inner-1/" in key for key in keys)
    dying.clear()
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == "done"
    # Of the tool that died everything inside was recorded: two agents in each of two calls, one refund each.
    assert amounts(desk) == [5.0] * 4
    assert len(runs.asked) == asked + 1 == 2 + 4 * 2 + 1


async def test_a_history_goes_on_in_a_second_agent_run(runs: DurableRuns, desk: OrderDesk) -> None:
    async def body() -> Any:
        agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)
        first = await agent.run("Refund.", deps=DeskDeps(desk))
        second = await agent.run("Again.", deps=DeskDeps(desk), message_history=first.all_messages())
        return [call_id for call_id, _ in tool_returns(second.all_messages())]

    first = await runs.execute(body)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result
    assert amounts(desk) == [5.0, 5.0]
    assert len(runs.asked) == 4


@pytest.mark.parametrize(
    ("shared", "concurrently"),
    [
        ("history", False),
        ("history", True),
        ("conversation_id", False),
        ("conversation_id", True),
        ("run_id", False),  # and at once: refused, see below
    ],
)
async def test_runs_that_share_a_conversation_have_effects_of_their_own(
    runs: DurableRuns, desk: OrderDesk, shared: str, concurrently: bool
) -> None:
    agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)

    async def body() -> Any:
        begun = await durable_agent(runs.model(Plan(final="Hello.")), name="begins").run("Hello.")
        options: dict[str, Any] = {
            "history": {"message_history": begun.all_messages()},
            "conversation_id": {"conversation_id": "support-7"},
            "run_id": {"run_id": "mine"},
        }[shared]

        async def once() -> str:
            return (await agent.run("Refund.", deps=DeskDeps(desk), **options)).output

        return await asyncio.gather(once(), once()) if concurrently else [await once(), await once()]

    # Another flow run shares the caller's ids as well.
    first, other = await runs.execute(body), await runs.execute(body)
    assert first.result == other.result == ["done", "done"]
    keys = [effect.key for effect in desk.effects()]
    assert len(set(keys)) == len(keys) == 4
    asked = len(runs.asked)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result
    assert [effect.key for effect in desk.effects()] == keys
    assert len(runs.asked) == asked


async def test_agents_that_start_in_another_order_find_their_steps_by_run_id(runs: DurableRuns) -> None:
    orders = [["a", "b"], ["b", "a"], ["b", "a"]]

    def in_turn(**run_ids: str) -> Any:
        async def body() -> Any:
            agent = durable_agent(runs.model(Plan(final="done")))
            for each in orders.pop(0):
                await agent.run(f"Do {each}.", run_id=run_ids.get(each))

        return body

    first = await runs.execute(in_turn(a="run-a", b="run-b"))
    again = await runs.execute(in_turn(a="run-a", b="run-b"), first.flow_run_id)
    assert again.error is None
    assert len(runs.asked) == 2
    orders.append(["a", "b"])
    nameless = await runs.execute(in_turn())
    refused = await runs.execute(in_turn(), nameless.flow_run_id)
    assert isinstance(refused.error, CheckpointIncompatible)
    assert "need a `run_id=` each" in str(refused.error)


async def test_a_flow_retry_in_the_same_process_replays(runs: DurableRuns, desk: OrderDesk) -> None:
    tries: list[int] = []

    async def body() -> Any:
        agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)
        output = (await agent.run("Refund.", deps=DeskDeps(desk))).output
        tries.append(1)
        if len(tries) == 1:
            raise Crash
        return output

    ended = await runs.execute(body, retries=1)
    assert ended.result == "done"
    assert len(tries) == 2
    assert len(runs.asked) == 2
    assert amounts(desk) == [5.0]


async def test_one_history_processor_more_is_a_rewritten_history(runs: DurableRuns, desk: OrderDesk) -> None:
    def shortened(messages: list[ModelMessage]) -> list[ModelMessage]:
        return [ModelRequest(parts=[UserPromptPart("Go on.")]), *messages[1:]] if len(messages) > 1 else messages

    async def body() -> Any:
        agent = durable_agent(
            runs.model(ONE_REFUND),
            goodwill,
            deps_type=DeskDeps,
            capabilities=[Durability[Any](), ProcessHistory(shortened)],
        )
        return (await agent.run("Refund.", deps=DeskDeps(desk))).output

    first = await runs.execute(body)
    again = await runs.execute(body, first.flow_run_id)
    assert again.result == first.result == "done"
    assert len(runs.asked) == 2


async def test_a_history_that_is_rewritten_at_once_does_not_free_its_call_ids(
    runs: DurableRuns, desk: OrderDesk
) -> None:
    asked: list[int] = []

    async def one_id_for_all(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[DeltaToolCalls | str]:
        asked.append(len(asked))
        yield {0: a_call("#A", float(len(asked)))} if len(asked) < 3 else "done"

    def forgetful(messages: list[ModelMessage]) -> list[ModelMessage]:
        return [ModelRequest(parts=[UserPromptPart(f"So far {len(asked)} calls.")])] if len(messages) > 1 else messages

    async def body() -> Any:
        capabilities = [Durability[Any](), ProcessHistory(forgetful)]
        model = FunctionModel(stream_function=one_id_for_all)
        agent = durable_agent(model, goodwill, deps_type=DeskDeps, capabilities=capabilities)
        return (await agent.run("Refund.", deps=DeskDeps(desk))).output

    ended = await runs.execute(body)
    assert ended.result == "done"
    assert amounts(desk) == [1.0, 2.0]


async def test_a_run_id_of_the_caller_s_that_looks_like_ours_is_still_two_runs(
    runs: DurableRuns, desk: OrderDesk
) -> None:
    agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)

    async def body() -> Any:
        context = FlowRunContext.get()
        assert context is not None
        assert context.flow_run is not None
        run_id = f"{context.flow_run.id}:small-0"
        return [(await agent.run("Refund.", deps=DeskDeps(desk), run_id=run_id)).output for _ in range(2)]

    ended = await runs.execute(body)
    assert ended.result == ["done", "done"]
    assert amounts(desk) == [5.0, 5.0]


# Where a durable agent cannot run


def plain() -> Agent[Any, Any]:
    return durable_agent(TestModel())


async def test_outside_a_flow_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="outside a flow"):
        await plain().run("Hello.")


async def test_in_a_prefect_task_it_is_refused(runs: DurableRuns) -> None:
    @task
    async def in_a_task() -> str:
        return (await plain().run("Hello.")).output

    ended = await runs.execute(cast(Any, in_a_task))
    assert isinstance(ended.error, ConfigurationError)
    assert "inside a Prefect task" in str(ended.error)
    assert await runs.checkpoints(ended.flow_run_id) == []


async def test_a_flow_that_keeps_its_results_elsewhere_is_refused(
    runs: DurableRuns, tmp_path: Path, prefect_server: PrefectServer
) -> None:
    await cast(Any, LocalFileSystem(basepath=str(tmp_path)).save("elsewhere", overwrite=True))

    async def body() -> str:
        return (await plain().run("Hello.")).output

    ended = await runs.execute(body, result_storage="local-file-system/elsewhere")
    assert isinstance(ended.error, ConfigurationError)
    assert "a CheckpointStore block" in str(ended.error)


async def test_two_runs_under_one_run_id_at_a_time_are_refused(runs: DurableRuns, desk: OrderDesk) -> None:
    agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)

    async def at_once() -> Any:
        one = agent.run("Refund.", deps=DeskDeps(desk), run_id="mine")
        other = agent.run("Refund.", deps=DeskDeps(desk), run_id="mine")
        return await asyncio.gather(one, other, return_exceptions=True)

    ended = await runs.execute(at_once)
    refused = [each for each in ended.result if isinstance(each, ConfigurationError)]
    assert len(refused) == 1
    assert "'mine'" in str(refused[0])


async def test_a_run_id_of_the_caller_s_is_found_again(runs: DurableRuns, desk: OrderDesk) -> None:
    agent = durable_agent(runs.model(ONE_REFUND), goodwill, deps_type=DeskDeps)

    async def in_turn() -> Any:
        results = [
            await agent.run("Refund.", deps=DeskDeps(desk), run_id=run_id) for run_id in ("a/../b", "a/../b", "c")
        ]
        return [result.output for result in results]

    first = await runs.execute(in_turn)
    again = await runs.execute(in_turn, first.flow_run_id)
    assert again.result == first.result == ["done"] * 3
    assert len(runs.asked) == 6

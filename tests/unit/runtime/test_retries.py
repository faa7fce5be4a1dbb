"""Retries live in one layer: a model request that failed for the moment is asked again by its Prefect task."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic_ai import ModelRetry
from pydantic_ai.exceptions import ModelAPIError, ModelHTTPError, UserError
from pydantic_ai.messages import ModelMessage
from pydantic_ai.models.function import AgentInfo, FunctionModel

from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import CheckpointStoreUnavailable, ConfigurationError
from triptych.loop.models import Plan
from triptych.loop.witness import read
from triptych.runtime.steps import MODEL_REQUEST_RETRIES


def failing(runs: DurableRuns, *errors: Exception, after: str = "") -> FunctionModel:
    """A model whose first requests fail, one with each error; `after` comes before the failure."""
    left = list(errors)

    async def answer(messages: list[ModelMessage], info: AgentInfo) -> AsyncIterator[str]:
        runs.witness.write(event="request.started", run="", name="failing", key="request:1")
        if left:
            if after:
                yield after
            raise left.pop(0)
        runs.witness.write(event="request.finished", run="", name="failing", key="request:1")
        yield "done"

    return FunctionModel(stream_function=answer)


def http(status: int) -> ModelHTTPError:
    return ModelHTTPError(status_code=status, model_name="failing")


@pytest.mark.parametrize(
    "error",
    [http(429), http(500), http(503), http(529), http(408), ModelAPIError("failing", "connection reset")],
    ids=str,
)
@pytest.mark.parametrize("after", ["", "half an ans"], ids=["at once", "in mid stream"])
async def test_a_request_that_failed_for_the_moment_is_asked_again(
    runs: DurableRuns, error: Exception, after: str
) -> None:
    async def body() -> Any:
        return (await durable_agent(failing(runs, error, after=after)).run("Hello.")).output

    first = await runs.execute(body)
    assert first.result == "done"
    assert len(runs.asked) == 2
    assert [line.event for line in read(runs.witness.path)][-1] == "request.finished"
    assert len(await runs.checkpoints(first.flow_run_id)) == 1
    assert (await runs.execute(body, first.flow_run_id)).result == "done"
    assert len(runs.asked) == 2


async def test_a_request_is_given_up_after_its_retries(runs: DurableRuns) -> None:
    async def body() -> Any:
        return (await durable_agent(failing(runs, *[http(500)] * 9)).run("Hello.")).output

    ended = await runs.execute(body)
    assert isinstance(ended.error, ModelHTTPError)
    assert len(runs.asked) == 1 + MODEL_REQUEST_RETRIES
    assert await runs.checkpoints(ended.flow_run_id) == []
    # What failed is not recorded: another execution asks anew.
    ended = await runs.execute(body, ended.flow_run_id)
    assert len(runs.asked) == 2 * (1 + MODEL_REQUEST_RETRIES)


@pytest.mark.parametrize(
    "error",
    [
        ConfigurationError("no key"),
        http(400),
        http(401),
        http(404),
        UserError("wrong"),
        RuntimeError("a bug"),
        CheckpointStoreUnavailable("away"),
    ],
    ids=str,
)
async def test_anything_else_is_not_tried_again(runs: DurableRuns, error: Exception) -> None:
    async def body() -> Any:
        return (await durable_agent(failing(runs, error)).run("Hello.")).output

    ended = await runs.execute(body)
    assert type(ended.error) is type(error)
    assert len(runs.asked) == 1


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), ConnectionError("reset"), http(500), TimeoutError()], ids=repr
)
async def test_a_tool_that_failed_is_not_tried_again(runs: DurableRuns, error: Exception) -> None:
    """Nobody but its author knows whether it did something before it failed."""
    tried: list[int] = []

    def act() -> str:
        tried.append(1)
        raise error

    async def body() -> Any:
        plan = Plan(turns=(calls(("act", {})),), final="done")
        return (await durable_agent(runs.model(plan), act).run("Act.")).output

    ended = await runs.execute(body)
    assert type(ended.error) is type(error)
    assert len(tried) == 1


async def test_what_a_tool_tells_the_model_to_mend_is_recorded_like_a_result(runs: DurableRuns) -> None:
    tried: list[int] = []

    def act(amount: int) -> str:
        tried.append(amount)
        if amount > 1:
            raise ModelRetry("less, please")
        return "fine"

    async def body() -> Any:
        plan = Plan(turns=(calls(("act", {"amount": 2})), calls(("act", {"amount": 1}))), final="done")
        result = await durable_agent(runs.model(plan), act, retries=2).run("Act.")
        return result.output, result.usage.requests

    first = await runs.execute(body)
    assert first.result == ("done", 3)
    assert tried == [2, 1]
    assert (await runs.execute(body, first.flow_run_id)).result == first.result
    assert tried == [2, 1]

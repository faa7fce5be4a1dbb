"""The scripted model, through a real pydantic-ai agent, streaming and not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic_ai import ModelRetry, NativeOutput, PromptedOutput, RunContext
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelMessage,
    ModelMessagesTypeAdapter,
    ModelRequest,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    TextPartDelta,
    ToolCallPart,
    ToolCallPartDelta,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.tools import DeferredToolRequests, DeferredToolResults

from tests.unit.loop.models.toy_agent import PLAN, Verdict, essence, plans, responses, toy_agent
from triptych.errors import ConfigurationError
from triptych.loop.models import Plan, ScriptedModel, Turn
from triptych.loop.witness import Witness, read
from triptych.records import PlannedCall
from triptych.settings import ScriptedSettings

_property = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


async def _streamed(model: ScriptedModel) -> tuple[list[ModelMessage], list[AgentStreamEvent]]:
    events: list[AgentStreamEvent] = []

    async def collect(_: RunContext[None], stream: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in stream:
            events.append(event)

    result = await toy_agent(model).run("Go.", event_stream_handler=collect)
    return result.all_messages(), events


async def test_it_plays_the_plan_and_ends_with_the_output() -> None:
    result = await toy_agent(ScriptedModel(PLAN)).run("Go.")

    assert result.output == Verdict(answer="All done.", score=3)
    assert [
        [(part.tool_name, part.args_as_dict()) for part in response.parts if isinstance(part, ToolCallPart)]
        for response in responses(result.all_messages())[:-1]
    ] == [[(call.name, call.arguments) for call in turn.calls] for turn in PLAN.turns]
    assert responses(result.all_messages())[0].text == "Let me see."
    assert (result.usage.requests, result.usage.tool_calls) == (4, 4)


@_property
@given(plan=plans, size=st.integers(1, 40))
async def test_the_chunks_join_to_the_plan_and_none_is_larger_than_set(plan: Plan, size: int) -> None:
    messages, events = await _streamed(ScriptedModel(plan, pace=ScriptedSettings(chunk_characters=size)))

    joined: list[str] = []
    for event in events:
        if isinstance(event, PartStartEvent):
            part = event.part
            assert isinstance(part, TextPart | ToolCallPart)
            chunk = part.content if isinstance(part, TextPart) else part.args
            assert isinstance(chunk, str)
            joined.append(chunk)
        elif isinstance(event, PartDeltaEvent):
            assert isinstance(event.delta, TextPartDelta | ToolCallPartDelta)
            delta = event.delta.content_delta if isinstance(event.delta, TextPartDelta) else event.delta.args_delta
            assert isinstance(delta, str)
            chunk = delta
            joined[-1] += chunk
        else:
            continue
        assert 0 < len(chunk) <= size
    sent = [part for response in responses(messages) for part in response.parts]
    assert joined == [
        part.content if isinstance(part, TextPart) else part.args_as_json_str()
        for part in sent
        if isinstance(part, TextPart | ToolCallPart)
    ]
    assert [part.args_as_dict() for part in sent if isinstance(part, ToolCallPart)] == [
        *(call.arguments for turn in plan.turns for call in turn.calls),
        plan.final,
    ]


@_property
@given(plan=plans)
async def test_streaming_or_not_two_runs_give_the_same_responses(plan: Plan) -> None:
    whole = (await toy_agent(ScriptedModel(plan)).run("Go.")).all_messages()
    again = (await toy_agent(ScriptedModel(plan)).run("Go.")).all_messages()
    streamed, _ = await _streamed(ScriptedModel(plan))

    expected = [essence(response) for response in responses(whole)]
    assert [essence(response) for response in responses(again)] == expected
    assert [essence(response) for response in responses(streamed)] == expected


@_property
@given(plan=plans, data=st.data())
async def test_resumed_at_any_turn_it_goes_on_like_an_undisturbed_run(plan: Plan, data: st.DataObject) -> None:
    undisturbed = await toy_agent(ScriptedModel(plan)).run("Go.")
    messages = undisturbed.all_messages()
    requests = [index for index, message in enumerate(messages) if isinstance(message, ModelRequest)]
    # The last request only acknowledges the output.
    cut = data.draw(st.sampled_from(requests[:-1])) + 1
    # As JSON, for a resumed run reads its history from a store.
    history = ModelMessagesTypeAdapter.validate_json(ModelMessagesTypeAdapter.dump_json(messages[:cut]))

    resumed = await toy_agent(ScriptedModel(plan)).run(message_history=history)

    assert resumed.output == undisturbed.output
    assert [essence(response) for response in responses(resumed.all_messages())] == [
        essence(response) for response in responses(messages)
    ]


async def test_input_grows_with_the_history_and_costs_something() -> None:
    played = responses((await toy_agent(ScriptedModel(PLAN)).run("Go.")).all_messages())

    inputs = [response.usage.input_tokens for response in played]
    assert inputs == sorted(set(inputs))
    assert all(response.usage.output_tokens > 0 for response in played)
    assert all(response.usage.cost for response in played)


async def test_call_ids_repeat_in_a_second_run_and_not_within_a_conversation() -> None:
    model = ScriptedModel(PLAN)

    def ids(messages: list[ModelMessage]) -> list[str]:
        return [call.tool_call_id for response in responses(messages) for call in response.tool_calls]

    first = await toy_agent(model).run("Go.")
    second = await toy_agent(model).run("Go.")
    continued = await toy_agent(model).run("Once more.", message_history=first.all_messages())

    assert ids(first.all_messages()) == ["call-1-1", "call-2-1", "call-2-2", "call-3-1", "call-4-1"]
    assert ids(second.all_messages()) == ids(first.all_messages())
    assert len(set(ids(continued.all_messages()))) == 10


async def test_a_turn_may_set_its_own_ids() -> None:
    call = PlannedCall(name="add", arguments={"numbers": [1]})
    plan = Plan(turns=(Turn(calls=(call, call), tool_call_ids=("toolu_1", "toolu_2")),), final={"answer": ""})

    result = await toy_agent(ScriptedModel(plan)).run("Go.")

    assert [call.tool_call_id for call in responses(result.all_messages())[0].tool_calls] == ["toolu_1", "toolu_2"]


async def test_a_new_prompt_after_an_earlier_conversation_plays_the_plan_from_its_start() -> None:
    earlier = await toy_agent(ScriptedModel(PLAN)).run("Go.")

    later = await toy_agent(ScriptedModel(PLAN)).run("Again.", message_history=earlier.all_messages())

    assert later.output == earlier.output
    assert later.usage.requests == 4


async def test_an_earlier_conversation_may_have_ended_in_text() -> None:
    history = [ModelRequest(parts=[UserPromptPart("Hello?")]), ModelResponse(parts=[TextPart("Hello.")])]

    result = await toy_agent(ScriptedModel(PLAN)).run("Go.", message_history=history)

    assert result.output.score == 3


async def test_an_approval_round_goes_on_where_it_stopped() -> None:
    plan = Plan(
        turns=(
            Turn(calls=(PlannedCall(name="look_up", arguments={"order_id": "1"}), PlannedCall(name="pay"))),
            Turn(calls=(PlannedCall(name="add", arguments={"numbers": [2]}),)),
        ),
        final={"answer": "Paid."},
    )
    model = ScriptedModel(plan)
    agent = toy_agent(model, output_type=[Verdict, DeferredToolRequests])

    @agent.tool_plain(requires_approval=True)
    def pay() -> str:
        return "paid"

    asked = await agent.run("Go.")
    assert isinstance(asked.output, DeferredToolRequests)
    decision = DeferredToolResults(approvals={call.tool_call_id: True for call in asked.output.approvals})

    for prompt in (None, "Yes, do it."):
        answered = await agent.run(prompt, message_history=asked.all_messages(), deferred_tool_results=decision)
        assert answered.output == Verdict(answer="Paid.")
        assert answered.usage.requests == 2


@pytest.mark.parametrize("output_type", [NativeOutput(Verdict), PromptedOutput(Verdict)])
async def test_a_structured_output_without_an_output_tool(output_type: Any) -> None:
    result = await toy_agent(ScriptedModel(PLAN), output_type=output_type).run("Go.")

    assert result.output == Verdict(answer="All done.", score=3)


async def test_a_plain_text_output() -> None:
    plan = PLAN.model_copy(update={"final": "Just words."})

    assert (await toy_agent(ScriptedModel(plan), output_type=str).run("Go.")).output == "Just words."


async def test_an_output_that_is_wrapped_for_the_provider() -> None:
    plan = Plan(final={"a": 1})

    assert (await toy_agent(ScriptedModel(plan), output_type=dict[str, int]).run("Go.")).output == {"a": 1}


async def test_of_several_output_tools_the_one_that_takes_the_output() -> None:
    result = await toy_agent(ScriptedModel(PLAN), output_type=[int, Verdict]).run("Go.")

    assert result.output == Verdict(answer="All done.", score=3)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_witnessed_before_its_first_chunk_and_after_its_last(tmp_path: Path, stream: bool) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    model = ScriptedModel(PLAN, witness=witness)
    seen: list[tuple[type[AgentStreamEvent], int]] = []

    async def watch(_: RunContext[None], events: AsyncIterable[AgentStreamEvent]) -> None:
        async for event in events:
            seen.append((type(event), len(read(witness.path))))

    result = await toy_agent(model).run("Go.", event_stream_handler=watch if stream else None)

    conversation = responses(result.all_messages())[0].conversation_id
    assert [(line.event, line.key) for line in read(witness.path)] == [
        (event, f"request:{number}") for number in (1, 2, 3, 4) for event in ("request.started", "request.finished")
    ]
    assert {(line.run, line.name) for line in read(witness.path)} == {(conversation, "scripted")}
    if stream:
        first = next(lines for kind, lines in seen if kind is PartStartEvent)
        assert first == 1  # started, not finished


async def test_a_continued_conversation_is_witnessed_under_its_own_numbers(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    agent = toy_agent(ScriptedModel(PLAN, witness=witness))

    first = await agent.run("Go.")
    await agent.run("Again.", message_history=first.all_messages())

    started = [(line.run, line.key) for line in read(witness.path) if line.event == "request.started"]
    assert [key for _, key in started] == [f"request:{number}" for number in range(1, 9)]
    assert len({run for run, _ in started}) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_both_ways_wait_before_the_first_chunk_and_between_chunks(stream: bool) -> None:
    """Told by the order of events: whoever sleeps for less than a wait is up before it is over, however slow we are."""
    events: list[str] = []

    async def sleeper(seconds: float) -> None:
        await asyncio.sleep(seconds)
        events.append(f"after {seconds}")

    pace = ScriptedSettings(first_token_seconds=0.2, chunk_seconds=0.1, chunk_characters=8)
    model = ScriptedModel(Plan(final="x" * 20), pace=pace)
    messages: list[ModelMessage] = [ModelRequest(parts=[UserPromptPart("Go.")])]
    sleepers = [asyncio.create_task(sleeper(seconds)) for seconds in (0.19, 0.29, 0.39)]
    await asyncio.sleep(0)

    if stream:
        async with model.request_stream(messages, None, ModelRequestParameters()) as response:
            async for event in response:
                if isinstance(event, PartStartEvent | PartDeltaEvent):
                    events.append("chunk")
    else:
        await model.request(messages, None, ModelRequestParameters())
        events.extend(["chunk"] * 3)
    await asyncio.gather(*sleepers)

    chunks = [position for position, event in enumerate(events) if event == "chunk"]
    assert len(chunks) == 3
    for chunk, seconds in zip(chunks, (0.19, 0.29, 0.39), strict=True):
        assert events.index(f"after {seconds}") < chunk


@pytest.mark.parametrize("output_type", [Verdict, NativeOutput(Verdict)], ids=["tool", "native"])
async def test_a_rejected_output_exhausts_the_plan_instead_of_starting_it_again(
    tmp_path: Path, output_type: Any
) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    agent = toy_agent(ScriptedModel(PLAN, witness=witness), output_type=output_type)

    @agent.output_validator
    def reject(_: Verdict) -> Verdict:
        raise ModelRetry("Not good enough.")

    with pytest.raises(ConfigurationError, match="exhausted after 4 responses"):
        await agent.run("Go.")
    assert [line.key for line in read(witness.path) if line.event == "request.started"][-1] == "request:4"


async def test_a_tool_that_asks_for_a_retry_gets_the_next_turn() -> None:
    plan = Plan(turns=(Turn(calls=(PlannedCall(name="flaky"),)),) * 2, final={"answer": "ok"})
    agent = toy_agent(ScriptedModel(plan))
    calls: list[int] = []

    @agent.tool_plain
    def flaky() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise ModelRetry("Again, please.")
        return "fine"

    assert (await agent.run("Go.")).output.answer == "ok"


def test_two_models_are_equal_when_they_play_the_same() -> None:
    assert ScriptedModel(PLAN) == ScriptedModel(PLAN)
    assert ScriptedModel(PLAN) != ScriptedModel(Plan(final="Hi."))
    assert ScriptedModel(PLAN).model_id == "scripted:scripted"


async def test_a_stream_that_is_given_up_is_not_witnessed_as_finished(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "w.jsonl")
    model = ScriptedModel(Plan(final="x" * 100), witness=witness)

    async with model.request_stream([ModelRequest(parts=[])], None, ModelRequestParameters()) as response:
        async for _ in response:
            break
        await response.cancel()

    assert [line.event for line in read(witness.path)] == ["request.started"]
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens == 0


async def test_the_tool_results_went_in() -> None:
    result = await toy_agent(ScriptedModel(PLAN)).run("Go.")

    returns = [part for message in result.all_messages() for part in message.parts if isinstance(part, ToolReturnPart)]
    assert [part.content for part in returns[:3]] == [
        {"order_id": "#W1", "verbose": False},
        {"order_id": "#W2", "verbose": True},
        "6",
    ]

"""The model answers as OpenAI's does, plays each item's course, and fails where the plan says so."""

from __future__ import annotations

import json
import time

import httpx
import openai
import pytest

from benchmarks.contract import Fault
from tests.unit.benchmarks.world.playing import LOOK, REFUND, TOOLS, Playing, called, item, opening, until


@pytest.mark.parametrize("stream", [True, False])
def test_it_calls_for_the_actions_in_order_and_then_answers(world: Playing, stream: bool) -> None:
    world.play([item("a", LOOK, REFUND)])
    messages = opening("a")
    for action in (LOOK, REFUND):
        reply = world.ask(messages, stream=stream).choices[0]
        assert reply.finish_reason == "tool_calls"
        (call,) = reply.message.tool_calls or []
        assert call.type == "function"
        assert (call.function.name, json.loads(call.function.arguments)) == (action.name, action.arguments)
        messages += called(action, world.call("a", action), call.id)
    last = world.ask(messages, stream=stream)
    assert (last.choices[0].finish_reason, last.choices[0].message.content) == ("stop", "It is done.")
    assert last.choices[0].message.tool_calls is None
    lines = [line for line in world.lines() if line.kind == "request"]
    assert [(line.step, line.event) for line in lines] == [
        (step, event) for step in range(3) for event in ("started", "first_token", "finished")
    ]
    assert {line.version for line in lines if line.event == "started"} == {"7"}
    assert not any(line.wrong or line.missing for line in lines)


def test_usage_is_what_the_ledger_says_is_paid(world: Playing) -> None:
    world.play([item("a", LOOK)])
    usage = world.ask(opening("a")).usage
    assert usage is not None
    assert usage == world.ask(opening("a"), stream=False).usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens
    paid = {(line.input_tokens, line.output_tokens) for line in world.lines() if line.event == "finished"}
    assert paid == {(usage.prompt_tokens, usage.completion_tokens)}
    assert usage.prompt_tokens > 0 < usage.completion_tokens


def test_a_stream_has_usage_only_if_it_is_asked_for(world: Playing) -> None:
    world.play([item("a")])
    with world.model() as model:
        chunks = list(model.chat.completions.create(model="any", messages=opening("a"), stream=True))
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is done."


def test_a_call_has_another_id_each_time(world: Playing) -> None:
    world.play([item("a", LOOK)])
    calls = [(world.ask(opening("a")).choices[0].message.tool_calls or [])[0] for _ in range(2)]
    assert len({call.id for call in calls}) == 2
    assert [line.attempt for line in world.lines() if line.event == "started"] == [1, 2]


def test_it_streams_at_its_pace(world: Playing) -> None:
    pace = {"first_token_seconds": 0.3, "chunk_seconds": 0.1, "chunk_characters": 3}
    world.play([item("a")], pace=pace)  # "It is done." is four chunks
    began = time.monotonic()
    world.ask(opening("a"))
    assert time.monotonic() - began >= 0.6
    started, first, finished = world.lines()
    assert first.at - started.at >= 0.3
    assert finished.at - started.at >= 0.6
    world.play([item("a")], pace=pace)
    began = time.monotonic()
    world.ask(opening("a"), stream=False)
    assert time.monotonic() - began >= 0.6


def test_wrong_and_missing_results_are_noted(world: Playing) -> None:
    world.play([item("a", LOOK, REFUND, LOOK)])
    right = world.run(item("a", LOOK, REFUND, LOOK))
    messages = [*opening("a"), *called(LOOK, '{"order_id": "#T1009"}', "1"), *right[4:6]]
    world.ask(messages)
    world.ask([*opening("a"), *right[2:4], *called(LOOK, right[-1]["content"], "2")])
    wrong, missing = [line for line in world.lines() if line.event == "started" and line.kind == "request"][-2:]
    assert (wrong.step, wrong.wrong, wrong.missing) == (2, (0,), ())
    assert (missing.step, missing.wrong, missing.missing) == (2, (), (1,))


@pytest.mark.parametrize(
    ("messages", "tools", "says"),
    [
        ([{"role": "user", "content": "Help me."}], TOOLS, "Ticket <id>: "),
        (opening("b"), TOOLS, "there is no ticket b"),
        (opening("a"), TOOLS[1:], "order_lookup, which the request does not offer"),
        ([*opening("a"), *called(LOOK, "", "1")[:1]], TOOLS, "has no message of role 'tool'"),
        ([*opening("a"), *called(LOOK, "", "1"), *called(LOOK, "", "2")], TOOLS, "has 2 calls behind it"),
        ([*opening("a"), {"content": "who says it?"}], TOOLS, "not of OpenAI's form"),
    ],
)
def test_what_openai_would_refuse_is_refused(
    world: Playing, messages: list[object], tools: list[object], says: str
) -> None:
    world.play([item("a", LOOK)])
    with pytest.raises(openai.BadRequestError, match=says):
        world.ask(messages, tools=tools)
    assert world.lines() == []


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"messages": 3}'])
def test_a_body_of_another_form_is_refused(world: Playing, body: bytes) -> None:
    world.play([item("a", LOOK)])
    answer = httpx.post(f"{world.url}/v1/chat/completions", content=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_it_refuses_as_often_as_the_plan_says_and_then_answers(world: Playing) -> None:
    faults = [
        Fault(item="a", kind="request", step=0, what="rate_limit"),
        Fault(item="a", kind="request", step=0, what="error", times=2),
    ]
    world.play([item("a"), item("b")], faults)
    with pytest.raises(openai.RateLimitError) as refused:
        world.ask(opening("a"))
    assert refused.value.response.headers["retry-after"] == "1"
    for _ in range(2):
        with pytest.raises(openai.InternalServerError):
            world.ask(opening("a"))
    world.ask(opening("b"))
    world.ask(opening("a"))
    assert [(line.event, line.fault) for line in world.lines() if line.item == "a"] == [
        ("started", "rate_limit/received"),
        ("failed", "rate_limit/received"),
        *(2 * [("started", "error/received"), ("failed", "error/received")]),
        ("started", None),
        ("first_token", None),
        ("finished", None),
    ]


def test_openais_own_retries_outlive_it(world: Playing) -> None:
    world.play([item("a")], [Fault(item="a", kind="request", step=0, what="rate_limit")])
    with world.model() as model:
        answer = model.with_options(max_retries=1).chat.completions.create(model="any", messages=opening("a"))
    assert answer.choices[0].message.content == "It is done."
    started = [line.at for line in world.lines() if line.event == "started"]
    assert started[1] - started[0] >= 1


@pytest.mark.parametrize(
    ("when", "events"),
    [("received", ["started", "failed"]), ("done", ["started", "first_token", "finished"])],
)
def test_an_answer_that_never_comes(world: Playing, when: str, events: list[str]) -> None:
    fault = Fault.model_validate({"item": "a", "kind": "request", "step": 0, "what": "timeout", "when": when})
    world.play([item("a", LOOK)], [fault])
    with (
        world.model() as model,
        pytest.raises((openai.APITimeoutError, httpx.ReadTimeout)),
        model.with_options(timeout=1).chat.completions.stream(
            model="any", messages=opening("a"), tools=TOOLS
        ) as stream,
    ):
        stream.until_done()
    assert world.events() == events
    world.ask(opening("a"))
    assert world.lines()[-1].attempt == 2


def test_of_an_answer_that_is_withheld_the_last_piece_does_not_come(world: Playing) -> None:
    fault = Fault(item="a", kind="request", step=0, what="timeout", when="done")
    world.play([item("a")], [fault], pace={"chunk_characters": 4})
    told: list[str] = []

    def listen() -> None:
        with world.model().with_options(timeout=1) as model:
            for chunk in model.chat.completions.create(model="any", messages=opening("a"), stream=True):
                told.append(chunk.choices[0].delta.content or "")

    with pytest.raises((openai.APITimeoutError, httpx.ReadTimeout)):
        listen()
    assert "".join(told) == "It is do"


def test_a_late_answer(world: Playing) -> None:
    world.play([item("a")], [Fault(item="a", kind="request", step=0, what="slow", seconds=0.5)])
    world.ask(opening("a"))
    started, first, _ = world.lines()
    assert first.at - started.at >= 0.5
    assert started.fault == "slow/received"


def test_a_caller_that_goes_has_failed(world: Playing) -> None:
    world.play([item("a")], pace={"chunk_seconds": 0.2, "chunk_characters": 1})
    with world.model() as model:
        stream = model.chat.completions.create(model="any", messages=opening("a"), stream=True)
        next(iter(stream))
        stream.close()
    until(lambda: world.events()[-1] == "failed", "its going was not seen")
    assert world.events() == ["started", "first_token", "failed"]

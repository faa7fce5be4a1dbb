"""The `scripted` model: plays a recorded plan, chunk by chunk, without a key.

It is what the demo, the tests and the benchmark use by default. All it does follows from the request, nothing from
the process: a run resumed elsewhere gets the response that an undisturbed run would have got.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pydantic_ai import RunContext
from pydantic_ai.messages import (
    FinishReason,
    ModelMessage,
    ModelRequest,
    ModelResponse,
    ModelResponsePart,
    ModelResponseStreamEvent,
    TextPart,
    ToolCallPart,
    UserPromptPart,
)
from pydantic_ai.models import Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import RequestUsage
from pydantic_core import to_json

from triptych.errors import ConfigurationError
from triptych.loop.models.plan_check import check_turns, final_part
from triptych.loop.models.plans import Plan, Turn
from triptych.loop.models.pricing import SCRIPTED, scripted_cost
from triptych.loop.models.tokens import request_tokens, response_tokens
from triptych.loop.witness import Witness, WitnessEvent
from triptych.settings import ScriptedSettings

__all__ = ["Plan", "ScriptedModel", "Turn"]


@dataclass(init=False)
class ScriptedModel(Model[Any]):
    """Plays a `Plan`, one turn a request.

    *Which turn.* As many turns have been played as there are responses in the message history since the plan's
    start, so nothing is counted in the process. The plan starts with the newest user prompt that opens a run; a prompt
    that accompanies tool results does not. So a history may begin with earlier conversations, and an approval
    round, which brings results and no prompt, goes on where it stopped.

    *Tool call ids* are `call-<n>-<m>`: the m-th call of the conversation's n-th response, both from 1. Two identical
    runs repeat them, as real providers do; a turn may set its own.

    *Tokens* are counted at 4 characters each, over what a provider would be sent: instructions, schemas of the tools
    on offer and the whole history go in, the response's parts come out, and 4 more for each message; see
    `triptych.loop.models.tokens`. Input grows with the history; no prompt cache is assumed. *Cost* is the list price of
    `SCRIPTED_PRICED_AS` for them.

    *Witness.* `request.started` before the wait for the first token, `request.finished` when the whole response has
    been produced. The line's `key` is `request:<n>` for the conversation's n-th request, from 1.
    """

    plan: Plan
    pace: ScriptedSettings
    witness: Witness | None

    def __init__(self, plan: Plan, *, pace: ScriptedSettings | None = None, witness: Witness | None = None) -> None:
        """Take the plan; it is checked when the first request brings the tools.

        Args:
            plan: What to play.
            pace: The waits and the size of a chunk; by default no waits.
            witness: Where to record what really happened.
        """
        super().__init__(profile=ModelProfile(supports_json_schema_output=True, supports_json_object_output=True))
        self.plan = plan
        self.pace = pace or ScriptedSettings()
        self.witness = witness

    @property
    def model_name(self) -> str:
        """`scripted`."""
        return SCRIPTED

    @property
    def system(self) -> str:
        """`scripted`: the provider's name in responses and traces."""
        return SCRIPTED

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        """Give the whole response, after the time that streaming it takes.

        Raises:
            ConfigurationError: The plan does not fit the request. The operator sees it, before anything is spent.
        """
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        step = self._step(messages, parameters, run=_conversation(messages))
        step.note("request.started")
        await _wait(self.pace.first_token_seconds + self.pace.chunk_seconds * (len(step.chunks) - 1))
        step.note("request.finished")
        return ModelResponse(
            parts=step.parts,
            usage=step.usage,
            model_name=SCRIPTED,
            provider_name=SCRIPTED,
            finish_reason=step.finish_reason,
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        """Stream the response in chunks of `pace.chunk_characters`.

        Raises:
            ConfigurationError: The plan does not fit the request. The operator sees it, before anything is spent.
        """
        _, parameters = self.prepare_request(model_settings, model_request_parameters)
        run = run_context.conversation_id if run_context is not None else None
        step = self._step(messages, parameters, run=run or _conversation(messages))
        step.note("request.started")
        yield _ScriptedStream(model_request_parameters=parameters, step=step, pace=self.pace)

    def _step(self, messages: Sequence[ModelMessage], parameters: ModelRequestParameters, *, run: str) -> _Step:
        turns = self.plan.turns
        played = _played(messages, parameters)
        number = sum(isinstance(message, ModelResponse) for message in messages) + 1
        # The first request checks the whole plan, before anything is spent; a later one, perhaps in another process,
        # only what it plays.
        check_turns(turns if played == 0 else turns[played : played + 1], parameters)
        parts: list[ModelResponsePart] = []
        if played == 0 or played == len(turns):
            parts = [final_part(self.plan, parameters, f"call-{number}-1")]
        if played < len(turns):
            parts = _turn_parts(turns[played], number)
        elif played > len(turns):
            raise ConfigurationError(
                f"the scripted model's plan is exhausted after {len(turns) + 1} responses, and the agent asks for one "
                "more: its final output was rejected, or the conversation goes on where the plan does not"
            )
        usage = RequestUsage(input_tokens=request_tokens(messages, parameters), output_tokens=response_tokens(parts))
        usage.cost = scripted_cost(usage)
        size = self.pace.chunk_characters
        chunks = [
            (index, text[start : start + size])
            for index, text in enumerate(_streamed_text(part) for part in parts)
            for start in range(0, len(text), size)
        ]
        return _Step(number=number, run=run, parts=parts, chunks=chunks, usage=usage, witness=self.witness)


@dataclass(frozen=True)
class _Step:
    """One response, worked out before its first token."""

    number: int
    """The n-th of the conversation, from 1."""
    run: str
    parts: list[ModelResponsePart]
    chunks: list[tuple[int, str]]
    """Which part a piece belongs to, and the piece."""
    usage: RequestUsage
    witness: Witness | None

    @property
    def finish_reason(self) -> FinishReason:
        return "tool_call" if any(isinstance(part, ToolCallPart) for part in self.parts) else "stop"

    def note(self, event: WitnessEvent) -> None:
        if self.witness is not None:
            self.witness.write(event=event, run=self.run, name=SCRIPTED, key=f"request:{self.number}")


@dataclass
class _ScriptedStream(StreamedResponse):
    """A response as a provider streams it: the input counted at the start, the output at the end."""

    step: _Step
    pace: ScriptedSettings
    _timestamp: datetime = field(default_factory=lambda: datetime.now(UTC), init=False)

    async def _get_event_iterator(self) -> AsyncIterator[ModelResponseStreamEvent]:
        self._usage = RequestUsage(input_tokens=self.step.usage.input_tokens)
        for number, (index, text) in enumerate(self.step.chunks):
            await _wait(self.pace.chunk_seconds if number else self.pace.first_token_seconds)
            part = self.step.parts[index]
            if isinstance(part, ToolCallPart):
                event = self._parts_manager.handle_tool_call_delta(
                    vendor_part_id=index,
                    tool_name=self._name_once(index, part),
                    args=text,
                    tool_call_id=part.tool_call_id,
                )
                if event is not None:
                    yield event
            else:
                for event in self._parts_manager.handle_text_delta(vendor_part_id=index, content=text):
                    yield event
        self._usage = self.step.usage
        self.finish_reason = self.step.finish_reason
        self.step.note("request.finished")

    def _name_once(self, index: int, part: ToolCallPart) -> str | None:
        # A later delta that names the tool again would lengthen its name.
        return part.tool_name if len(self._parts_manager.get_parts()) <= index else None

    async def close_stream(self) -> None:
        """Nothing is open: there is no provider behind this stream."""

    @property
    def model_name(self) -> str:
        """`scripted`."""
        return SCRIPTED

    @property
    def provider_name(self) -> str:
        """`scripted`."""
        return SCRIPTED

    @property
    def provider_url(self) -> None:
        """None: there is no provider behind this model."""

    @property
    def timestamp(self) -> datetime:
        """When the stream was opened."""
        return self._timestamp


def _turn_parts(turn: Turn, number: int) -> list[ModelResponsePart]:
    ids = turn.tool_call_ids or tuple(f"call-{number}-{position}" for position in range(1, len(turn.calls) + 1))
    calls = (
        ToolCallPart(call.name, to_json(call.arguments).decode(), tool_call_id=tool_call_id)
        for call, tool_call_id in zip(turn.calls, ids, strict=True)
    )
    return [TextPart(turn.text), *calls] if turn.text else [*calls]


def _streamed_text(part: ModelResponsePart) -> str:
    return (
        part.args_as_json_str()
        if isinstance(part, ToolCallPart)
        else part.content
        if isinstance(part, TextPart)
        else ""
    )


def _played(messages: Sequence[ModelMessage], parameters: ModelRequestParameters) -> int:
    """How many responses the newest run has had, approval rounds included."""
    tools = {tool.name for tool in parameters.function_tools}
    played = 0
    previous: ModelResponse | None = None
    for message in messages:
        if isinstance(message, ModelResponse):
            played += 1
            previous = message
        elif _opens_run(message, previous, tools):
            played = 0
    return played


def _opens_run(request: ModelRequest, previous: ModelResponse | None, tools: set[str]) -> bool:
    """Whether a request brings a new run's prompt.

    Neither a prompt that comes along with tool results does, nor the feedback to a rejected text output, which reaches
    models as a prompt: it carries the run id of the response it is about.
    """
    if not any(isinstance(part, UserPromptPart) for part in request.parts):
        return False
    if previous is None:
        return True
    if any(isinstance(part, ToolCallPart) and part.tool_name in tools for part in previous.parts):
        return False
    return request.run_id is None or request.run_id != previous.run_id


def _conversation(messages: Sequence[ModelMessage]) -> str:
    # From the newest message that has it: pydantic-ai leaves the id out of a request that it merged from two.
    return next((message.conversation_id for message in reversed(messages) if message.conversation_id), "")


async def _wait(seconds: float) -> None:
    if seconds > 0:
        await asyncio.sleep(seconds)

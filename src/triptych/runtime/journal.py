"""What one execution of a flow run knows of its steps: which agent run it is in, what it has asked, what comes next.

Everything here is rebuilt in the same order when the flow run is executed again, so that the same step finds the same
checkpoint. Nothing here is persisted itself.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from pydantic_ai.messages import ModelMessage, ModelResponse, ToolCallPart
from pydantic_ai.models import Model, ModelRequestParameters

from triptych.errors import ConfigurationError
from triptych.records import InputDigest
from triptych.runtime.account import Account
from triptych.runtime.checkpoints import REDO, plain_name
from triptych.runtime.digest import digest_of, message_parts, static_parts
from triptych.runtime.ownership import claim
from triptych.runtime.store import CheckpointStore

if TYPE_CHECKING:
    from triptych.runtime.budget import Budget
    from triptych.runtime.workspace_files import OpenWorkspace

WITHOUT_EFFECTS = "without-effects"
"""The tag of a flow run, a fork, whose tools may change nothing."""
REPLAY = "replay"
"""The tag of a flow run that may read its checkpoints and do nothing else."""


@dataclass
class Scope:
    """Where agent runs are counted: the flow run itself, or one step of it that starts agents of its own."""

    path: str = ""
    counts: dict[str, int] = field(default_factory=dict[str, int])

    def next_path(self, agent: str) -> str:
        """Return the name of the next run of `agent` here; the same one when the flow run is executed again."""
        with _lock:
            ordinal = self.counts.get(agent, 0)
            self.counts[agent] = ordinal + 1
        name = f"{plain_name(agent)}-{ordinal}"
        return f"{self.path}/{name}" if self.path else name


@dataclass
class Execution:
    """One execution of a flow run, in this process."""

    flow_run_id: str
    number: int
    """The number under which it claimed the run; 1 where nothing was executed before it."""
    store: CheckpointStore
    account: Account
    """What the run has spent and changed."""
    redoes_lost_steps: bool = False
    """Whether a person said, by a tag of the run, that completed steps without a checkpoint are to be done again."""
    may_change_things: bool = True
    is_replay: bool = False
    budget: Budget | None = None
    """What may be spent, where that is limited."""
    scope: Scope = field(default_factory=Scope)
    agent_runs: dict[str, AgentRun] = field(default_factory=dict[str, "AgentRun"])
    """The agent runs under way, by pydantic-ai's run id."""
    first_tokens: dict[str, float] = field(default_factory=dict[str, float])
    """Seconds to the first token of each agent run's first model request, by run id; ended runs stay."""
    tools: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict[str, dict[str, dict[str, Any]]])
    """The JSON schemas of the tools that each conversation's last model request offered, by conversation and tool."""
    begun: set[str] = field(default_factory=set[str])
    """The agent runs that have begun, by their path."""
    read: set[str] = field(default_factory=set[str])
    """The steps whose checkpoints were read."""
    given_run_ids: set[str] = field(default_factory=set[str])
    """Run ids that were made here; any other is the caller's own, whatever it looks like."""
    looking_back: threading.Lock = field(default_factory=threading.Lock)
    files: str | None = None
    """The workspace snapshot as of the last step, by its name; None while the workspace is as it began."""
    workspaces: dict[str, OpenWorkspace] = field(default_factory=dict[str, "OpenWorkspace"])
    """Those whose files are these, by pydantic-ai's run id; one at a time is under way."""
    goes_on_from: dict[str, str] | None = None
    """The checkpoints of earlier executions, by their step; None until they were looked for."""


@dataclass
class AgentRun:
    """One `agent.run()` of a flow run."""

    path: str
    id_suffix: str = ""
    """Ends its tool calls' ids where its conversation is not its own alone: another run of it may get the same ids."""
    model: Model[Any] | None = None
    """What its next model request is made of, as far as it is known."""
    client: PrefectClient | None = None
    """Open for as long as the agent run lasts."""
    requests: int = 0
    """Model requests begun."""
    previous: str = ""
    """Digest of the last model request's inputs."""
    static: tuple[InputDigest, ...] | None = None
    recorded_static: tuple[InputDigest, ...] | None = None
    counts: dict[str, int] = field(default_factory=dict[str, int])
    """How often each operation that is known by its order alone was begun."""
    _seen: list[tuple[ModelMessage, tuple[InputDigest, ...]]] = field(
        default_factory=list[tuple[ModelMessage, tuple[InputDigest, ...]]]
    )
    _tool_call_ids: set[str] = field(default_factory=set[str])
    _static_source: tuple[Any, ...] | None = None

    def added(self, messages: Sequence[ModelMessage]) -> tuple[InputDigest, ...]:
        """Return the digests of the messages that are new since the last request.

        A history that was rewritten (compacted, say) is new from the first message that differs.
        """
        start = 0
        for known, message in zip(self._seen, messages, strict=False):
            # The same object, or an equal copy of it, adds nothing.
            if known[0] is not message and known[1] != message_parts(message):
                break
            start += 1
        rewritten = start < len(self._seen)
        fresh = [(message, message_parts(message)) for message in messages[start:]]
        self._seen[start:] = fresh
        added = [part for _, parts in fresh for part in parts]
        if rewritten:
            kept = [(part.name, part.digest) for _, parts in self._seen[:start] for part in parts]
            added.insert(0, InputDigest(name="rewritten history", digest=digest_of(kept)))
        self.note_tool_call_ids(messages[start:])
        return tuple(added)

    def static_of(
        self,
        model: str,
        messages: Sequence[ModelMessage],
        settings: Mapping[str, Any] | None,
        parameters: ModelRequestParameters,
    ) -> tuple[InputDigest, ...]:
        """Return the digests of what does not grow with the run; computed again only when its source changed."""
        instructions = getattr(messages[-1], "instructions", None) if messages else None
        source = (model, instructions, dict(settings or {}), parameters)
        if self.static is None or self._static_source != source:
            self.static = static_parts(model, messages, settings, parameters)
            self._static_source = source
        return self.static

    def with_own_ids(self, response: ModelResponse) -> ModelResponse:
        """Return the response with tool call ids that are unique in the conversation.

        Checkpoints and idempotency keys are made of them, and providers do repeat them. What is put behind an id is
        short and plain: Anthropic takes letters, digits, `_` and `-`, OpenAI no more than 40 characters.
        """
        taken = set(self._tool_call_ids)
        parts = list(response.parts)
        for index, part in enumerate(parts):
            if isinstance(part, ToolCallPart):
                first, count = part.tool_call_id + self.id_suffix, 1
                own = first
                while own in taken:
                    count += 1
                    own = f"{first}_{count}"
                taken.add(own)
                if own != part.tool_call_id:
                    parts[index] = dataclasses.replace(part, tool_call_id=own)
        return dataclasses.replace(response, parts=parts)

    def next_count(self, operation: str) -> int:
        """Count an operation that is known by its order alone."""
        count = self.counts.get(operation, 0)
        self.counts[operation] = count + 1
        return count

    def note_tool_call_ids(self, messages: Sequence[ModelMessage]) -> None:
        """Remember the ids that are taken in this conversation."""
        self._tool_call_ids.update(
            part.tool_call_id
            for message in messages
            if isinstance(message, ModelResponse)
            for part in message.parts
            if isinstance(part, ToolCallPart)
        )


_lock = threading.Lock()
"""A sync flow may start agents from several threads."""
_executions: dict[int, Execution] = {}


@dataclass
class Play:
    """What is known of a run that is played again."""

    given: frozenset[str]
    """The names of steps that the recorded run had been given, as a fork: they were not held against anything."""
    read: set[str] = field(default_factory=set[str])
    """The names of steps that were read from the record so far."""


playing: ContextVar[Play | None] = ContextVar("triptych_playing", default=None)
step_scope: ContextVar[Scope | None] = ContextVar("triptych_step_scope", default=None)
"""Set while a step's body runs: agents that it starts are counted below it."""


def current_execution() -> Execution | None:
    """Return what is known of the flow run that this code runs in, or None outside a flow.

    The first time that this is asked, the execution claims the run.

    Raises:
        ConfigurationError: when the flow's `result_storage` is not a `CheckpointStore`.
        Stopped: the API does not answer.
    """
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    with _lock:
        return _executions.get(id(context)) or _begun(context, context.flow_run)


def _begun(context: FlowRunContext, run: FlowRun) -> Execution:
    """Begin what is known of an execution."""
    storage = context.result_store.result_storage
    if not isinstance(storage, CheckpointStore):
        raise ConfigurationError(
            f"flow run {run.name!r} keeps its results in {type(storage).__name__}, where a durable agent "
            "cannot keep checkpoints: give the flow `result_storage=` a CheckpointStore block "
            "(`triptych blocks` saves one)"
        )
    execution = Execution(
        flow_run_id=str(run.id),
        number=claim(run.id),
        store=storage,
        account=Account(storage, str(run.id), context.flow.name if context.flow is not None else ""),
        redoes_lost_steps=REDO in run.tags,
        may_change_things=WITHOUT_EFFECTS not in run.tags,
        is_replay=REPLAY in run.tags,
    )
    # A flow retry in this process gets a context of its own, and with it an execution that counts from the start.
    _executions[id(context)] = execution
    weakref.finalize(context, _executions.pop, id(context), None)
    return execution

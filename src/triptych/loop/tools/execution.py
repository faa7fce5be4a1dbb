"""The one way in which a tool's body runs: noted by the witness, and once per key where it changes something.

A tool passes what it was given to `look_up` or to `take_effect`. Both run inside the body, so a step that is replayed
from its checkpoint leaves no line.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Concatenate, ParamSpec, TypeVar

from pydantic_ai import ModelRetry, RunContext, Tool
from pydantic_ai.tools import ToolFuncContext

from triptych.loop.approvals import APPROVAL, Rule, asking
from triptych.loop.deps import DeskDeps
from triptych.loop.desk import Change, OrderDesk, Records
from triptych.loop.idempotency import idempotency_key
from triptych.loop.witness import WitnessEvent

P = ParamSpec("P")
DepsT = TypeVar("DepsT")

SIDE_EFFECTS = "side_effects"
"""The key in a tool's metadata that says whether it changes anything; every tool declares it."""
HONOURS_KEY = "honours_idempotency_key"
"""The key in a tool's metadata that says whether its backend does a call once, however often it comes under one
idempotency key. Where it says False, a call that was interrupted is not made again: its outcome is unknown."""


def reading_tool(
    function: ToolFuncContext[DepsT, P], *, description: str, max_retries: int | None = None
) -> Tool[DepsT]:
    """Declare a tool that changes nothing.

    Args:
        function: The tool; its name is the tool's.
        description: What the model reads.
        max_retries: How often the model may correct a bad call; by default as often as the agent says.
    """
    return Tool(
        function,
        takes_ctx=True,
        description=description,
        max_retries=max_retries,
        metadata={SIDE_EFFECTS: False},
    )


def changing_tool(
    function: ToolFuncContext[DepsT, P],
    *,
    description: str,
    approval: Rule | None = None,
    policy_may_approve: bool = False,
    honours_key: bool = True,
    max_retries: int | None = None,
) -> Tool[DepsT]:
    """Declare a tool with a side effect. It runs alone: the effects of one response happen in the model's order.

    Args:
        function: The tool; its name is the tool's.
        description: What the model reads.
        approval: Which of its calls a person must approve; None: none of them.
        policy_may_approve: Whether a policy may have such a call done when nobody answers.
        honours_key: Whether what it calls does a call once under one idempotency key, as the desk does. An interrupted
            call of one that does not is reported to the model as of unknown outcome.
        max_retries: How often the model may correct a bad call; by default as often as the agent says.
    """
    return Tool(
        function if approval is None else asking(function, approval, policy_may_approve=policy_may_approve),
        takes_ctx=True,
        description=description,
        max_retries=max_retries,
        sequential=True,
        metadata={SIDE_EFFECTS: True, APPROVAL: approval is not None, HONOURS_KEY: honours_key},
    )


def look_up(ctx: RunContext[DeskDeps], lookup: Callable[Concatenate[OrderDesk, ...], str], **arguments: Any) -> str:
    """Run a read-only tool's body.

    Args:
        ctx: As the tool received it.
        lookup: Called with the desk and the arguments.
        **arguments: The call's arguments.

    Returns:
        What the model is told.
    """
    with _witnessed(ctx):
        return lookup(ctx.deps.desk, **arguments)


def take_effect(ctx: RunContext[DeskDeps], rule: Callable[Concatenate[Records, ...], Change], **arguments: Any) -> str:
    """Run the body of a tool with a side effect: once per tool call, however often the step is executed.

    Args:
        ctx: As the tool received it.
        rule: Called with the records and the arguments, inside the transaction that stores the effect.
        **arguments: The call's arguments, as JSON; they are stored with the effect.

    Returns:
        What the model is told; for a repeated execution, what it was told the first time.

    Raises:
        ConfigurationError: The call has no idempotency key; see `idempotency_key`.
        EffectConflict: The key stands for another call.
    """
    with _witnessed(ctx):
        tool = ctx.tool_name or rule.__name__
        done = ctx.deps.desk.apply(
            key=idempotency_key(ctx),
            tool=tool,
            arguments=arguments,
            change=lambda records: rule(records, **arguments),
        )
        if done.new:
            _note(ctx, "effect.applied")
        return done.result


@contextmanager
def _witnessed(ctx: RunContext[DeskDeps]) -> Generator[None]:
    _note(ctx, "tool.started")
    try:
        yield
    except ModelRetry:
        # An answer to the model like any other. After any other exception the tool has not finished.
        _note(ctx, "tool.finished")
        raise
    _note(ctx, "tool.finished")


def _note(ctx: RunContext[DeskDeps], event: WitnessEvent) -> None:
    if ctx.deps.witness is not None:
        ctx.deps.witness.write(
            event=event, run=ctx.conversation_id or "", name=ctx.tool_name or "", key=ctx.tool_call_id or ""
        )

"""The name under which an effect is done once, however often its step is executed."""

from __future__ import annotations

from typing import Any

from pydantic_ai import RunContext

from triptych.errors import ConfigurationError


def idempotency_key(ctx: RunContext[Any]) -> str:
    """The idempotency key of the tool call that is being executed: `conversation:tool call id`.

    The runtime makes the conversation's id begin with the flow run's and keeps it the same through crashes and
    approval rounds, and different for two agent runs in one flow, which a provider's call ids need not be.

    Args:
        ctx: As the tool receives it.

    Returns:
        The same text for every execution of this call, and for no other call.

    Raises:
        ConfigurationError: There is no tool call, or it belongs to no conversation: a key made of the rest could
            stand for two calls. Whoever runs the agent must act; nothing has been done yet.
    """
    if not ctx.conversation_id or not ctx.tool_call_id:
        raise ConfigurationError(
            f"no idempotency key for the tool {ctx.tool_name!r}: conversation_id is {ctx.conversation_id!r} and "
            f"tool_call_id is {ctx.tool_call_id!r}. Run the agent with a conversation_id, and call its effects "
            "from a tool call"
        )
    return f"{ctx.conversation_id}:{ctx.tool_call_id}"

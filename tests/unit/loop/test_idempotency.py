"""The key of an effect: the call's, within its conversation."""

from __future__ import annotations

import pytest
from pydantic_ai import RunContext
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from triptych.errors import ConfigurationError
from triptych.loop.idempotency import idempotency_key


def context(conversation: str | None, call: str | None) -> RunContext[None]:
    return RunContext(
        deps=None, model=TestModel(), usage=RunUsage(), tool_name="t", tool_call_id=call, conversation_id=conversation
    )


def test_the_key_is_conversation_and_call() -> None:
    assert idempotency_key(context("flow-run:retail-1", "call-2")) == "flow-run:retail-1:call-2"


@pytest.mark.parametrize(("conversation", "call"), [(None, "c"), ("r", None), ("", "c"), ("r", "")])
def test_half_a_key_is_none(conversation: str | None, call: str | None) -> None:
    with pytest.raises(ConfigurationError, match="no idempotency key for the tool 't'"):
        idempotency_key(context(conversation, call))

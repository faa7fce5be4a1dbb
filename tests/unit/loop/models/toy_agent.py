"""A small agent with toy tools, and plans for it: what the tests of the scripted model run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.messages import ModelMessage, ModelResponse
from pydantic_ai.models import Model

from triptych.loop.models import Plan, Turn
from triptych.records import PlannedCall


class Verdict(BaseModel):
    """The toy agent's output."""

    answer: str
    score: int = 0


def look_up(order_id: str, *, verbose: bool = False) -> dict[str, Any]:
    """Look an order up."""
    return {"order_id": order_id, "verbose": verbose}


def add(numbers: list[int]) -> str:
    """Add numbers."""
    return str(sum(numbers))


def toy_agent(model: Model[Any], *, output_type: Any = Verdict, capabilities: Sequence[Any] = ()) -> Agent[None, Any]:
    return Agent(
        model, output_type=output_type, instructions="Be brief.", tools=[look_up, add], capabilities=[*capabilities]
    )


PLAN = Plan(
    turns=(
        Turn(text="Let me see.", calls=(PlannedCall(name="look_up", arguments={"order_id": "#W1"}),)),
        Turn(
            calls=(
                PlannedCall(name="look_up", arguments={"order_id": "#W2", "verbose": True}),
                PlannedCall(name="add", arguments={"numbers": [1, 2, 3]}),
            )
        ),
        Turn(calls=(PlannedCall(name="add", arguments={"numbers": []}),)),
    ),
    final={"answer": "All done.", "score": 3},
)


def _look_up_call(order_id: str) -> PlannedCall:
    return PlannedCall(name="look_up", arguments={"order_id": order_id})


def _add_call(numbers: list[int]) -> PlannedCall:
    return PlannedCall(name="add", arguments={"numbers": numbers})


def _turn(text: str, calls: list[PlannedCall]) -> Turn:
    return Turn(text=text, calls=tuple(calls))


def _plan(turns: list[Turn], answer: str, score: int) -> Plan:
    return Plan(turns=tuple(turns), final={"answer": answer, "score": score})


_calls = st.one_of(st.builds(_look_up_call, st.text()), st.builds(_add_call, st.lists(st.integers())))
_turns = st.builds(_turn, st.text(), st.lists(_calls, min_size=1, max_size=3))
plans = st.builds(_plan, st.lists(_turns, max_size=4), st.text(), st.integers())


def responses(messages: Sequence[ModelMessage]) -> list[ModelResponse]:
    return [message for message in messages if isinstance(message, ModelResponse)]


def essence(response: ModelResponse) -> tuple[object, ...]:
    """What two runs of one plan have in common: all but when, and in which run, it was."""
    return response.parts, response.usage, response.model_name, response.provider_name, response.finish_reason

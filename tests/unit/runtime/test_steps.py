"""A response is kept with its price."""

from __future__ import annotations

from decimal import Decimal

import pytest
from pydantic_ai.messages import ModelResponse, TextPart
from pydantic_ai.usage import RequestUsage

from triptych.runtime.steps import priced


def response(model: str, cost: Decimal | None = None) -> ModelResponse:
    usage = RequestUsage(input_tokens=1000, output_tokens=100, cost=cost)
    return ModelResponse(parts=[TextPart("hi")], model_name=model, provider_name="anthropic", usage=usage)


def test_a_response_without_a_price_gets_it() -> None:
    cost = priced(response("claude-sonnet-5")).usage.cost
    assert cost == response("claude-sonnet-5").cost().total_price
    assert cost


@pytest.mark.parametrize(
    ("before", "cost"),
    [(response("nobody-knows"), None), (response("claude-sonnet-5", Decimal("1.5")), Decimal("1.5"))],
)
def test_an_unknown_price_stays_unknown_and_a_known_one_stays(before: ModelResponse, cost: Decimal | None) -> None:
    assert priced(before).usage.cost == cost

"""Prices: from the list that is installed, never from the network."""

from __future__ import annotations

import pytest
from genai_prices import calc_price
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RequestUsage

from triptych.errors import ConfigurationError
from triptych.loop.models import Plan, ScriptedModel
from triptych.loop.models.pricing import SCRIPTED, SCRIPTED_PRICED_AS, check_priced, cost_usd, is_priced, scripted_cost

USAGE = RequestUsage(input_tokens=1_000, output_tokens=200)


def test_scripted_costs_what_its_named_model_costs() -> None:
    provider, model_name = SCRIPTED_PRICED_AS
    expected = calc_price(USAGE, model_name, provider_id=provider).total_price

    assert expected > 0
    assert scripted_cost(USAGE) == expected
    assert cost_usd(USAGE, SCRIPTED) == cost_usd(USAGE, model_name, provider) == pytest.approx(float(expected))


def test_an_unknown_model_has_no_price_which_is_not_zero() -> None:
    assert cost_usd(USAGE, "no-such-model", "anthropic") is None
    assert cost_usd(USAGE, "gpt-5", "no-such-provider") is None
    assert cost_usd(RequestUsage(), "gpt-5", "openai") == 0


def test_a_model_without_a_list_price_is_refused_where_dollars_are_limited() -> None:
    check_priced(ScriptedModel(Plan(final="Hi.")))
    for model in (TestModel(), FunctionModel(lambda messages, info: pytest.fail("asked")), TestModel(model_name="")):
        assert not is_priced(model)
        with pytest.raises(ConfigurationError, match=r"price of .* is not known"):
            check_priced(model)

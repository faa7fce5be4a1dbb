"""What a request costs, at list prices, from the price list that `genai_prices` ships: nothing is downloaded.

Pydantic-ai prices every response (`response.usage.cost`) from that same list, as of the response's own time: replayed,
it costs what it cost, unless the list was upgraded in between. The `scripted` model states its own cost, through here,
so that it stands in the checkpoint.
"""

from __future__ import annotations

from decimal import Decimal

from genai_prices import calc_price
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.models import AbstractModel
from pydantic_ai.usage import RequestUsage, RunUsage

from triptych.errors import ConfigurationError

SCRIPTED = "scripted"
"""The scripted model's name, and its provider's."""
SCRIPTED_PRICED_AS = ("anthropic", "claude-sonnet-5")
"""Provider and model whose list price the `scripted` model's tokens are counted at; set here and nowhere else."""


def cost_usd(usage: RequestUsage | RunUsage, model_name: str, provider: str | None = None) -> float | None:
    """The list price of a usage.

    Price single requests: tiers and caches are priced per request, so a run's total differs from the sum.

    Args:
        usage: The tokens. A cost already stated in it is ignored.
        model_name: The model, as its provider names it, or `scripted`.
        provider: The provider's name; without it, every provider's models are searched.

    Returns:
        Dollars, or None when the price list does not know the model. None is not zero: see `check_priced`.
    """
    price = _price(usage, model_name, provider)
    return None if price is None else float(price)


def scripted_cost(usage: RequestUsage) -> Decimal:
    """What a request of the `scripted` model costs, as `SCRIPTED_PRICED_AS`."""
    price = _price(usage, SCRIPTED, None)
    if price is None:
        raise ConfigurationError(f"the installed genai-prices does not know {':'.join(SCRIPTED_PRICED_AS)}: upgrade it")
    return price


def check_priced(model: AbstractModel) -> None:
    """Refuse a model whose price is unknown, for a run that has a limit in dollars.

    Args:
        model: The model that a run is about to use.

    Raises:
        ConfigurationError: The price list does not know the model, so a limit in dollars could not be held. The
            operator sees it, before anything is spent.
    """
    if not is_priced(model):
        raise ConfigurationError(
            f"the price of {model.model_id} is not known, so a limit in dollars cannot be held: choose a model with a "
            "list price, upgrade genai-prices, or set the limit's cost_usd to None"
        )


def is_priced(model: AbstractModel) -> bool:
    """Whether the price list knows a model, by the very lookup that prices a run's responses."""
    if model.system == SCRIPTED:
        return True
    if not model.model_name:
        return False
    try:
        base_url = model.base_url
    except (AttributeError, UserError):  # some providers have no address; their name is enough
        base_url = None
    probe = ModelResponse(
        parts=[],
        model_name=model.model_name,
        provider_name=model.system,
        provider_url=base_url,
        usage=RequestUsage(input_tokens=1, output_tokens=1),
    )
    try:
        probe.cost()
    except LookupError:
        return False
    return True


def _price(usage: RequestUsage | RunUsage, model_name: str, provider: str | None) -> Decimal | None:
    if model_name == SCRIPTED:
        provider, model_name = SCRIPTED_PRICED_AS
    try:
        return calc_price(usage, model_name, provider_id=provider).total_price
    except LookupError:
        return None

"""What tokens and compute cost, at list prices: tokens by genai-prices, compute by `benchmarks/rates.toml`."""

from __future__ import annotations

import math
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_ai.usage import RequestUsage

from benchmarks.arms import ARMS
from benchmarks.contract import MODEL, PROVIDER, Used
from triptych.errors import ConfigurationError
from triptych.loop.models.pricing import cost_usd

RATES = Path(__file__).parents[1] / "rates.toml"
_HOUR_SECONDS = 3600.0


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class FunctionRates(_Frozen):
    """A function-as-a-service."""

    gb_second_usd: float = Field(ge=0)
    request_usd: float = Field(ge=0)
    """Of one invocation."""
    as_of: str
    """When these were the list prices."""


class ContainerRates(_Frozen):
    """Containers without servers."""

    vcpu_hour_usd: float = Field(ge=0)
    gb_hour_usd: float = Field(ge=0)
    as_of: str
    """When these were the list prices."""


class Rates(_Frozen):
    """The rates' file."""

    function: FunctionRates
    container: ContainerRates


class Compute(NamedTuple):
    """What a trial's processes cost, in dollars."""

    busy_usd: float
    """For what was used but while nothing was done but wait; with the invocations."""
    idle_usd: float
    """For what is held and used while people are waited for, in the workload's own time; NaN: not measured."""


def load_rates(file: Path = RATES) -> Rates:
    """Read the rates.

    Raises:
        ConfigurationError: the file cannot be read, or is not as it must be.
    """
    try:
        return Rates.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as error:
        raise ConfigurationError(f"the rates in {file} cannot be used: {error}") from error


def is_function(arm: str) -> bool:
    """Whether an arm is billed as a function; one that is not in `ARMS` is not."""
    return arm in ARMS and ARMS[arm].is_function


def compute_cost(rates: Rates, arm: str, used: Used, *, invocations: int, wait_seconds: float) -> Compute:
    """Return what a trial's processes cost.

    Args:
        rates: The list prices.
        arm: Decides how it is billed.
        used: What its processes used.
        invocations: How often a run began from the start.
        wait_seconds: How long people are waited for, in the workload's own time; 0: nobody is.
    """
    if is_function(arm):
        gb_second_usd, vcpu_second_usd = rates.function.gb_second_usd, 0.0  # its CPU comes with its memory
        rest_usd = invocations * rates.function.request_usd
    else:
        gb_second_usd = rates.container.gb_hour_usd / _HOUR_SECONDS
        vcpu_second_usd = rates.container.vcpu_hour_usd / _HOUR_SECONDS
        rest_usd = 0.0

    def usd(gib_seconds: float, cpu_seconds: float) -> float:
        return gib_seconds * gb_second_usd + cpu_seconds * vcpu_second_usd

    busy_usd = usd(used.memory_gib_seconds - used.idle_gib_seconds, used.cpu_seconds - used.idle_cpu_seconds)
    a_second_usd = usd(used.idle_gib_seconds, used.idle_cpu_seconds) / (used.idle_seconds or math.nan)
    return Compute(busy_usd + rest_usd, a_second_usd * wait_seconds if wait_seconds else 0.0)


@cache
def request_cost_usd(input_tokens: int, output_tokens: int) -> float:
    """Return what one model request costs: a price may depend on the size of a request, so each is priced alone.

    Raises:
        ConfigurationError: the installed genai-prices does not know the model that arms ask for.
    """
    usage = RequestUsage(input_tokens=input_tokens, output_tokens=output_tokens)
    price = cost_usd(usage, MODEL, PROVIDER)
    if price is None:
        raise ConfigurationError(f"the installed genai-prices does not know {PROVIDER}:{MODEL}: upgrade it")
    return price

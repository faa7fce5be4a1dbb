"""What a run may spend, and what it has spent.

Pydantic-ai enforces the limits (its `UsageLimits`); this module names ours, sees to it that they are in force, and
turns their breach into `BudgetExceeded`. The usage they are held against is the sum over the run's responses, replayed
ones included: a resumed run neither forgets nor counts twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, Field
from pydantic_ai import RunContext
from pydantic_ai.capabilities import AbstractCapability
from pydantic_ai.exceptions import UsageLimitExceeded
from pydantic_ai.usage import RunUsage, UsageLimits

from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.models.pricing import check_priced
from triptych.records import Spending


class Limits(BaseModel):
    """The most that one run may spend, approval rounds included.

    A run that has reached `steps` makes no further request. `tokens` and `cost_usd` are known when a response has
    been paid for, so the response that exceeds them is the last, and the tools it calls are not run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(gt=0)
    """Model requests."""
    tokens: int = Field(default=1_000_000, gt=0)
    """Input and output together."""
    cost_usd: float | None = Field(default=5.0, gt=0)
    """At list prices. None: no limit in dollars, which a model without a list price needs."""

    def usage_limits(self) -> UsageLimits:
        """These limits in pydantic-ai's words, for `agent.run(..., usage_limits=...)`."""
        return UsageLimits(
            request_limit=self.steps,
            total_tokens_limit=self.tokens,
            cost_limit=None if self.cost_usd is None else Decimal(str(self.cost_usd)),
        )


@dataclass
class WithinLimits(AbstractCapability[Any]):
    """Holds an agent's runs to `Limits`: `build_agent(model, capabilities=[WithinLimits(limits)])`.

    Each run must also be given them, `agent.run(..., usage_limits=limits.usage_limits())`, since only a run takes
    them, and each further round of it (approvals) `usage=result.usage` of the round before, or the count begins anew.
    A run that is given other limits is refused rather than left to pydantic-ai's default of 50 requests.

    Raises, from the run:
        ConfigurationError: The limits are not in force, or the model has no list price although `cost_usd` is set.
            The operator sees it, before anything is spent.
        BudgetExceeded: A limit was reached. It is the run's outcome; the customer's operator sees it in the report.
    """

    limits: Limits

    async def before_run(self, ctx: RunContext[Any]) -> None:
        """Refuse a run that would not be held to the limits."""
        if ctx.usage_limits != self.limits.usage_limits():
            raise ConfigurationError(
                "this agent has a budget, and the run was not given it: pass usage_limits=limits.usage_limits()"
            )
        if self.limits.cost_usd is not None:
            check_priced(ctx.model)

    async def on_run_error(self, ctx: RunContext[Any], *, error: BaseException) -> NoReturn:
        """Turn a breach of the limits into `BudgetExceeded`; let everything else pass."""
        if isinstance(error, UsageLimitExceeded):
            raise self._exceeded(ctx.usage) from error
        raise error

    def _exceeded(self, usage: RunUsage) -> BudgetExceeded:
        spent = spending(usage)
        limits = self.limits
        if limits.cost_usd is not None and spent.cost_usd > limits.cost_usd:
            what = f"{limits.cost_usd} dollars"
        elif usage.total_tokens > limits.tokens:
            what = f"{limits.tokens} tokens"
        else:
            what = f"{limits.steps} steps"
        return BudgetExceeded(
            f"the run stopped at its limit of {what}: it made {spent.steps} model requests with "
            f"{spent.input_tokens} tokens in and {spent.output_tokens} out, for ${spent.cost_usd:.4f}",
            usage=spent.model_dump(exclude={"schema_version"}),
        )


def spending(usage: RunUsage) -> Spending:
    """What a run has used, as a record.

    Args:
        usage: The run's (`result.usage`), which is the sum over its responses. On replay those come from
            checkpoints, so a resumed run reports what an undisturbed one does.

    Returns:
        The spending; `cost_usd` counts the responses that have a list price.
    """
    return Spending(
        steps=usage.requests,
        tool_calls=usage.tool_calls,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=float(usage.cost or 0),
    )

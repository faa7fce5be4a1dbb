"""What may be spent, by one run, by one flow in a day, and by all in a day: a Prefect block."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Literal, cast

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_ai.models import AbstractModel
from pydantic_ai.usage import RunUsage

from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.limits import spending
from triptych.loop.models.pricing import check_priced
from triptych.records import Checkpoint
from triptych.runtime.account import Account, today
from triptych.runtime.journal import Execution
from triptych.runtime.spending import Spent, flow_name, spent_by_others, total
from triptych.settings import Settings

NAME = "budget"
_UNITS = {"steps": "model requests", "tokens": "tokens", "cost_usd": "dollars", "seconds": "seconds"}
_SCOPES = {"run": "a run", "flow": "the runs of one flow in a day", "day": "all runs in a day"}
_SPENT = "the budget of"
"""How the message of a budget that is spent begins."""
_Scope = Literal["run", "flow", "day"]


def _limit(what: str) -> Any:
    return Field(default=None, gt=0, allow_inf_nan=False, description=f"{what} Empty: no limit.")


class Budget(Block):
    """Edited in the UI, in force for executions that begin afterwards. Days are those of UTC.

    A run is a flow run with all its agent runs, approval rounds and executions. Where a limit is reached, no model
    request and no tool call begins any more, nor is a person asked; what is paid already is read all the same, so a run
    that needs nothing further ends well. With several agents or runs under way, each may finish the step it is taking.
    A response whose checkpoint could not be written is paid, and not counted.
    """

    _block_type_name = "Budget"
    _block_type_slug = "budget"
    _description = "What runs may spend: each of them, those of a flow in a day, and all in a day."
    _documentation_url = None  # pyright: ignore[reportAssignmentType]

    run_steps: int | None = _limit("Model requests of a run.")
    run_tokens: int | None = _limit("Tokens of a run, in and out.")
    run_cost_usd: float | None = _limit("US dollars of a run, at list prices.")
    run_seconds: float | None = _limit("Seconds that a run's steps may take; what it waits is not counted.")
    flow_steps: int | None = _limit("Model requests of all runs of a flow in a day.")
    flow_tokens: int | None = _limit("Tokens of all runs of a flow in a day.")
    flow_cost_usd: float | None = _limit("US dollars of all runs of a flow in a day.")
    flow_seconds: float | None = _limit("Seconds of all runs of a flow in a day.")
    day_steps: int | None = _limit("Model requests of all runs in a day.")
    day_tokens: int | None = _limit("Tokens of all runs in a day.")
    day_cost_usd: float | None = _limit("US dollars of all runs in a day.")
    day_seconds: float | None = _limit("Seconds of all runs in a day.")

    @model_validator(mode="before")
    @classmethod
    def _has_no_other_field(cls, values: Any) -> Any:
        # Not `extra="forbid"`: Prefect itself adds fields to a block that it writes down and reads again.
        known = {*cls.model_fields, "block_type_slug"}
        given = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
        unknown = sorted(name for name in given if name not in known and not name.startswith("_"))
        if unknown:
            raise ValueError(f"there is no limit {', '.join(unknown)}; there are {', '.join(cls.model_fields)}")
        return cast("Any", values)

    @field_validator("*", mode="before")
    @classmethod
    def _is_an_amount(cls, value: Any) -> Any:
        if isinstance(value, bool):
            raise ValueError("a limit is an amount, or empty")
        # The form in Prefect's UI sends an emptied field as "".
        return None if value == "" else value

    @property
    def has_cost_limit(self) -> bool:
        """Whether a model needs a list price."""
        return any(getattr(self, f"{scope}_cost_usd") is not None for scope in _SCOPES)

    @property
    def concerns_others(self) -> bool:
        """Whether what other runs spend counts as well."""
        return any(getattr(self, f"{scope}_{unit}") is not None for scope in ("flow", "day") for unit in _UNITS)

    def require(self, scope: _Scope, spent: Spent, account: Account, usage: RunUsage) -> None:
        """Go on only where no limit is reached.

        Args:
            scope: Whose limits.
            spent: What they have spent.
            account: That of the run that wants to spend more.
            usage: What its agent run has used so far.

        Raises:
            BudgetExceeded: one is; carries that usage, and says what the run has changed.
        """
        for unit, words in _UNITS.items():
            limit: float | None = getattr(self, f"{scope}_{unit}")
            if limit is None or getattr(spent, unit) < limit:
                continue
            own = account.spent
            changed = ", ".join(account.changed) or "nothing"
            raise BudgetExceeded(
                f"{_SPENT} {_plain(limit)} {words} for {_SCOPES[scope]} is spent ({_plain(getattr(spent, unit))}). "
                f"This run made {own.steps} model requests with {own.tokens} tokens, for ${own.cost_usd:.4f}, and "
                f"changed: {changed}",
                usage=spending(usage).model_dump(exclude={"schema_version"}),
            )


def within_seconds(budget: Budget, seconds: float) -> Budget:
    """Return a budget whose runs may take no longer than this, whatever else it limits."""
    limits = [seconds] if budget.run_seconds is None else [seconds, budget.run_seconds]
    return budget.model_copy(update={"run_seconds": min(limits)})


async def load_budget(settings: Settings) -> Budget:
    """Return the budget as it stands in Prefect now; one without limits where nobody has saved or named any.

    Raises:
        ConfigurationError: there is no block of the name that was given, or it holds what cannot be.
    """
    try:
        return await cast(Any, Budget).load(settings.budget_block)
    except (ValueError, RuntimeError) as error:
        if isinstance(error.__cause__, ObjectNotFound) and settings.budget_block == NAME:
            return Budget()
        # Prefect raises a RuntimeError about the ValidationError that says what is wrong.
        cause = error.__cause__ or error.__context__
        said = str(cause) if isinstance(cause, ValidationError) else str(error)
        raise ConfigurationError(
            f"the block {Budget.get_block_type_slug()}/{settings.budget_block} cannot be loaded: {said}. "
            "`triptych blocks` saves one; one that stands is mended in the UI"
        ) from error


def require_prices(execution: Execution, model: AbstractModel) -> None:
    """Let a model be asked only where what it costs can be held against the budget.

    Raises:
        ConfigurationError: there is a limit in dollars, and the model has no list price.
    """
    if execution.budget is not None and execution.budget.has_cost_limit:
        check_priced(model)


async def require_budget(execution: Execution, usage: RunUsage) -> None:
    """Let a step begin only where the budget is not spent.

    Args:
        execution: The run that is to take it.
        usage: What its agent run has used so far.

    Raises:
        BudgetExceeded: it is.
        CheckpointStoreUnavailable: what others have spent cannot be read.
    """
    budget, account = execution.budget, execution.account
    if budget is None:
        return
    budget.require("run", account.spent, account, usage)
    if budget.concerns_others:
        day = today()
        mine = account.spent_on(day)
        others = await spent_by_others(execution.store, day, execution.flow_run_id)
        budget.require("flow", mine + others.get(flow_name(account.flow), Spent()), account, usage)
        budget.require("day", mine + total(others.values()), account, usage)


async def count(execution: Execution, checkpoint: Checkpoint, value: object) -> None:
    """Count a step that was done now; at once for all to see where what others spend counts as well.

    Elsewhere that waits for the agent run's end: a step costs no more than it must.

    Args:
        execution: The run whose step it is.
        checkpoint: The step's.
        value: Its payload, as JSON has it.

    Raises:
        CheckpointStoreUnavailable: it cannot be written down.
    """
    execution.account.count(checkpoint, value)
    if execution.budget is not None and execution.budget.concerns_others:
        await execution.account.save()


def ended_by_budget(message: str | None) -> bool:
    """Whether a run's last words are that its budget is spent."""
    return f"{BudgetExceeded.__name__}: {_SPENT}" in (message or "")


def _plain(amount: float) -> str:
    """Return a figure as a person writes it: no exponent, no noise of sums."""
    return f"{Decimal(str(round(amount, 9))).normalize():f}"

"""What may be spent, by one run, by one flow in a day, and by all in a day: a Prefect block."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, cast

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import Field, ValidationError
from pydantic_ai.messages import ModelResponse
from pydantic_ai.usage import RunUsage

from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.loop.limits import spending
from triptych.records import Checkpoint
from triptych.runtime.checkpoints import GIVEN
from triptych.runtime.journal import Execution
from triptych.runtime.spending import Spent, flow_name, record, spent_by_others, total
from triptych.settings import Settings

NAME = "budget"
_UNITS = {"steps": "model requests", "tokens": "tokens", "cost_usd": "dollars", "seconds": "seconds"}
_SCOPES = {"run": "a run", "flow": "the runs of one flow in a day", "day": "all runs in a day"}
_Scope = Literal["run", "flow", "day"]


def _limit(what: str) -> Any:
    return Field(default=None, gt=0, allow_inf_nan=False, description=f"{what} Empty: no limit.")


class Budget(Block):
    """Edited in the UI, in force for executions that begin afterwards. Days are those of UTC.

    A run is a flow run with all its agent runs, approval rounds and executions. A limit that is reached lets no further
    model request be made; the request that reaches it is the last, and with several runs under way, each one's.
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

    @property
    def has_cost_limit(self) -> bool:
        """Whether a model needs a list price."""
        return any(getattr(self, f"{scope}_cost_usd") is not None for scope in _SCOPES)

    @property
    def concerns_others(self) -> bool:
        """Whether what other runs spend counts as well."""
        return any(getattr(self, f"{scope}_{unit}") is not None for scope in ("flow", "day") for unit in _UNITS)

    def require(self, scope: _Scope, spent: Spent, execution: Execution, usage: RunUsage) -> None:
        """Go on only where no limit is reached.

        Args:
            scope: Whose limits.
            spent: What they have spent.
            execution: The run that wants to spend more.
            usage: What its agent run has used so far.

        Raises:
            BudgetExceeded: one is; carries that usage, and says what the run has changed.
        """
        for unit, words in _UNITS.items():
            limit: float | None = getattr(self, f"{scope}_{unit}")
            if limit is None or getattr(spent, unit) < limit:
                continue
            own = total(execution.spent.values())
            changed = ", ".join(execution.achieved) or "nothing"
            raise BudgetExceeded(
                f"the budget of {limit:g} {words} for {_SCOPES[scope]} is spent ({getattr(spent, unit):g}). This run "
                f"made {own.steps} model requests with {own.tokens} tokens, for ${own.cost_usd:.4f}, and changed: "
                f"{changed}",
                usage=spending(usage).model_dump(exclude={"schema_version"}),
            )


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


async def require_budget(execution: Execution, usage: RunUsage) -> None:
    """Let a model request be made only where the budget is not spent.

    Args:
        execution: The run that is to make it.
        usage: What its agent run has used so far.

    Raises:
        BudgetExceeded: it is.
        CheckpointStoreUnavailable: what others have spent cannot be read.
    """
    budget = execution.budget
    if budget is None:
        return
    budget.require("run", total(execution.spent.values()), execution, usage)
    if budget.concerns_others:
        today = _today()
        mine = execution.spent.get(today, Spent())
        others = await spent_by_others(execution.store, today, execution.flow_run_id)
        budget.require("flow", mine + others.get(flow_name(execution.flow), Spent()), execution, usage)
        budget.require("day", mine + total(others.values()), execution, usage)


async def count(execution: Execution, checkpoint: Checkpoint, result: object, *, is_new: bool) -> None:
    """Count a step, done now or read; what a fork was given, another run has paid."""
    if checkpoint.execution == GIVEN:
        return
    usage = result.usage if isinstance(result, ModelResponse) else None
    day = checkpoint.started_at.astimezone(UTC).date().isoformat()
    execution.spent[day] = execution.spent.get(day, Spent()) + Spent.of(usage, checkpoint.seconds)
    if checkpoint.side_effects is not False and checkpoint.tool_call_id is not None:
        execution.achieved.append(checkpoint.label)
    budget = execution.budget
    if is_new and budget is not None and budget.concerns_others:
        await record(execution.store, day, execution.flow_run_id, execution.flow, execution.spent[day])


def _today() -> str:
    return datetime.now(UTC).date().isoformat()

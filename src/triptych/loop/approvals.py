"""Which tool calls a person must approve: a tool declares it, and the call leaves the loop as data.

A rule looks at a call's arguments, and at what they would do, inside the tool's own body. So its answer is part of the
step: a replay reads what was asked, and does not ask anew because the records or the threshold have changed since.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, TypeAlias, TypeVar, cast

from pydantic import BaseModel, ConfigDict, field_validator
from pydantic_ai import ApprovalRequired, RunContext
from pydantic_ai.tools import ToolFuncContext
from pydantic_core import to_jsonable_python

from triptych.errors import ConfigurationError

P = ParamSpec("P")
DepsT = TypeVar("DepsT")

APPROVAL = "approval"
"""The key in a tool's metadata that says whether its calls may need a person."""
_THRESHOLD = "approval_threshold_usd"
_AMOUNT = "amount_usd"
_WHY = "why"
_CHANGED = "changed_by_a_person"
_CENT = 0.005


class Ask(BaseModel):
    """What a person is asked about one call, beside the call itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    why: str
    """Which rule wants a person, in words."""
    amount_usd: float | None = None
    """What the call would pay out; None where that cannot be said."""
    policy_may_approve: bool = False
    """Whether the tool allows that a call is done because nobody answered."""
    changed_arguments: dict[str, Any] | None = None
    """What a person changed the call's arguments to, where that has to be asked about again."""

    @field_validator("amount_usd")
    @classmethod
    def _is_an_amount(cls, value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None


Rule: TypeAlias = Callable[[RunContext[Any], Mapping[str, Any]], Ask | None]
"""Says what a person has to be asked about a call with these arguments, or None where nobody has to be asked."""


def run_metadata(threshold_usd: float) -> dict[str, Any]:
    """Return the metadata of an agent run (`agent.run(metadata=...)`) in which this threshold holds.

    Args:
        threshold_usd: Calls that pay out more need approval. A run without one has a threshold of 0.
    """
    return {_THRESHOLD: threshold_usd}


def always(ctx: RunContext[Any], arguments: Mapping[str, Any]) -> Ask:
    """Have a person asked about every call."""
    del arguments
    return Ask(why=f"every call of {ctx.tool_name} needs approval")


def above_threshold(amount_of: Callable[[RunContext[Any], Mapping[str, Any]], float | None]) -> Rule:
    """Return the rule that a person is asked about calls that pay out more than the run's threshold.

    Args:
        amount_of: What a call would pay out, in USD; None where it would pay nothing, or will be refused.
    """

    def rule(ctx: RunContext[Any], arguments: Mapping[str, Any]) -> Ask | None:
        amount = amount_of(ctx, arguments)
        threshold = float((ctx.metadata or {}).get(_THRESHOLD, 0.0))
        # Not `amount > threshold`: a NaN is to be asked about.
        if amount is None or amount <= threshold:
            return None
        return Ask(why=f"it pays out more than {threshold:.2f} USD", amount_usd=amount)

    return rule


def approved(ask: Ask, *, is_changed: bool) -> dict[str, Any]:
    """Return the metadata with which an approved call runs (`DeferredToolResults.metadata`).

    Args:
        ask: What was approved.
        is_changed: Whether the person changed the arguments.
    """
    return {_AMOUNT: ask.amount_usd, _WHY: ask.why, _CHANGED: is_changed}


def asking(
    function: ToolFuncContext[DepsT, P], rule: Rule, *, policy_may_approve: bool = False
) -> ToolFuncContext[DepsT, P]:
    """Return the tool's function with the rule in front: a call that needs approval ends before anything is done.

    Once a person has approved it the call runs, unless it would now pay out another amount than the one that was
    approved: then it is asked about again. Where the person changed the arguments, no more than that amount. A rule
    that raises has a person asked.

    Args:
        function: The tool, asynchronous or not. Of one that takes `**arguments`, as a tool made of a JSON schema does,
            the rule sees those arguments by their names.
        rule: Which of its calls a person is asked about.
        policy_may_approve: Whether the policy may let a call go when nobody answers.

    Raises:
        ConfigurationError: the rule is asynchronous.
    """
    if inspect.iscoroutinefunction(rule):
        raise ConfigurationError(
            f"the rule about approval of {function.__name__} is asynchronous; write it without async"
        )
    signature = inspect.signature(function)

    def check(ctx: RunContext[DepsT], *args: P.args, **kwargs: P.kwargs) -> None:
        arguments = _named(signature, signature.bind(ctx, *args, **kwargs).arguments)
        ask = _ask(rule, ctx, arguments)
        if ask is not None and not (ctx.tool_call_approved and _is_what_was_approved(ctx, ask)):
            more: dict[str, Any] = {"policy_may_approve": policy_may_approve}
            if _metadata(ctx).get(_CHANGED):
                more["changed_arguments"] = to_jsonable_python(arguments)
            raise ApprovalRequired(metadata=ask.model_copy(update=more).model_dump())

    @functools.wraps(function)
    def checked(ctx: RunContext[DepsT], *args: P.args, **kwargs: P.kwargs) -> Any:
        check(ctx, *args, **kwargs)
        return function(ctx, *args, **kwargs)

    @functools.wraps(function)
    async def checked_async(ctx: RunContext[DepsT], *args: P.args, **kwargs: P.kwargs) -> Any:
        check(ctx, *args, **kwargs)
        return await function(ctx, *args, **kwargs)

    # Whoever calls it awaits what is declared so, and runs anything else in a thread.
    return checked_async if inspect.iscoroutinefunction(function) else checked


def _named(signature: inspect.Signature, bound: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's arguments without the context, those of `**arguments` beside the others."""
    named: dict[str, Any] = {}
    for name in list(bound)[1:]:
        if signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD:
            named |= bound[name]
        else:
            named[name] = bound[name]
    return named


def _ask(rule: Rule, ctx: RunContext[Any], arguments: Mapping[str, Any]) -> Ask | None:
    try:
        return rule(ctx, arguments)
    except Exception as error:  # whatever it is: nobody knows now that the call is harmless
        return Ask(why=f"the rule that says whether approval is needed failed ({type(error).__name__})")


def _is_what_was_approved(ctx: RunContext[Any], ask: Ask) -> bool:
    metadata = _metadata(ctx)
    amount = metadata.get(_AMOUNT)
    if ask.amount_usd is None or amount is None:
        # Unknown as it was, and for the same reason: not because the rule failed this time.
        return ask.amount_usd is None and amount is None and ask.why == metadata.get(_WHY)
    return ask.amount_usd < amount + _CENT and (bool(metadata.get(_CHANGED)) or ask.amount_usd > amount - _CENT)


def _metadata(ctx: RunContext[Any]) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", ctx.tool_call_metadata or {})

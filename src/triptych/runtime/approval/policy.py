"""When a person has to be asked, how long is waited, and what holds when nobody answers: a Prefect block."""

from __future__ import annotations

from typing import Any, Literal, Self, cast

from prefect.blocks.core import Block
from pydantic import Field, ValidationError, field_validator, model_validator

from triptych.errors import ConfigurationError
from triptych.settings import Settings


class ApprovalPolicy(Block):
    """Edited in the UI, in force from the next request on: a request that stands keeps the policy it was made under."""

    _block_type_name = "Approval Policy"
    _block_type_slug = "approval-policy"
    _description = "Which tool calls a person must approve, and what happens when nobody answers."
    _documentation_url = None  # pyright: ignore[reportAssignmentType]

    threshold_usd: float = Field(
        default=500.0, ge=0, allow_inf_nan=False, description="Calls that pay out more than this need approval."
    )
    time_to_live_seconds: float = Field(
        default=86_400.0, gt=0, le=30 * 86_400, description="How long a person may take; 86400 is a day."
    )
    hold_for_seconds: float = Field(
        default=0.0,
        ge=0,
        le=86_400,
        description="How long a run keeps its process while it waits (Paused), before it lets go of it (Suspended). A "
        "run that is answered meanwhile goes on at once, and keeps its place in the pool all the time.",
    )
    when_nobody_answers: Literal["deny", "approve", "escalate", "fail"] = Field(
        default="deny",
        description="deny: the agent is told that nobody answered, and goes on. approve: it is done, where the tool "
        "allows that, and denied where not. escalate: the next of `escalate_to` is asked, and at the end of that list "
        "it is denied. fail: the run ends as failed.",
    )
    ask: str = Field(default="", max_length=200, description="Who is asked first: a person or a channel. Only said.")
    escalate_to: list[str] = Field(
        default_factory=list,
        max_length=10,
        description="Who is asked next, and after that, each for the whole time to live.",
    )

    @field_validator("escalate_to")
    @classmethod
    def _names_somebody(cls, value: list[str]) -> list[str]:
        # The form in Prefect's UI sends an emptied row as "".
        return [name.strip() for name in value if name.strip()]

    @model_validator(mode="after")
    def _has_somebody_to_escalate_to(self) -> Self:
        if self.when_nobody_answers == "escalate" and not self.escalate_to:
            raise ValueError("when_nobody_answers is escalate, and escalate_to names nobody")
        return self


async def load_policy(settings: Settings) -> ApprovalPolicy:
    """Return the policy as it stands in Prefect now.

    Raises:
        ConfigurationError: there is no such block, or it holds what cannot be.
    """
    try:
        return await cast(Any, ApprovalPolicy).load(settings.policy_block)
    except (ValueError, RuntimeError) as error:
        # Prefect raises a RuntimeError about the ValidationError that says what is wrong.
        cause = error.__cause__ or error.__context__
        said = str(cause) if isinstance(cause, ValidationError) else str(error)
        raise ConfigurationError(
            f"the block {ApprovalPolicy.get_block_type_slug()}/{settings.policy_block} cannot be loaded: {said}. "
            "`triptych blocks` saves one; one that stands is mended in the UI"
        ) from error

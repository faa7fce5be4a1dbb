"""When a person has to be asked, how long is waited, and what holds when nobody answers: a Prefect block."""

from __future__ import annotations

from typing import Any, Literal, cast

from prefect.blocks.core import Block
from pydantic import Field

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
    when_nobody_answers: Literal["deny", "fail"] = Field(
        default="deny",
        description="deny: the agent is told that nobody answered, and goes on. fail: the run ends as failed.",
    )


async def load_policy(settings: Settings) -> ApprovalPolicy:
    """Return the policy as it stands in Prefect now.

    Raises:
        ConfigurationError: there is no such block, or it holds what cannot be.
    """
    try:
        return await cast(Any, ApprovalPolicy).load(settings.policy_block)
    except ValueError as error:
        raise ConfigurationError(
            f"the block {ApprovalPolicy.get_block_type_slug()}/{settings.policy_block} cannot be loaded: {error}. "
            "`triptych blocks` saves one"
        ) from error

"""What the approver fills in, in Prefect's own resume dialog. Nothing that a model wrote is ever in a field."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from prefect.exceptions import PrefectHTTPStatusError
from prefect.input import Keyset, RunInput
from prefect.input.actions import acreate_flow_run_input, aread_flow_run_input
from prefect.input.run_input import keyset_from_base_key
from pydantic import Field

_REQUEST = "Leave it as it is: which request you answer. For another, it is void."


class ApprovalForm(RunInput):
    """The fields, each with the safe decision as its default: an empty form is a denial."""

    approve: bool = Field(default=False, description="Tick to let the agent do it. Unticked, it is denied.")
    name: str = Field(default="", max_length=200, description="Who decides. Approving needs a name.")
    reason: str = Field(default="", max_length=2000, description="Why; the agent is told the reason of a denial.")
    arguments: str = Field(
        default="",
        max_length=20_000,
        description='Only to approve it changed: a JSON object of the arguments that change, like {"reason": "..."}.',
    )
    request: str = Field(default="", max_length=100, description=_REQUEST)


def form_with(description: str, *, request_id: str, does: str) -> type[ApprovalForm]:
    """Return the form of one request, with a page above its fields.

    Args:
        description: The page.
        request_id: Which request it is.
        does: What a tick lets the agent do, in a few words of ours. Version 1 of the UI gives the fields their room
            first, and hides the page in a low window.
    """

    class Form(ApprovalForm):
        approve: bool = Field(default=False, description=f"Tick to {does}. Unticked, it is denied.")
        request: str = Field(default=request_id, max_length=100, description=_REQUEST)

        @classmethod
        async def asave(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
            await _save(cls, keyset, flow_run_id)

    Form.__name__ = ApprovalForm.__name__
    return Form.with_initial_data(description=description)


async def save_form(form: type[ApprovalForm], base_key: str, flow_run_id: UUID) -> None:
    """Store what the dialog shows, before the run waits.

    Prefect writes it afterwards: where a process dies in between, or a person is quicker, the run could not be resumed.
    Done again it changes nothing.
    """
    await form.asave(_keyset(base_key), flow_run_id)


async def read_answer(base_key: str, flow_run_id: UUID) -> dict[str, Any] | None:
    """Return what was filled in, or None where the run was resumed with nothing, or not at all."""
    return await aread_flow_run_input(cast(Any, _keyset(base_key)["response"]), flow_run_id=flow_run_id)


async def _save(form: type[ApprovalForm], keyset: Keyset, flow_run_id: UUID | None) -> None:
    # The schema last: without it a run cannot be resumed, with it the page is there as well.
    description = form._description  # pyright: ignore[reportPrivateUsage]
    for key, value in ((keyset["description"], description), (keyset["schema"], form.model_json_schema())):
        await write_once(key, value, flow_run_id)


async def write_once(key: str, value: Any, flow_run_id: UUID | None) -> None:
    """Write an input of a flow run, unless it is there already."""
    try:
        await acreate_flow_run_input(key=key, value=value, flow_run_id=flow_run_id)
    except PrefectHTTPStatusError as error:
        if error.response.status_code != 409:
            raise


def _keyset(base_key: str) -> Keyset:
    return keyset_from_base_key(cast(Any, base_key))

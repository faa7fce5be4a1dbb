"""What the approver sees and fills in, in Prefect's own resume dialog."""

from __future__ import annotations

import html
import json
from uuid import UUID

from prefect.exceptions import PrefectHTTPStatusError
from prefect.input import Keyset, RunInput
from prefect.input.actions import acreate_flow_run_input
from pydantic import Field

from triptych.records import ApprovalRequest


class ApprovalForm(RunInput):
    """The fields, each with the safe decision as its default: an empty form is a denial."""

    approve: bool = Field(default=False, description="Tick to let the agent do it. Unticked, it is denied.")
    name: str = Field(default="", max_length=200, description="Who decides. Approving needs a name.")
    reason: str = Field(default="", max_length=2000, description="Why; the agent is told the reason of a denial.")


async def save_form(form: type[ApprovalForm], keyset: Keyset, flow_run_id: UUID | None = None) -> None:
    """Store what the dialog shows. Done again it changes nothing: a process may have died behind it."""
    # The schema last: without it a run cannot be resumed, with it the page is there as well.
    description = form._description  # pyright: ignore[reportPrivateUsage]
    for key, value in ((keyset["description"], description), (keyset["schema"], form.model_json_schema())):
        try:
            await acreate_flow_run_input(key=key, value=value, flow_run_id=flow_run_id)
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 409:  # it is there already
                raise


def form_for(request: ApprovalRequest) -> type[ApprovalForm]:
    """Return the form of one request, with its page above the fields."""

    class Form(ApprovalForm):
        @classmethod
        async def asave(cls, keyset: Keyset, flow_run_id: UUID | None = None) -> None:
            await save_form(cls, keyset, flow_run_id)

    Form.__name__ = ApprovalForm.__name__
    form = Form.with_initial_data(description=page(request))
    return form


def page(request: ApprovalRequest) -> str:
    """Return what the approver reads, in Markdown. What others wrote is quoted and cannot pass as ours."""
    amount = "unknown" if request.amount_usd is None else f"{request.amount_usd:,.2f} USD"
    if request.when_nobody_answers == "deny":
        otherwise = "it is denied, and the agent is told that nobody answered"
    else:
        otherwise = "the run fails"
    return "\n".join(
        [
            f"## May the agent do this? ({_code(request.tool)})",
            "",
            f"- **Amount:** {amount}",
            f"- **Asked because:** {_plain(request.why)}",
            f"- **If nobody answers** by {request.deadline:%Y-%m-%d %H:%M:%S} UTC: {otherwise}.",
            f"- **Fingerprint:** `{request.fingerprint[:16]}`",
            "",
            "What it would be called with:",
            "",
            _block(json.dumps(request.arguments, indent=1, ensure_ascii=True)),
            "",
            "The customer's words:",
            "",
            _block(request.words),
        ]
    )


def _plain(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=False).replace("`", "'")


def _code(text: str) -> str:
    return f"`{_plain(text)}`"


def _block(text: str) -> str:
    """Indent as code: nothing in it is Markdown or HTML any more, and no line of it can end the block."""
    lines = text.splitlines() or [""]
    return "\n".join(f"    {line}" for line in lines)

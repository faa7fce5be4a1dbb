"""Tools whose backend honours no idempotency key: each call is begun once, and never again without a word.

Such a tool says so in its metadata. That a call begins is written to the store before it does. An execution that finds
the word, and no checkpoint, cannot know whether the call took effect: the model is told so, and the operator too.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID, uuid4

from prefect.client.orchestration import get_client

from triptych.loop.tools.execution import HONOURS_KEY
from triptych.runtime.checkpoints import ROOT
from triptych.runtime.identity import tool_metadata
from triptych.runtime.journal import Execution
from triptych.runtime.ownership import require

_logger = logging.getLogger(__name__)


def is_begun_once(params: object) -> bool:
    """Whether these are the parameters of a call to a tool that honours no idempotency key."""
    return tool_metadata(params).get(HONOURS_KEY) is False


async def begin(execution: Execution, step: str, label: str) -> str | None:
    """Write down that a call begins, or return what the model is told where it was begun before.

    Raises:
        Stopped: another execution owns the run, so that it is the one to make the call.
        CheckpointStoreUnavailable: the word cannot be kept; the call is not made.
    """
    key = f"begun/{step.removeprefix(f'{ROOT}/')}.json"
    before = await execution.store.read(key)
    if before is None:
        await execution.store.write(key, datetime.now(UTC).isoformat().encode())
        # After the word, not before: whoever owns the run from here on finds it.
        await require(UUID(execution.flow_run_id), execution.number)
        return None
    when = before.decode(errors="replace")
    _logger.error("%s was begun at %s by an execution that died: unknown outcome, not tried again", label, when)
    await _tell(execution, step, label)
    return (
        f"Unknown outcome: this call was begun at {when} and was interrupted. It may or may not have taken effect, and "
        "it was not tried again. Find out before you make it once more."
    )


async def _tell(execution: Execution, step: str, label: str) -> None:
    event = {
        "id": str(uuid4()),
        "event": "triptych.tool.outcome-unknown",
        "occurred": datetime.now(UTC).isoformat(),
        "resource": {"prefect.resource.id": f"triptych.step.{step}", "prefect.resource.name": label},
        "related": [
            {"prefect.resource.id": f"prefect.flow-run.{execution.flow_run_id}", "prefect.resource.role": "flow-run"}
        ],
    }
    try:
        async with get_client() as client:
            await cast(Any, client).request("POST", "/events", json=[event])
    except Exception as error:  # it is in the log and in the checkpoint
        _logger.warning("No event was sent of it (%s: %s)", type(error).__name__, error)

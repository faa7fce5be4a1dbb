"""Put a patch on a branch of its own, on the machine that has the repository."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from triptych.fixes import FixTask
from triptych.repositories.records import Refused
from triptych.runtime.coding.applying import apply_to_repository
from triptych.runtime.coding.reports import Patch, Source
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug


@flow(
    name="apply-patch",
    flow_run_name="apply {task.name}",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
)
async def apply_patch(task: FixTask, source: Source, patch: Patch, fix_run: str) -> State[dict[str, Any]]:
    """Apply a patch that passed its tests to the branch `triptych/<task>-<run>`, with the owner's git identity.

    Args:
        task: What it is for.
        source: Where it belongs.
        patch: What is applied; only as its digest says.
        fix_run: The flow run that it comes from. Its ledger must hold the approval, where the task wants one.

    Returns:
        The `Application`, as plain JSON in the checkpoint store. The run is Failed where it was not applied.
    """
    application = await apply_to_repository(task, source, patch, fix_run)
    why = application.done.reason if isinstance(application.done, Refused) else None
    return await ended(application, failed=why is not None, message=None if why is None else f"not applied: {why}")

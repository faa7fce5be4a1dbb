"""Have a coding agent make one change in a repository, durably."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from triptych.fixes import FixTask
from triptych.runtime.approval.policy import load_policy
from triptych.runtime.budget import load_budget
from triptych.runtime.coding.batch import refresh_summaries
from triptych.runtime.coding.fixing import fix
from triptych.runtime.coding.publishing import publish_report
from triptych.runtime.coding.reports import FixReport, Source
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug
from triptych.settings import Settings


@flow(
    name="fix-task",
    flow_run_name="fix {task.name}",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
    on_completion=[refresh_summaries],
    on_failure=[refresh_summaries],
)
async def fix_task(task: FixTask, source: Source, earlier: FixReport | None = None) -> State[dict[str, Any]]:
    """Let an agent work on a task in a box, test its patch in another, have it approved, and have it applied.

    Args:
        task: What is to be done.
        source: The repository as `fix-batch` packed it; this run reaches no repository itself.
        earlier: The report of a run for the same task whose patch could not be applied. Its patch is applied, and
            nothing else is done.

    Returns:
        The `FixReport`, as plain JSON in the checkpoint store. The run is Failed when no patch came to a branch, unless
        a person denied it.
    """
    settings = Settings()
    policy, budget = await load_policy(settings), await load_budget(settings)
    report = await fix(task, source, settings, policy, budget, earlier)
    await publish_report(report)
    # Never the words of a model or of a test alone: what a state says is read by others too.
    why = f"{report.outcome.replace('_', ' ')}: {report.reason}" if report.reason else None
    return await ended(report, failed=report.outcome not in ("applied", "denied"), message=why)

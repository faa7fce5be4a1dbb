"""Have coding agents work on the tasks of a file, each in a flow run of its own."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from triptych.runtime.coding.batch import fix_all, refresh_summaries
from triptych.runtime.coding.task_file import load_task_file
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug
from triptych.settings import Settings


@flow(
    name="fix-batch",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
    on_completion=[refresh_summaries],
)
async def fix_batch(path: str = "tasks.yaml", again: bool = False, in_docker: bool = True) -> State[dict[str, Any]]:
    """Start one run of the `fix-task` deployment for each task, and report what became of them.

    A task that an earlier batch has started, at the same commit, is not started again: its run is shown as it stands.

    Args:
        path: The task file; relative to the project.
        again: Give a task whose run failed a new one; where only the applying failed, that alone is done again. A task
            whose patch was applied is never done twice.
        in_docker: Whether each agent's loop has a container of its own (`fix-task-in-docker`), or is a process of this
            machine (`fix-task`). What the agent runs is in a box in either case.

    Returns:
        The `FixBatchReport`, as plain JSON in the checkpoint store. A task that waits for a person keeps its row at
        `waiting`; the summary artifact is brought up to date when it ends.
    """
    settings = Settings()
    batch = load_task_file(settings.project / path)
    report = await fix_all(batch, settings, again=again, in_docker=in_docker)
    return await ended(report)

"""Handle a file or folder of tickets, each in a flow run of its own."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from triptych.runtime.inbox import handle_all, read_inbox, refresh_summaries
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.store import store_slug
from triptych.settings import Settings


@flow(
    name="handle-inbox",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
    on_completion=[refresh_summaries],
)
async def handle_inbox(path: str = "inbox", agent: str = "retail", again: bool = False) -> State[dict[str, Any]]:
    """Start one run of the `handle-ticket` deployment for each ticket, and report what became of them.

    A ticket that an earlier inbox run has started is not started again: its run is shown as it stands, `earlier`.

    Args:
        path: A `.json` or `.jsonl` file of tickets, or a folder of such files; relative to the project.
        agent: Who handles the tickets, as for `handle-ticket`.
        again: Give a ticket whose run failed a new one. A ticket that was handled is never handled twice.

    Returns:
        The `InboxReport`, as plain JSON in the checkpoint store. A run that waits for a person keeps its row at
        `waiting`; the summary artifact is brought up to date when it ends.
    """
    report = await handle_all(read_inbox(Settings().project / path), agent=agent, again=again)
    return await ended(report)

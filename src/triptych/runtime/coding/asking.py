"""Have a person read a patch before it becomes a branch: the same request, form and ledger as for a tool's call."""

from __future__ import annotations

from prefect.artifacts import acreate_markdown_artifact
from pydantic_ai import DeferredToolRequests, ToolDenied
from pydantic_ai.messages import ToolCallPart
from pydantic_ai.usage import RunUsage

from triptych.fixes import FixTask
from triptych.loop.approvals import Ask
from triptych.repositories.patches import shorten
from triptych.repositories.records import PatchSummary
from triptych.runtime.approval.asking import Caller, decide
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.page import diff_block
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.coding.reports import Approved, Source, TestRun, Worked
from triptych.runtime.store import CheckpointStore

TOOL = "apply_patch"
SHOWN_LINES = 200
"""Of a diff in the dialog; the whole one is an artifact of the run."""
WHOLE_CHARACTERS = 400_000
"""Of a diff on the run's page; Prefect's server takes about twice as much."""
_CALL = "apply"


async def ask_about(
    task: FixTask,
    source: Source,
    patch: bytes,
    key: str,
    checked: PatchSummary,
    worked: Worked,
    after: TestRun,
    policy: ApprovalPolicy,
) -> Approved:
    """Have a patch approved; ends this process where the person takes longer than the run is held.

    Args:
        task: What it is for.
        source: What it changes.
        patch: Its bytes.
        key: Its name in the store.
        checked: What it does.
        worked: What the agent says of it.
        after: What its tests came to.
        policy: In force for a request that was not made before.

    Raises:
        ApprovalExpired: nobody answered, and the policy says fail.
        Pause: Prefect's signal that ends this process; not an error.
    """
    whole = shorten(patch, max_lines=1_000_000, max_columns=len(patch))
    shown = diff_block(whole, WHOLE_CHARACTERS, rest_is=f"in the checkpoint store: {key}")
    await acreate_markdown_artifact(
        f"## The whole patch\n\n{shown}",
        key=f"patch-{checked.digest[:16]}",
        description=f"What {task.name} would change",
    )
    call = ToolCallPart(TOOL, arguments_of(task, source, checked), _CALL)
    ask = Ask(why="the task says that a person reads the diff")
    caller = Caller(
        agent=f"coding {task.name}",
        conversation_id=f"{task.name}:{checked.digest}",
        words=task.instruction,
        explanation=f"{worked.summary}\n\nIts tests {after.outcome}. The end of what they printed:\n{after.output}",
        parameters={},
        usage=RunUsage(),
        change=shorten(patch, SHOWN_LINES),
    )
    requests = DeferredToolRequests(approvals=[call], metadata={_CALL: ask.model_dump(exclude_none=True)})
    answers = await decide(requests, caller, policy, set())
    answer = answers.results.approvals[_CALL]
    if isinstance(answer, ToolDenied):
        return Approved(outcome="denied", reason=answer.message)
    return Approved(outcome="approved")


def arguments_of(task: FixTask, source: Source, checked: PatchSummary) -> dict[str, object]:
    """Return what a request about a patch is bound to: another patch, or another place for it, is another request."""
    return {
        "task": task.name,
        "repository": source.repository,
        "base": source.base,
        "commit": source.commit,
        "patch": checked.digest,
        "lines_added": checked.added,
        "lines_removed": checked.removed,
        "files": [each.path for each in checked.files],
    }


async def is_approved(
    store: CheckpointStore, fix_run: str, task: FixTask, source: Source, checked: PatchSummary
) -> bool:
    """Whether the ledger of a run holds an approval of just this patch for just this place."""
    ledger = Ledger(store)
    for flow_run_id, request_id in await ledger.ids(fix_run):
        request = await ledger.request(flow_run_id, request_id)
        decision = await ledger.decision(flow_run_id, request_id)
        if request is None or decision is None or request.tool != TOOL:
            continue
        is_it = request.arguments == arguments_of(task, source, checked)
        if is_it and decision.outcome == "approved" and decision.fingerprint == request.fingerprint:
            return True
    return False

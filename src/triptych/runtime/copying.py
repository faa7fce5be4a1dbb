"""Give a flow run the checkpoints of another: those of a fork, and of a replay.

They come from no execution of the run that is given them, and carry the number 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from triptych.errors import CheckpointMissing
from triptych.records import ApprovalDecision, ApprovalRequest
from triptych.runtime.approval.asking import escalated_id, request_id
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.checkpoints import GIVEN, checkpoint_key, encode, plain_name, run_prefix
from triptych.runtime.history import Step
from triptych.runtime.store import CheckpointStore
from triptych.runtime.workspace_files import SNAPSHOTS
from triptych.sandbox.snapshots import decode
from triptych.sandbox.snapshots import encode as encode_snapshot


async def copy_steps(
    source: CheckpointStore, steps: Sequence[Step], target: CheckpointStore, flow_run_id: str, *, before: Step | None
) -> None:
    """Write steps of one run as those of another, with what people decided on the way.

    Args:
        source: Where the steps come from.
        steps: Those to copy.
        target: Where they go.
        flow_run_id: The run that they are to be of.
        before: The step that is the first to be taken anew; None where all were copied.
    """
    for step in steps:
        name = f"{run_prefix(flow_run_id)}/{step.name}"
        key = checkpoint_key(name, GIVEN)
        copied = step.checkpoint.model_copy(update={"key": key, "flow_run_id": flow_run_id, "execution": GIVEN})
        await target.write(key, encode(copied, step.payload))
    if steps:
        await _copy_decisions(source, steps, target, flow_run_id, before)


async def copy_snapshots(
    source: CheckpointStore, steps: Sequence[Step], target: CheckpointStore, flow_run_id: str
) -> None:
    """Write the workspace snapshots of one run's steps as those of another, with all that they need.

    Args:
        source: Where they lie.
        steps: Those whose files the other run may go on from.
        target: Where they go.
        flow_run_id: The run that they are to be of.

    Raises:
        CheckpointMissing, CheckpointTorn: one of them is not there, or not whole.
    """
    old, new = (f"{SNAPSHOTS}/{run}" for run in (steps[0].checkpoint.flow_run_id if steps else "", flow_run_id))
    wanted = {step.checkpoint.files for step in steps if step.checkpoint.files is not None}
    copied: set[str] = set()
    while wanted - copied:
        name = min(wanted - copied)
        snapshot, contents = decode(f"{old}/{name}", await _required(source, f"{old}/{name}"))
        base = snapshot.base
        if base is not None and base.startswith(f"{old}/"):
            base = f"{new}/{base.removeprefix(f'{old}/')}"
            if base not in copied:
                await target.write(base, await _required(source, snapshot.base or ""))
        await target.write(f"{new}/{name}", encode_snapshot(snapshot.model_copy(update={"base": base}), contents))
        wanted |= {held.snapshot for held in snapshot.contents.values()}
        copied |= {name, base or ""}


async def _required(store: CheckpointStore, key: str) -> bytes:
    content = await store.read(key)
    if content is None:
        raise CheckpointMissing(f"{key}, which a workspace's files are restored from, is not in {store.backend.place}")
    return content


async def _copy_decisions(
    source: CheckpointStore, steps: Sequence[Step], target: CheckpointStore, flow_run_id: str, before: Step | None
) -> None:
    """Copy what was decided before a step, but for calls that were approved and are not among the copied."""
    old_id = steps[0].checkpoint.flow_run_id
    made = Counter(_call(step) for step in steps if _is_made(step))
    ledger = Ledger(source)
    entries = [(await ledger.request(*ids), await ledger.decision(*ids)) for ids in await ledger.ids(old_id)]
    decided = [(request, decision) for request, decision in entries if request is not None and decision is not None]
    new_ids = _new_ids([request for request, _ in decided], steps, old_id, flow_run_id)
    for request, decision in sorted(decided, key=lambda each: each[1].decided_at):
        if request.id not in new_ids or not _counts(request, decision, made, before):
            continue
        update = {"id": new_ids[request.id], "flow_run_id": flow_run_id}
        copied = request.model_copy(update=update)
        await Ledger(target).write_request(copied)
        await Ledger(target).write_decision(copied, decision.model_copy(update={"request_id": copied.id}))


def _is_made(step: Step) -> bool:
    return step.checkpoint.operation.startswith("tool-") and step.value.get("kind") not in (
        "approval_required",
        "call_deferred",
    )


def _call(step: Step) -> tuple[str, str | None]:
    agent = step.checkpoint.agent_run.rpartition("/")[2].rpartition("-")[0]
    return agent, step.checkpoint.tool_call_id


def _counts(
    request: ApprovalRequest, decision: ApprovalDecision, made: Counter[tuple[str, str | None]], before: Step | None
) -> bool:
    if decision.outcome == "approved":
        # Two agent runs may use one id: no more approvals than calls that were made.
        call = (plain_name(request.agent), request.tool_call_id)
        made[call] -= 1
        return made[call] >= 0
    return before is None or decision.decided_at <= before.checkpoint.started_at


def _new_ids(requests: Sequence[ApprovalRequest], steps: Sequence[Step], old_id: str, new_id: str) -> dict[str, str]:
    """Return what each request is known by in the other run: its conversation's name begins with the run's."""
    paths = {step.checkpoint.agent_run for step in steps}
    found: dict[str, str] = {}
    for request in sorted(requests, key=lambda each: each.asked_at):
        for path in paths:
            about = (request.tool_call_id, request.fingerprint, request.amount_usd, request.why)
            if request_id(f"{old_id}:{path}", *about) == request.id:
                found[request.id] = request_id(f"{new_id}:{path}", *about)
        for first, second in list(found.items()):
            if escalated_id(first) == request.id:
                found[request.id] = escalated_id(second)
    return found

"""From patch to branch, on the machine that has the repository: the one step that writes where a person works."""

from __future__ import annotations

import hashlib

from triptych.errors import CheckpointMissing, CheckpointTorn, ConfigurationError
from triptych.fixes import FixTask
from triptych.repositories.branches import apply_to_branch, branch_name
from triptych.repositories.opening import owner_identity
from triptych.repositories.records import Refused
from triptych.repositories.sources import parse_source
from triptych.runtime.coding.asking import is_approved
from triptych.runtime.coding.once import recorded, this_execution
from triptych.runtime.coding.reports import Application, Patch, Source, TestRun
from triptych.runtime.coding.verifying import AFTER
from triptych.runtime.results import began_at


async def apply_to_repository(task: FixTask, source: Source, patch: Patch, fix_run: str) -> Application:
    """Put a patch on a branch of its own, where its tests passed and, if the task wants it, a person approved it.

    That they did is looked up here, in the store. What the task wants is believed as it is given: whoever can start
    this run could approve the patch as well.

    Args:
        task: What it is for.
        source: Where it belongs.
        patch: What is applied.
        fix_run: The id of the flow run that it comes from.

    Raises:
        ConfigurationError: its tests have not passed, or the ledger holds no approval of it; or git knows no identity.
            Nothing was changed.
        CheckpointMissing, CheckpointTorn: the patch is not in the store, or is another.
    """
    if isinstance(patch.checked, Refused):
        return Application(done=patch.checked)
    store = this_execution().store
    content = await store.read(patch.key)
    if content is None:
        raise CheckpointMissing(f"the patch {patch.key} is not in the store any more")
    if hashlib.sha256(content).hexdigest() != patch.checked.digest:
        raise CheckpointTorn(f"the patch {patch.key} is another than the one that was tested")
    after = await recorded(AFTER, TestRun, store, fix_run)
    if after is None or after.outcome != "passed" or after.patch != patch.checked.digest:
        raise ConfigurationError(f"run {fix_run} has no tests that passed with this patch: it is not applied")
    if task.approve and not await is_approved(store, fix_run, task, source, patch.checked):
        raise ConfigurationError(f"the ledger of run {fix_run} holds no approval of this patch: it is not applied")
    path = parse_source(source.repository).path
    if path is None:
        reason = f"{source.repository} is not on this machine: clone it, and name the clone's path in the task"
        return Application(done=Refused(kind="elsewhere", reason=reason))
    done = await apply_to_branch(
        source.repository,
        source.commit,
        content,
        branch_name(task.name, fix_run[:8]),
        _message(task, fix_run),
        identity=await owner_identity(path),
        # A second execution makes the same commit; git counts in whole seconds.
        when=began_at().replace(microsecond=0),
        base_ref=source.base,
        forbidden=task.forbidden_paths,
    )
    return Application(done=done)


def _message(task: FixTask, fix_run: str) -> str:
    return f"{task.name}: a coding agent's patch\n\nIts tests passed. Flow run: {fix_run}\n"

"""A batch of coding tasks: repositories packed, a run a task, a summary of them all."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.flows import Flow

from triptych.errors import ConfigurationError, TriptychError
from triptych.fixes import FixBatch, FixTask
from triptych.loop.agents import coding
from triptych.loop.models import SCRIPTED, ScriptedModel, check_plan, plan_for_fix
from triptych.repositories.merging import conflicts
from triptych.repositories.opening import owner_identity
from triptych.repositories.sources import pack_repository, parse_source
from triptych.runtime.batches import Batch, Started, key_of, standing, state_name, this_run
from triptych.runtime.coding.once import recorded, this_execution
from triptych.runtime.coding.publishing import publish_summary
from triptych.runtime.coding.reports import READ, FixBatchReport, FixReport, FixRow, Patch, Source
from triptych.runtime.queries import outcome_of
from triptych.runtime.server import BRAINS, HOW_TO_BUILD, POOL
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings

_logger = logging.getLogger(__name__)

FLOW = "fix-task"
KIND = "fixes"
EARLIER = "earlier"
"""The parameter of a task's run that holds another's report."""
SOURCES = "sources"
"""The folder of packed repositories in a store. They are named by their content: many tasks share one."""


async def fix_all(batch: FixBatch, settings: Settings, *, again: bool, in_docker: bool) -> FixBatchReport:
    """Pack the repositories, start a top-level run for each task, and wait for all but those that wait for a person.

    Args:
        batch: The tasks.
        settings: The model; `scripted` needs a plan for each task.
        again: Give a task whose run failed a new one. Where only the applying failed, that alone is done again.
        in_docker: Whether a run's own process has a container.

    Returns:
        A row a task, in the file's order.

    Raises:
        ConfigurationError: a repository cannot be read, there is no such ref, nobody's commits would be made in it, the
            scripted model has no plan that fits, or the pool takes no runs. All such tasks are told, and nothing was
            started.
    """
    parent, store = this_run(), this_execution().store
    kind = _batch(in_docker=in_docker)
    started: list[Started] = []
    async with get_client() as client:
        await _require_pool(client, in_docker=in_docker)
        sources = await _pack(batch.tasks, store, settings)
        for task in batch.tasks:
            source = sources[task.repository, task.base]
            told = {"task": task.model_dump(mode="json"), "source": source.model_dump(mode="json")}
            key = key_of("fix", [told["task"], source.commit])
            started.append(await kind.start(client, f"fix {task.name}", told, parent=parent, key=key, again=again))
        rows = await kind.wait(client, parent, [each.run.id for each in started])
    rows = [row.model_copy(update={"earlier": each.earlier}) for row, each in zip(rows, started, strict=True)]
    of_task = {task.name: sources[task.repository, task.base] for task in batch.tasks}
    report = FixBatchReport(rows=tuple(await _with_conflicts(rows, of_task, store)))
    await publish_summary(parent, report)
    return report


async def _require_pool(client: PrefectClient, *, in_docker: bool) -> None:
    name = BRAINS if in_docker else POOL
    try:
        pool = await client.read_work_pool(name)
    except ObjectNotFound:
        raise ConfigurationError(f"there is no work pool {name}: `triptych up` makes it") from None
    if pool.is_paused:
        way = f"{HOW_TO_BUILD}, then `triptych pool`" if in_docker else "resume it in the Prefect UI"
        raise ConfigurationError(f"the work pool {name} is paused, so that no task would begin: {way}")


async def _pack(tasks: Sequence[FixTask], store: CheckpointStore, settings: Settings) -> dict[tuple[str, str], Source]:
    """Put each repository at each base into the store, once; return them by repository and base."""
    named: dict[tuple[str, str], list[str]] = defaultdict(list)
    for task in tasks:
        named[task.repository, task.base].append(task.name)
    found: dict[tuple[str, str], Source] = {}
    problems = _plan_problems(tasks) if settings.model == SCRIPTED else []
    for about, names in named.items():
        try:
            found[about] = await _pack_one(*about, store)
        except ConfigurationError as error:
            problems.append(f"{'task' if len(names) == 1 else 'tasks'} {', '.join(names)}: {error}")
    if problems:
        raise ConfigurationError("\n".join(problems))
    return found


def _plan_problems(tasks: Sequence[FixTask]) -> list[str]:
    """Say which plans the scripted model could not play; it would find out in a container, one by one."""
    problems: list[str] = []
    for task in tasks:
        if task.agent == "command":
            continue
        try:
            plan = plan_for_fix(task)
            check_plan(plan, coding.build_agent(ScriptedModel(plan)))
        except ConfigurationError as error:
            problems.append(f"task {task.name}: {error}")
    return problems


async def _pack_one(repository: str, base: str, store: CheckpointStore) -> Source:
    path = parse_source(repository).path
    if path is not None:
        # Said now: it would be missed when a patch is to be applied, after an agent was paid for it.
        await owner_identity(path)
    with TemporaryDirectory(prefix="triptych-source-") as folder:
        file = Path(folder) / "source.tar"
        packed = await pack_repository(repository, base, file)
        if packed.is_dirty:
            _logger.warning(
                "%s has uncommitted changes: agents work on %s without them, and no patch is applied until they are "
                "stashed or committed",
                repository,
                packed.commit[:12],
            )
        key = f"{SOURCES}/{packed.digest}.tar"
        if key not in await store.keys(SOURCES):
            await store.write(key, await asyncio.to_thread(file.read_bytes))
    return Source(repository=repository, base=base, commit=packed.commit, key=key)


def _batch(*, in_docker: bool) -> Batch[FixRow]:
    name = f"{FLOW}-in-docker" if in_docker else FLOW
    return Batch(kind=KIND, deployment=f"{FLOW}/{name}", row=_row, noun="tasks", inherited=_inherited)


async def _inherited(run: FlowRun) -> dict[str, Any]:
    """Return the work of a run that only could not be applied: it is paid, tested and read."""
    report = await outcome_of(run, FixReport)
    if report is None or report.outcome != "not_applied":
        return {}
    # That of the first: its ledger and its tests are what the patch is believed by.
    return {EARLIER: run.parameters.get(EARLIER) or report.model_dump(mode="json")}


async def _row(run: FlowRun, given_up: bool) -> FixRow:
    told = cast("dict[str, Any]", run.parameters.get("task") or {})
    stands = await standing(run, FixReport, given_up=given_up)
    return FixRow(
        task=str(told.get("name", run.name)),
        flow_run_id=str(run.id),
        state=state_name(run),
        status=stands.status,
        report=stands.report,
        error=stands.why,
    )


async def _with_conflicts(
    rows: Sequence[FixRow], sources: Mapping[str, Source], store: CheckpointStore
) -> list[FixRow]:
    """Say of each row with a patch which others of its repository it could not be merged with.

    Patches that a person is still to decide on are among them: that is when it is good to know.
    """
    groups: dict[tuple[str, str], dict[str, bytes]] = defaultdict(dict)
    for row in rows:
        patch = await _standing_patch(row, store)
        content = None if patch is None else await store.read(patch.key)
        if content is not None:
            source = sources[row.task]
            groups[source.repository, source.commit][row.task] = content
    meets: dict[str, set[str]] = defaultdict(set)
    for (repository, commit), patches in groups.items():
        if len(patches) < 2:
            continue
        try:
            found = (await conflicts(repository, commit, patches, forbidden=())).conflicts
        except TriptychError as error:
            # All the work is done: that counts, whatever became of its repository meanwhile.
            _logger.warning("which patches of %s conflict is not known: %s", repository, error)
            continue
        for each in found:
            meets[each.first].add(each.second)
            meets[each.second].add(each.first)
    return [row.model_copy(update={"conflicts_with": tuple(sorted(meets[row.task]))}) for row in rows]


async def _standing_patch(row: FixRow, store: CheckpointStore) -> Patch | None:
    """Return the patch that is on a branch, or that waits to be."""
    if row.report is not None:
        return None if row.report.applied is None else row.report.patch
    return await recorded(READ, Patch, store, row.flow_run_id) if row.status == "waiting" else None


async def refresh_summaries(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Bring the summary of every batch that a task's run belongs to up to date: a hook of both flows.

    Which patches conflict stays as the batch found it, but for those that came to no branch: here there may be no
    repository to try them in.
    """
    for parent, rows in await _batch(in_docker=False).ended_parents(flow_run):
        before = await outcome_of(parent, FixBatchReport)
        known = {} if before is None else {row.task: row.conflicts_with for row in before.rows}
        gone = {
            row.task
            for row in rows
            if row.status == "failed" or (row.report is not None and row.report.applied is None)
        }
        summary: list[FixRow] = []
        for row in sorted(rows, key=lambda row: row.task):
            met = () if row.task in gone else (each for each in known.get(row.task, ()) if each not in gone)
            summary.append(row.model_copy(update={"conflicts_with": tuple(met)}))
        await publish_summary(parent.id, FixBatchReport(rows=tuple(summary)))

"""One coding task's way: tests as they are, an agent in a box, its patch, tests in a fresh box, a person, a branch."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio

from triptych.errors import CheckpointMissing, ConfigurationError, LoopError
from triptych.fixes import Fix, FixTask
from triptych.loop.agents import coding
from triptych.loop.models import SCRIPTED, plan_for_fix, resolve_model
from triptych.loop.prompts import fix_prompt
from triptych.loop.witness import Witness
from triptych.repositories.patches import inspect
from triptych.repositories.records import Applied, Refused
from triptych.runtime.agents import build_durable, run_durable, spent_by
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.budget import Budget, within_seconds
from triptych.runtime.checkpoints import STEPS
from triptych.runtime.coding.asking import ask_about
from triptych.runtime.coding.commands import run_command
from triptych.runtime.coding.extracting import read_patch
from triptych.runtime.coding.handing_over import have_applied
from triptych.runtime.coding.once import once, this_execution
from triptych.runtime.coding.reports import READ, FixOutcome, FixReport, Patch, Source, TestRun, Worked
from triptych.runtime.coding.verifying import AFTER, BEFORE, run_tests
from triptych.runtime.results import seconds_since_it_began
from triptych.runtime.workspace_files import SNAPSHOTS, durable_workspace
from triptych.sandbox.client import Client
from triptych.sandbox.folder import socket_path
from triptych.sandbox.restored import RestoredHands
from triptych.sandbox.snapshots import Files, SnapshotPolicy
from triptych.settings import Settings

_NO_COMMAND = (126, 127)
"""What a shell ends with where it cannot run a command, or knows none of that name (POSIX, 2.8.2)."""


async def fix(
    task: FixTask,
    source: Source,
    settings: Settings,
    policy: ApprovalPolicy,
    budget: Budget,
    earlier: FixReport | None = None,
) -> FixReport:
    """Work on a task inside a flow, durably.

    Args:
        task: What is to be done.
        source: The repository, packed.
        settings: The model, and where the broker is.
        policy: How long a person may take who reads the diff, and what holds when nobody answers.
        budget: What may be spent, beside the task's own limits.
        earlier: Of a run whose patch could not be applied: that is all that is done again.

    Returns:
        The report. A task that ends without a branch is one with its reason, not an error.

    Raises:
        ConfigurationError: before anything is spent: no plan, no key, no sandbox.
        SandboxUnavailable: no box could be had, or each was lost; the operator sees it as the run's failure.
        ApprovalExpired: nobody approved it in time, and the policy says fail.
        CheckpointError: a checkpoint cannot be read, written or used.
    """
    work = _Work(task, source, settings, policy, budget)
    try:
        outcome, reason = await (work.go() if earlier is None else work.apply_again(earlier))
    except LoopError as error:
        outcome, reason = "failed", f"{type(error).__name__}: {error}"
        # What was done before a later step failed stays in the report.
        work.worked = work.worked or Worked(outcome="failed", spending=spent_by(error))
    return work.report(outcome, reason)


@dataclass
class _Work:
    task: FixTask
    source: Source
    settings: Settings
    policy: ApprovalPolicy
    budget: Budget
    worked: Worked | None = None
    patch: Patch | None = None
    before: TestRun | None = None
    after: TestRun | None = None
    applied: Applied | None = None
    _archive: bytes | None = field(default=None, repr=False)

    async def apply_again(self, earlier: FixReport) -> tuple[FixOutcome, str]:
        self.worked, self.before, self.after = earlier.worked, earlier.before, earlier.after
        return await self._apply(earlier.patch, earlier.flow_run_id)

    async def go(self) -> tuple[FixOutcome, str]:
        agent = self._agent()
        self.before = await once(BEFORE, TestRun, lambda: self._tests(None))
        if self.before.outcome == "setup_failed":
            return "failed", f"its setup fails without any change:\n{self.before.output}"
        if self.before.exit_code in _NO_COMMAND:
            # Before an agent is paid for what could never pass.
            return "failed", f"its test command cannot be run in the box:\n{self.before.output}"
        self.worked = await agent()
        if self.worked.outcome == "failed":
            return "failed", self.worked.summary
        if self.worked.outcome == "gave_up":
            return "gave_up", self.worked.summary
        self.patch = await once(READ, Patch, self._read_patch)
        checked = self.patch.checked
        if isinstance(checked, Refused):
            return ("no_patch" if checked.kind == "empty" else "refused"), checked.reason
        patch = await _required(self.patch.key)
        self.after = await once(AFTER, TestRun, lambda: self._tests(patch))
        if self.after.outcome != "passed":
            how = self.after.outcome.replace("_", " ")
            return "tests_failed", f"its tests with the patch, in a new box: {how}\n{self.after.output}"
        if self.task.approve:
            answer = await ask_about(
                self.task, self.source, patch, self.patch.key, checked, self.worked, self.after, self.policy
            )
            if answer.outcome == "denied":
                return "denied", answer.reason
        return await self._apply(self.patch, this_execution().flow_run_id)

    async def _apply(self, patch: Patch | None, fix_run: str) -> tuple[FixOutcome, str]:
        if patch is None:
            raise ConfigurationError(f"the report of run {fix_run} holds no patch that could be applied")
        self.patch = patch
        done = (await have_applied(self.task, self.source, patch, fix_run)).done
        if isinstance(done, Refused):
            return "not_applied", done.reason
        self.applied = done
        return "applied", ""

    def _agent(self) -> Callable[[], Awaitable[Worked]]:
        """Return what has the agent work; what it lacks is said now, before anything is spent."""
        if self.task.agent == "command":
            return lambda: run_command(self.task, self._hands)
        scripted = self.settings.model == SCRIPTED
        model = resolve_model(
            self.settings.model,
            plan=plan_for_fix(self.task) if scripted else None,
            scripted=self.settings.scripted,
            witness=None if self.settings.witness is None else Witness(self.settings.witness),
            request_timeout_seconds=self.settings.request_timeout_seconds,
        )
        limits = coding.limits_of(self.task.limits)
        workspace = durable_workspace(self.settings, base=self.source.key, template=self.task.template)
        agent = build_durable(coding.build_agent, model, limits, more=[workspace])

        async def work() -> Worked:
            limited = within_seconds(self.budget, self.task.limits.seconds)
            done = await run_durable(agent, fix_prompt(self.task), deps=None, limits=limits, budget=limited)
            fix: Fix = done.output
            files = this_execution().files
            return Worked(outcome=fix.outcome, summary=fix.summary, files=files, spending=done.spending)

        return work

    async def _tests(self, patch: bytes | None) -> TestRun:
        return await run_tests(self.task, await self._packed(), patch, self.settings, this_execution().flow_run_id)

    async def _read_patch(self) -> Patch:
        assert self.worked is not None
        archive, execution = await self._packed(), this_execution()
        async with self._hands(self.worked.files) as hands:
            content = await read_patch(hands, archive, self.source.commit)
        if isinstance(content, Refused):
            return Patch(key="", checked=content)
        key = f"{STEPS}/{execution.flow_run_id}/{hashlib.sha256(content).hexdigest()}.patch"
        await execution.store.write(key, content)
        return Patch(key=key, checked=await inspect(content, self.task.forbidden_paths))

    @asynccontextmanager
    async def _hands(self, snapshot: str | None) -> AsyncGenerator[RestoredHands]:
        """Give a box with the files of a snapshot, or those that the task begins with."""
        execution, folder = this_execution(), self.settings.sandbox_folder
        client = Client(socket_path(folder), execution.flow_run_id)
        kept = f"{SNAPSHOTS}/{execution.flow_run_id}"
        files = Files(client, execution.store, folder=kept, base=self.source.key, policy=SnapshotPolicy())
        hands = RestoredHands(client, self.task.template, files, snapshot)
        try:
            yield hands
        finally:
            with anyio.CancelScope(shield=True):
                await hands.discard()
                await client.close()

    async def _packed(self) -> bytes:
        if self._archive is None:
            self._archive = await _required(self.source.key)
        return self._archive

    def report(self, outcome: FixOutcome, reason: str) -> FixReport:
        return FixReport(
            task=self.task.name,
            flow_run_id=this_execution().flow_run_id,
            outcome=outcome,
            reason=reason,
            worked=self.worked,
            source=self.source,
            patch=self.patch,
            before=self.before,
            after=self.after,
            applied=self.applied,
            duration_seconds=seconds_since_it_began(),
        )


async def _required(key: str) -> bytes:
    content = await this_execution().store.read(key)
    if content is None:
        raise CheckpointMissing(f"{key} is not in the store any more, and the task needs it")
    return content

"""Do the tests pass? In a new box, which holds the repository, a patch where there is one, and nothing else."""

from __future__ import annotations

import hashlib
import time

from pydantic_ai.workspaces import WorkspaceOutputLimitError, WorkspaceTimeoutError, WorkspaceUnavailableError
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from triptych.errors import SandboxUnavailable
from triptych.fixes import FixTask
from triptych.runtime.coding.reports import TestOutcome, TestRun
from triptych.sandbox.box import Sandbox
from triptych.sandbox.policy import ROOT
from triptych.settings import Settings

BEFORE, AFTER = "tests before", "tests after"
"""The two steps of a run."""
SHOWN_CHARACTERS = 4_000
"""Of what a command printed: its end, where tests sum up."""
ROOM_SECONDS = 900.0
"""How long a task waits for a box that lasts: as many as the template allows may be in use."""
_PATCH = "/tmp/triptych.patch"


async def run_tests(task: FixTask, archive: bytes, patch: bytes | None, settings: Settings, owner: str) -> TestRun:
    """Run a task's `setup` and `test` in a new box.

    Args:
        task: Whose commands; its `limits.test_seconds` hold for each of the two.
        archive: A tar archive of the repository: a working tree with its `.git`.
        patch: Applied first; None runs the tests of the repository as it is.
        settings: Where the broker is.
        owner: Whose box it is: what `triptych sandboxes` shows.

    Raises:
        SandboxUnavailable: no box could be had for `ROOM_SECONDS`.
        WorkspaceUnavailableError: every box was lost on the way for as long.
    """
    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type((SandboxUnavailable, WorkspaceUnavailableError)),
        stop=stop_after_delay(ROOM_SECONDS),
        wait=wait_random_exponential(multiplier=0.5, max=10),
        reraise=True,
    ):
        with attempt:
            return await _run_tests(task, archive, patch, settings, owner)
    raise AssertionError("unreachable")


async def _run_tests(task: FixTask, archive: bytes, patch: bytes | None, settings: Settings, owner: str) -> TestRun:
    began = time.monotonic()

    def came_to(outcome: TestOutcome, printed: str, exit_code: int | None = None) -> TestRun:
        return TestRun(
            outcome=outcome,
            patch="" if patch is None else hashlib.sha256(patch).hexdigest(),
            exit_code=exit_code,
            output=printed[-SHOWN_CHARACTERS:],
            seconds=time.monotonic() - began,
        )

    async with Sandbox.create(task.template, folder=settings.sandbox_folder, owner=owner) as box:
        await box.copy_in(archive, ROOT)
        if patch is not None:
            await box.workspace.write_bytes(_PATCH, patch)
            # The archive's own `.git`, which no model has touched.
            applied = await box.run(["git", "apply", "--whitespace=nowarn", _PATCH])
            if applied.exit_code != 0:
                return came_to("not_run", applied.stderr, applied.exit_code)
        scripts: list[tuple[str, TestOutcome]] = [(task.setup, "setup_failed"), (task.test, "failed")]
        done = None
        for script, failed in scripts:
            if not script:
                continue
            try:
                done = await box.run(script, shell=True, timeout_seconds=task.limits.test_seconds)
            except WorkspaceTimeoutError as error:
                return came_to("out_of_time", error.stdout + error.stderr)
            except WorkspaceOutputLimitError as error:
                return came_to(failed, error.stdout + error.stderr)
            if done.exit_code != 0:
                return came_to(failed, done.stdout + done.stderr, done.exit_code)
        assert done is not None
        return came_to("passed", done.stdout + done.stderr, done.exit_code)

"""What is kept of a coding task on its way: records as in `triptych.records`."""

from __future__ import annotations

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict

from triptych.records import Record, Spending
from triptych.repositories.records import Applied, PatchSummary, Refused

READ = "read the patch"
"""The step of a task's run that comes to its `Patch`."""


class Source(Record):
    """A repository at one commit, as a trusted step packed it."""

    repository: str
    """A path of the machine that the batch ran on, or a URL."""
    base: str
    """The ref that was asked for."""
    commit: str
    key: str
    """Of the archive in the checkpoint store."""


TestOutcome: TypeAlias = Literal["passed", "failed", "setup_failed", "out_of_time", "not_run"]
"""`out_of_time`: ended after `test_seconds`. `not_run`: the patch does not fit the repository."""


class TestRun(Record):
    """What `setup` and `test` came to in a new box."""

    __test__ = False
    """Not a test of pytest's."""
    outcome: TestOutcome
    patch: str = ""
    """The digest of the patch that was applied first; empty where there was none."""
    exit_code: int | None = None
    output: str = ""
    """The end of what was printed. Untrusted."""
    seconds: float = 0.0


class Worked(Record):
    """What the agent left behind."""

    outcome: Literal["fixed", "gave_up", "failed"]
    """By its own account. `failed`: a limit was reached, or a command ended by itself with an error."""
    summary: str = ""
    """Its words, or the end of what its command printed. Untrusted."""
    files: str | None = None
    """The last workspace snapshot's name; None where it changed nothing."""
    spending: Spending = Spending()


class Patch(Record):
    """What the agent changed, as git says it, by rules that hold for any patch."""

    key: str
    """Of its bytes in the checkpoint store; empty where git could not write it."""
    checked: PatchSummary | Refused


class Approved(Record):
    """What a person said who read the patch, or the policy where nobody did."""

    outcome: Literal["approved", "denied"]
    reason: str = ""


class Application(Record):
    """What became of a patch where its repository is."""

    done: Applied | Refused


FixOutcome: TypeAlias = Literal[
    "applied", "no_patch", "refused", "tests_failed", "denied", "not_applied", "gave_up", "failed"
]


class FixReport(Record):
    """The outcome of one `fix_task` run; a row of the batch's summary."""

    task: str
    flow_run_id: str
    outcome: FixOutcome
    """`applied`: it stands on a branch. `refused`: the rules keep it from being applied. `denied`: a person said no, or
    nobody answered. `not_applied`: it does not fit its repository, as that is now. `gave_up`: the agent says so.
    `failed`: a limit was reached, or the base's `setup` does not work."""
    reason: str = ""
    worked: Worked | None = None
    source: Source
    patch: Patch | None = None
    before: TestRun | None = None
    after: TestRun | None = None
    applied: Applied | None = None
    duration_seconds: float = 0.0
    """From the first execution's start to the end, waiting included."""


class FixRow(BaseModel):
    """What became of one task of a batch."""

    model_config = ConfigDict(frozen=True)

    task: str
    flow_run_id: str
    state: str
    """The flow run's state by its name in Prefect."""
    status: Literal["completed", "failed", "waiting", "running"]
    """`waiting`: suspended for a person. `running`: not at its end, also when not started yet."""
    report: FixReport | None = None
    error: str = ""
    """Why there is no report."""
    conflicts_with: tuple[str, ...] = ()
    """Tasks of the same repository whose patches, on a branch or before a person, could not be merged with this one."""
    earlier: bool = False
    """Whether an earlier batch started this task's run."""


class FixBatchReport(Record):
    """The outcome of one `fix_batch` run."""

    rows: tuple[FixRow, ...]

"""What keeps a patch off a branch, whatever the run that applies it is told; and steps that are done once."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.durable_runs import DurableRuns
from tests.unit.repositories.repository import Repository
from tests.unit.runtime.approval.requests import DEADLINE, request
from triptych.errors import CheckpointMissing, CheckpointTorn, ConfigurationError
from triptych.fixes import FixTask
from triptych.records import ApprovalDecision
from triptych.repositories.patches import inspect
from triptych.repositories.records import Applied, PatchSummary, Refused
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.coding.applying import apply_to_repository
from triptych.runtime.coding.asking import TOOL, arguments_of
from triptych.runtime.coding.once import once
from triptych.runtime.coding.reports import Application, Patch, Source, TestRun
from triptych.runtime.coding.verifying import AFTER


@dataclass(frozen=True)
class Stage:
    """A patch whose tests passed, and the run that it comes from."""

    runs: DurableRuns
    owner: Repository
    source: Source
    patch: Patch
    fix_run: str

    async def apply(self, **task: Any) -> Applied | Refused:
        async def body() -> Application:
            return await apply_to_repository(self.task(**task), self.source, self.patch, self.fix_run)

        return (await self.runs.execute(body)).result.done

    def task(self, **more: Any) -> FixTask:
        told = {"name": "mend", "repository": self.owner.path, "instruction": "Mend it.", "test": "true"}
        return FixTask.model_validate({**told, "approve": False, **more})

    async def decide(self, outcome: str, **about: Any) -> None:
        """Have the ledger hold a decision about this patch, or what `about` makes of it."""
        assert isinstance(self.patch.checked, PatchSummary)
        arguments = arguments_of(self.task(), self.source, self.patch.checked) | about.pop("arguments", {})
        asked = request(flow_run_id=self.fix_run, tool=TOOL, arguments=arguments, **about)
        decided = ApprovalDecision.model_validate(
            {"request_id": asked.id, "fingerprint": "f" * 32, "outcome": outcome, "way": "form", "attempts": 1}
            | {"claimed_name": "Mia", "decided_at": DEADLINE}
        )
        await Ledger(self.runs.store).write_request(asked)
        await Ledger(self.runs.store).write_decision(asked, decided)


async def stage(runs: DurableRuns, folder: Path, *, outcome: str = "passed", tested: bytes | None = None) -> Stage:
    """Make a patch ready; `tested` is the one that its tests ran with, by default itself."""
    owner = Repository(folder / "owner")
    owner.write("README", "one\n")
    commit = owner.commit("first")
    owner.write("README", "two\n")
    content = owner.patch()
    checked = await inspect(content)
    await runs.store.write("steps/patch", content)
    digest = hashlib.sha256(content if tested is None else tested).hexdigest()

    async def tests() -> TestRun:
        return TestRun.model_validate({"outcome": outcome, "patch": digest})

    ran = await runs.execute(lambda: once(AFTER, TestRun, tests))
    source = Source(repository=owner.path, base="main", commit=commit, key="sources/x.tar")
    return Stage(runs, owner, source, Patch(key="steps/patch", checked=checked), str(ran.flow_run_id))


async def test_what_passed_its_tests_is_on_a_branch(runs: DurableRuns, tmp_path: Path) -> None:
    ready = await stage(runs, tmp_path)
    done = await ready.apply()
    assert isinstance(done, Applied)
    assert ready.owner.git("show", f"{done.branch}:README") == "two"
    assert done.branch == f"triptych/mend-{ready.fix_run[:8]}"


@pytest.mark.parametrize("about", [{"outcome": "failed"}, {"tested": b"another patch"}])
async def test_what_did_not_pass_them_is_not(runs: DurableRuns, tmp_path: Path, about: dict[str, Any]) -> None:
    ready = await stage(runs, tmp_path, **about)
    with pytest.raises(ConfigurationError, match="no tests that passed"):
        await ready.apply()
    assert ready.owner.git("branch", "--list", "--format=%(refname:short)") == "main"


async def test_another_patch_than_the_one_that_was_tested_is_not(runs: DurableRuns, tmp_path: Path) -> None:
    ready = await stage(runs, tmp_path)
    await runs.store.write("steps/patch", b"another")
    with pytest.raises(CheckpointTorn):
        await ready.apply()
    await runs.store.remove("steps/patch")
    with pytest.raises(CheckpointMissing):
        await ready.apply()
    assert ready.owner.git("branch", "--list", "--format=%(refname:short)") == "main"


async def test_what_a_person_approved_is(runs: DurableRuns, tmp_path: Path) -> None:
    ready = await stage(runs, tmp_path)
    await ready.decide("approved")
    assert isinstance(await ready.apply(approve=True), Applied)


@pytest.mark.parametrize(
    ("outcome", "about"),
    [
        ("denied", {}),
        ("expired", {}),
        ("approved", {"arguments": {"patch": "0" * 64}}),
        ("approved", {"arguments": {"repository": "/elsewhere"}}),
        ("approved", {"fingerprint": "e" * 32}),
    ],
)
async def test_what_nobody_approved_is_not(
    runs: DurableRuns, tmp_path: Path, outcome: str, about: dict[str, Any]
) -> None:
    ready = await stage(runs, tmp_path)
    with pytest.raises(ConfigurationError, match="no approval"):
        await ready.apply(approve=True)
    await ready.decide(outcome, **about)
    with pytest.raises(ConfigurationError, match="no approval"):
        await ready.apply(approve=True)
    assert ready.owner.git("branch", "--list", "--format=%(refname:short)") == "main"


async def test_a_step_is_done_once_and_one_that_failed_again(runs: DurableRuns) -> None:
    done: list[int] = []

    async def do() -> TestRun:
        done.append(len(done))
        if len(done) == 1:
            raise OSError("the first time")
        return TestRun(outcome="passed", seconds=float(len(done)))

    first = await runs.execute(lambda: once("a step", TestRun, do))
    assert isinstance(first.error, OSError)
    second = await runs.execute(lambda: once("a step", TestRun, do), first.flow_run_id)
    third = await runs.execute(lambda: once("a step", TestRun, do), first.flow_run_id)
    assert done == [0, 1]
    assert second.result == third.result == TestRun(outcome="passed", seconds=2.0)


async def test_a_record_that_cannot_be_read_is_no_miss(runs: DurableRuns) -> None:
    async def do() -> TestRun:
        return TestRun(outcome="passed")

    first = await runs.execute(lambda: once("a step", TestRun, do))
    (key,) = await runs.store.keys(f"steps/{first.flow_run_id}")
    await runs.store.write(key, b"{")
    again = await runs.execute(lambda: once("a step", TestRun, do), first.flow_run_id)
    assert isinstance(again.error, CheckpointTorn)

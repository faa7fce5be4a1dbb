"""A run's files: who gets a workspace that has them, what is done again when its box goes, and what a fork is given."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from pydantic_ai import Agent
from pydantic_ai.capabilities import LocalWorkspace
from pydantic_ai.models.test import TestModel
from pydantic_ai.tools import RunContext

from tests.durable_runs import DurableRuns, calls, durable_agent
from triptych.errors import CheckpointMissing, ConfigurationError, SandboxUnavailable
from triptych.loop.models import Plan
from triptych.records import Checkpoint, StepInputs
from triptych.runtime.copying import copy_snapshots
from triptych.runtime.durability import Durability
from triptych.runtime.history import Step
from triptych.runtime.journal import current_execution
from triptych.runtime.store import CheckpointStore
from triptych.runtime.workspace_files import ATTEMPTS, OpenWorkspace, durable_workspace, with_files
from triptych.sandbox.client import BoxLost
from triptych.sandbox.folder import socket_path
from triptych.sandbox.snapshots import decode, encode
from triptych.sandbox.workspaces import BARE
from triptych.settings import Settings
from triptych.snapshots import HeldContent, Snapshot, SnapshotEntry


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Settings]:
    """A home in which something listens as a broker does; it is never asked."""
    settings = Settings(home=tmp_path / "h")
    path = socket_path(settings.sandbox_folder)
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        yield settings


def test_another_workspace_keeps_its_files_in_its_own_place(tmp_path: Path) -> None:
    options = {"working_dir": str(tmp_path)}
    settings = Settings(workspace=BARE, workspace_options=options)
    assert isinstance(durable_workspace(settings), LocalWorkspace)
    with pytest.raises(ConfigurationError, match="only a box of ours"):
        durable_workspace(settings, base="bases/a.tar")


async def test_outside_a_flow_nothing_would_be_kept(home: Settings) -> None:
    with pytest.raises(ConfigurationError, match="outside a flow"):
        await Agent(TestModel(), capabilities=[durable_workspace(home)]).run("Hello.")


async def test_without_a_broker_nothing_is_paid(runs: DurableRuns, tmp_path: Path) -> None:
    workspace = durable_workspace(Settings(home=tmp_path / "nobody"))

    async def body() -> None:
        agent = durable_agent(runs.model(Plan(final="done")), capabilities=[workspace, Durability()])
        await agent.run("Hello.")

    assert "no broker answers" in str((await runs.execute(body)).error)
    assert runs.asked == []


async def test_an_agent_that_does_nothing_in_its_workspace_needs_no_box(runs: DurableRuns, home: Settings) -> None:
    async def body() -> Any:
        agent = durable_agent(runs.model(Plan(final="done")), capabilities=[durable_workspace(home), Durability()])
        first, second = await agent.run("Hello."), await agent.run("Hello again.")
        assert await second.workspace.working_dir() == "/workspace"
        return first.output

    first = await runs.execute(body)
    assert first.result == "done"
    # And a run that is only read needs no broker's word either.
    assert (await runs.execute(body, first.flow_run_id)).result == "done"
    assert runs.asked == ["request:1", "request:1"]


async def test_two_agent_runs_at_once_cannot_share_the_files(runs: DurableRuns, home: Settings) -> None:
    async def body() -> None:
        agent = durable_agent(runs.model(Plan(final="done")), capabilities=[durable_workspace(home), Durability()])
        await asyncio.gather(agent.run("Hello."), agent.run("Hello."))

    assert "share its workspace's files" in str((await runs.execute(body)).error)


async def test_an_agent_that_a_tool_starts_cannot_have_them(runs: DurableRuns, home: Settings) -> None:
    async def delegate() -> str:
        inner = durable_agent(
            runs.model(Plan(final="inner")), name="inner", capabilities=[durable_workspace(home), Durability()]
        )
        return (await inner.run("Hello.")).output

    async def body() -> None:
        plan = Plan(turns=(calls(("delegate", {})),), final="done")
        await durable_agent(runs.model(plan), delegate, capabilities=[durable_workspace(home), Durability()]).run("Go.")

    assert "share its workspace's files" in str((await runs.execute(body)).error)


async def test_tool_calls_of_one_response_run_one_after_the_other(runs: DurableRuns, home: Settings) -> None:
    seen: list[str] = []

    async def work(name: str) -> str:
        seen.append(f"{name} begins")
        await asyncio.sleep(0.05)
        seen.append(f"{name} ends")
        return name

    async def body(*more: Any) -> None:
        plan = Plan(turns=(calls(("work", {"name": "a"}), ("work", {"name": "b"})),), final="done")
        await durable_agent(runs.model(plan), work, capabilities=[*more, Durability()]).run("Go.")

    await runs.execute(lambda: body(durable_workspace(home)))
    assert seen == ["a begins", "a ends", "b begins", "b ends"]
    # What makes that something else than chance.
    seen.clear()
    await runs.execute(body)
    assert sorted(seen[:2]) == ["a begins", "b begins"]


class FadingHands:
    """A workspace whose box goes away so many times."""

    def __init__(self, deaths: int, *, how: str = "told") -> None:
        self.deaths = deaths
        self.how = how
        self.is_lost = False
        self.done: list[str] = []

    async def work(self) -> str:
        self.done.append("work")
        if self.deaths and self.how != "saving":
            self.deaths -= 1
            if self.how == "broker":
                raise SandboxUnavailable("out of reach")
            self.is_lost = True
            if self.how == "told":
                raise RuntimeError("whatever a tool makes of it")
        return "result"

    async def save(self, name: str) -> str:
        self.done.append("save")
        if self.deaths and self.how == "saving":
            self.deaths -= 1
            raise BoxLost("gone")
        return name

    async def settle(self) -> None:
        self.done.append("settle")
        self.is_lost = False


@pytest.mark.parametrize("how", ["told", "hidden", "broker", "saving"])
@pytest.mark.parametrize("deaths", [0, 1, ATTEMPTS])
async def test_what_was_being_done_when_the_box_went_is_done_again(runs: DurableRuns, how: str, deaths: int) -> None:
    hands = FadingHands(deaths, how=how)

    async def body() -> Any:
        execution = current_execution()
        assert execution is not None
        execution.workspaces["run"] = OpenWorkspace(cast(Any, None), cast(Any, hands))
        return await with_files(execution, "run", "step-1", hands.work, may_repeat=lambda: True)

    outcome = await runs.execute(body)
    if deaths == ATTEMPTS:
        assert isinstance(outcome.error, SandboxUnavailable)
    else:
        assert outcome.result == ("result", "step-1")
    assert hands.done.count("work") == min(deaths + 1, ATTEMPTS)
    assert hands.done.count("settle") == deaths


async def test_what_may_be_done_once_alone_is_not_done_again(runs: DurableRuns) -> None:
    hands = FadingHands(1)

    async def body() -> Any:
        execution = current_execution()
        assert execution is not None
        execution.workspaces["run"] = OpenWorkspace(cast(Any, None), cast(Any, hands))
        return await with_files(execution, "run", "step-1", hands.work, may_repeat=lambda: False)

    assert isinstance((await runs.execute(body)).error, SandboxUnavailable)
    assert hands.done == ["work"]


async def test_the_step_says_which_files_it_left(runs: DurableRuns, home: Settings) -> None:
    """And the next execution's workspace begins with those of the last step that has any."""
    seen: list[str | None] = []

    async def work(context: RunContext[Any]) -> str:
        return await context.workspace.working_dir()

    async def body() -> None:
        execution = current_execution()
        assert execution is not None
        plan = Plan(turns=(calls(("work", {})),), final="done")
        agent = durable_agent(runs.model(plan), work, capabilities=[durable_workspace(home), Durability()])
        if execution.number == 1:
            execution.files = "before-0/0001.1"
        await agent.run("Go.")
        seen.append(execution.files)

    run = await runs.execute(body)
    assert run.error is None
    await runs.execute(body, run.flow_run_id)
    assert seen == ["before-0/0001.1", "before-0/0001.1"]


def step(number: int, files: str | None) -> Step:
    checkpoint = Checkpoint(
        key=f"checkpoints/old/coder-0/{number}.1.json",
        flow_run_id="old",
        agent_run="coder-0",
        sequence=number,
        operation="tool-shell",
        label="shell",
        inputs=StepInputs(previous="", static="", digest=""),
        execution=1,
        started_at=datetime.now(UTC),
        seconds=0.1,
        payload_bytes=2,
        files=files,
    )
    return Step(number, checkpoint, b"{}", b"")


async def test_a_fork_is_given_the_files_of_its_steps_and_what_they_need(tmp_path: Path) -> None:
    store = CheckpointStore(location=str(tmp_path))
    content = "ab" * 32

    def snapshot(name: str, base: str, held: str) -> Snapshot:
        return Snapshot(
            name=name,
            base=base,
            tree="0" * 64,
            entries=(SnapshotEntry(path="a", kind="file", mode=0o644, content=content, size=1),),
            removed=(),
            contents={content: HeldContent(snapshot=held, offset=0, size=1)},
        )

    await store.write("files/old/base.tar", b"an archive")
    await store.write("files/old/first.1", encode(snapshot("first.1", "files/old/base.tar", "first.1"), b"x"))
    await store.write("files/old/second.1", encode(snapshot("second.1", "bases/shared.tar", "first.1"), b""))
    await store.write("files/old/later.1", b"not for the fork")
    await copy_snapshots(store, [step(1, None), step(2, "second.1"), step(3, "second.1")], store, "new")
    assert await store.keys("files/new") == ["files/new/base.tar", "files/new/first.1", "files/new/second.1"]
    first, contents = decode("", await store.read("files/new/first.1") or b"")
    assert (first.base, contents) == ("files/new/base.tar", b"x")
    assert decode("", await store.read("files/new/second.1") or b"")[0].base == "bases/shared.tar"
    await copy_snapshots(store, [], store, "newer")
    with pytest.raises(CheckpointMissing, match=r"files/old/gone\.1"):
        await copy_snapshots(store, [step(1, "gone.1")], store, "new")

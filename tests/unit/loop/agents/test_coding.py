"""The coding agent through the real loop, in a folder of this machine: its tools, their order, its answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic_ai.capabilities import AgentCapability, LocalWorkspace
from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import ModelMessage, ModelRequest, ToolReturnPart
from pydantic_ai.models.test import TestModel

from triptych.errors import BudgetExceeded, ConfigurationError
from triptych.fixes import Fix, FixLimits, FixPlan, FixTask
from triptych.loop.agents import coding
from triptych.loop.limits import WithinLimits
from triptych.loop.models import Plan, ScriptedModel, Turn, check_plan, plan_for_fix
from triptych.records import PlannedCall
from triptych.runtime.agents import build_durable

EDIT = PlannedCall(name="edit_file", arguments={"path": "a.py", "old_text": "x = 1", "new_text": "x = 2"})
TOOLS = ["read_file", "write_file", "edit_file", "list_files", "grep", "shell"]
FIXED = Fix(outcome="fixed", summary="x was 1")


def task(*actions: PlannedCall) -> FixTask:
    plan = FixPlan(actions=actions, fix=FIXED)
    return FixTask(name="t", repository=".", instruction="Make x 2.", test="true", plan=plan)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.py").write_text("x = 1\n")
    return tmp_path


async def run(folder: Path, plan: Plan, *more: AgentCapability[Any]) -> tuple[Fix, dict[str, str]]:
    """Return the answer, and what each call of a tool returned."""
    agent = coding.build_agent(ScriptedModel(plan), capabilities=[LocalWorkspace(str(folder)), *more])
    answer = await agent.run("help", usage_limits=coding.LIMITS.usage_limits())
    return answer.output, returned(answer.all_messages())


def returned(messages: Sequence[ModelMessage]) -> dict[str, str]:
    parts = [part for message in messages if isinstance(message, ModelRequest) for part in message.parts]
    return {part.tool_call_id: str(part.content) for part in parts if isinstance(part, ToolReturnPart)}


async def test_it_looks_edits_runs_and_answers(folder: Path) -> None:
    calls = (
        PlannedCall(name="list_files"),
        PlannedCall(name="read_file", arguments={"path": "a.py"}),
        EDIT,
        PlannedCall(name="grep", arguments={"pattern": "x = "}),
        PlannedCall(name="write_file", arguments={"path": "b.py", "content": "y = 3\n"}),
        PlannedCall(name="shell", arguments={"command": "cat a.py b.py"}),
    )
    answer, said = await run(folder, plan_for_fix(task(*calls)))
    assert answer == FIXED
    assert said["call-1-1"] == "a.py"
    assert "x = 1" in said["call-2-1"]
    assert said["call-4-1"] == "a.py:1:x = 2"
    assert said["call-6-1"].startswith("x = 2\ny = 3\n")
    assert (folder / "a.py").read_text() == "x = 2\n"


async def test_calls_of_one_response_run_one_by_one(folder: Path) -> None:
    """Or the second one would be done first: it does not wait."""
    first = PlannedCall(name="shell", arguments={"command": "sleep 0.3; echo one >>order"})
    second = PlannedCall(name="shell", arguments={"command": "echo two >>order"})
    third = PlannedCall(name="shell", arguments={"command": "cat order"})
    plan = Plan(turns=(Turn(calls=(first, second, third)),), final=FIXED.model_dump())
    _, said = await run(folder, plan)
    assert said["call-1-3"].startswith("one\ntwo\n")


async def test_a_run_without_a_workspace_is_refused() -> None:
    with pytest.raises(UserError, match="needs a workspace"):
        await coding.build_agent(TestModel()).run("help")


async def test_it_offers_the_harness_tools_and_nobody_to_delegate_to(folder: Path) -> None:
    model = TestModel(call_tools=[], custom_output_args=FIXED)
    answer = await coding.build_agent(model, capabilities=[LocalWorkspace(str(folder))]).run("help")
    request = answer.all_messages()[0]
    assert isinstance(request, ModelRequest)
    assert "Never change a test" in (request.instructions or "")
    assert str(folder) in (request.instructions or "")
    assert model.last_model_request_parameters is not None
    offered = model.last_model_request_parameters.function_tools
    assert [tool.name for tool in offered] == TOOLS


async def test_it_is_held_to_its_limits(folder: Path) -> None:
    looks = tuple(PlannedCall(name="list_files") for _ in range(3))
    agent = coding.build_agent(
        ScriptedModel(plan_for_fix(task(*looks))),
        capabilities=[LocalWorkspace(str(folder)), WithinLimits(coding.limits_of(FixLimits(steps=2)))],
    )
    with pytest.raises(BudgetExceeded, match="limit of 2 steps"):
        await agent.run("help", usage_limits=coding.limits_of(FixLimits(steps=2)).usage_limits())


def test_every_step_of_it_can_be_durable() -> None:
    """Durability refuses a toolset without a fixed id, and a tool whose result no checkpoint can hold."""
    assert build_durable(coding.build_agent, TestModel(), coding.LIMITS).name == coding.NAME


def test_a_task_without_a_plan_cannot_be_played() -> None:
    with pytest.raises(ConfigurationError, match="no plan for task t: set TRIPTYCH_MODEL"):
        plan_for_fix(task().model_copy(update={"plan": None}))


def test_a_plan_is_held_against_the_tools_before_a_workspace_is_there() -> None:
    def check(call: PlannedCall) -> None:
        plan = plan_for_fix(task(call))
        check_plan(plan, coding.build_agent(ScriptedModel(plan)))

    check(EDIT)
    with pytest.raises(ConfigurationError, match="calls the tool mend, which the agent does not have"):
        check(PlannedCall(name="mend"))
    with pytest.raises(ConfigurationError, match="violate the tool's schema"):
        check(PlannedCall(name="edit_file", arguments={"new_text": "x = 2"}))

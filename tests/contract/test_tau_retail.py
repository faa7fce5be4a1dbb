"""The public benchmark's recorded results judge our tools: every task, called directly.

Through the real loop, durably: `test_tau_retail_durable.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.components import locate, require
from tests.components.postgres import PostgresUrls
from tests.order_desks import Collections, DeskTemplate, call_tool, deps_for, differences, stored
from triptych.loop.desk import OrderDesk
from triptych.loop.tools.execution import SIDE_EFFECTS
from triptych.loop.tools.retail import retail_toolset

Task = dict[str, Any]


def _tasks() -> dict[str, Task]:
    folder = locate.tau_retail()
    files = sorted(folder.glob("tasks_*.json")) if folder else []
    return {f"{file.stem}-{task['id']}": task for file in files for task in json.loads(file.read_text())}


TASKS = _tasks()
SOME = [name for number, name in enumerate(TASKS) if number % 10 == 0]


@pytest.fixture(scope="session")
def template(tau_retail: Path, tmp_path_factory: pytest.TempPathFactory) -> DeskTemplate:
    return DeskTemplate(tau_retail, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(template: DeskTemplate, tmp_path: Path) -> Iterator[OrderDesk]:
    with OrderDesk(template.copy_to(tmp_path)) as desk:
        yield desk


def parsed(result: str) -> Any:
    try:
        return json.loads(result)
    except ValueError:
        return result


async def play(task: Task, desk: OrderDesk) -> None:
    """Call the task's tools in order; each must answer as recorded."""
    toolset, deps = retail_toolset(), deps_for(desk)
    for number, action in enumerate(task["actions"]):
        result = await call_tool(toolset, deps, action["name"], action["arguments"], call=f"call-{number}")
        assert parsed(result) == parsed(action["result"]), action


async def expected_effects(task: Task) -> list[str]:
    """The tools of the task that did something, in order."""
    toolset = retail_toolset()
    changing = {name for name, tool in toolset.tools.items() if (tool.metadata or {})[SIDE_EFFECTS]}
    return [
        each["name"] for each in task["actions"] if each["name"] in changing and not each["result"].startswith("Error:")
    ]


def test_the_tasks_are_there() -> None:
    folder = require("tau_retail")
    assert {"tasks_dev.json", "tasks_test_000_059.json"} <= {file.name for file in folder.glob("tasks_*.json")}
    assert len(TASKS) >= 80


async def test_the_tools_are_those_of_the_benchmark(tau_retail: Path, desk: OrderDesk) -> None:
    contract = {
        each["function"]["name"]: each["function"] for each in json.loads((tau_retail / "tools.json").read_text())
    }
    toolset = retail_toolset()
    assert list(toolset.tools) == sorted(contract)
    for name, tool in toolset.tools.items():
        definition, wanted = tool.tool_def, contract[name]
        assert definition.description == wanted["description"], name
        given = definition.parameters_json_schema
        assert given["type"] == "object"
        assert given.get("required", []) == wanted["parameters"]["required"], name
        assert given["properties"] == wanted["parameters"]["properties"], name


@pytest.mark.parametrize("name", TASKS)
async def test_every_result_and_every_record_is_as_recorded(name: str, desk: OrderDesk, template: DeskTemplate) -> None:
    task = TASKS[name]
    await play(task, desk)
    assert differences(template.records, stored(desk)) == task["changed_records"]
    assert [effect.tool for effect in desk.effects()] == await expected_effects(task)


@pytest.fixture
def postgres_desk(tau_retail: Path, postgres_url: PostgresUrls) -> Iterator[OrderDesk]:
    with OrderDesk(postgres_url.sync) as desk:
        desk.load(tau_retail)
        yield desk


async def test_some_tasks_on_postgres(tau_retail: Path, postgres_desk: OrderDesk) -> None:
    start = stored(postgres_desk)
    for name in SOME:
        postgres_desk.load(tau_retail, reset=True)
        await play(TASKS[name], postgres_desk)
        assert differences(start, stored(postgres_desk)) == TASKS[name]["changed_records"], name
        assert [effect.tool for effect in postgres_desk.effects()] == await expected_effects(TASKS[name])


async def test_an_altered_record_alters_the_result(tau_retail: Path, tmp_path: Path) -> None:
    task = next(task for task in TASKS.values() if task["actions"][0]["name"] == "cancel_pending_order")
    action = task["actions"][0]
    altered: Collections = {
        each: json.loads((tau_retail / f"{each}.json").read_text()) for each in ("users", "orders", "products")
    }
    payment = altered["orders"][action["arguments"]["order_id"]]["payment_history"][0]
    payment["amount"] = 1234.5
    with OrderDesk(f"sqlite:///{tmp_path / 'altered.sqlite'}") as desk:
        desk.load(altered)
        result = json.loads(await call_tool(retail_toolset(), deps_for(desk), action["name"], action["arguments"]))
    recorded = json.loads(action["result"])
    assert result != recorded
    assert [entry["amount"] for entry in result["payment_history"]] == [1234.5, 1234.5]
    for entry in recorded["payment_history"]:
        entry["amount"] = 1234.5
    assert result == recorded

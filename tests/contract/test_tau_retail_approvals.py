"""The refunds above 500 USD in the public benchmark's tasks, each approved or denied by a person."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.approvers import Approver
from tests.components.prefect_server import PrefectServer
from tests.contract.test_tau_retail import TASKS, Task
from tests.durable_runs import DurableRuns
from tests.order_desks import Collections, DeskTemplate, call_tool, deps_for, differences, stored
from triptych.loop.agents import retail
from triptych.loop.desk import OrderDesk
from triptych.loop.models import plan_for_ticket
from triptych.loop.prompts import ticket_prompt
from triptych.loop.tools.retail import retail_toolset
from triptych.records import Ticket
from triptych.runtime.agents import build_durable, run_durable
from triptych.runtime.approval.ledger import Ledger
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.store import CheckpointStore

pytestmark = pytest.mark.timeout(400)

THRESHOLD = 500.0


def paid_back(action: dict[str, Any]) -> float:
    """What a recorded call paid back, in USD, by the record that it answered with; not by our rules."""
    if action["name"] not in ("cancel_pending_order", "return_delivered_order_items"):
        return 0.0
    if action["result"].startswith("Error:"):
        return 0.0
    order = json.loads(action["result"])
    if action["name"] == "cancel_pending_order":
        return sum(each["amount"] for each in order["payment_history"] if each["transaction_type"] == "refund")
    prices = {each["item_id"]: each["price"] for each in order["items"]}
    return sum(prices[item_id] for item_id in order["return_items"])


def large(task: Task) -> list[int]:
    """Which of a task's actions a person is asked about."""
    return [number for number, action in enumerate(task["actions"]) if paid_back(action) > THRESHOLD]


LARGE = {name: numbers for name, task in TASKS.items() if "_test_" in name and (numbers := large(task))}


@pytest.fixture(scope="module")
def template(tau_retail: Path, tmp_path_factory: pytest.TempPathFactory) -> DeskTemplate:
    return DeskTemplate(tau_retail, tmp_path_factory.mktemp("desk"))


@pytest.fixture
def desk(template: DeskTemplate, tmp_path: Path) -> Iterator[OrderDesk]:
    with OrderDesk(template.copy_to(tmp_path)) as desk:
        yield desk


@pytest.fixture
def runs(tmp_path: Path, prefect_server: PrefectServer) -> DurableRuns:
    (tmp_path / "store").mkdir()
    return DurableRuns(CheckpointStore(location=str(tmp_path / "store")), tmp_path)


def test_there_are_seventeen_of_them_in_twelve_tasks(tau_retail: Path) -> None:
    assert (sum(map(len, LARGE.values())), len(LARGE)) == (17, 12)


async def without(task: Task, left_out: list[int], template: DeskTemplate, folder: Path) -> Collections:
    """The records that change when some of a task's calls are not made; the others by the bare tools."""
    folder.mkdir()
    with OrderDesk(template.copy_to(folder)) as desk:
        for number, action in enumerate(task["actions"]):
            if number not in left_out:
                await call_tool(
                    retail_toolset(), deps_for(desk), action["name"], action["arguments"], call=f"call-{number}"
                )
        return differences(template.records, stored(desk))


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.parametrize("approve", [True, False], ids=["approved", "denied"])
async def test_what_a_person_decides_is_what_happens(
    runs: DurableRuns, desk: OrderDesk, template: DeskTemplate, tmp_path: Path, name: str, *, approve: bool
) -> None:
    task = TASKS[name]
    ticket = Ticket.model_validate(task)
    person = Approver(itertools.repeat({"approve": approve, "name": "Mia"}))
    agent = build_durable(retail.build_agent, runs.model(plan_for_ticket(ticket)), retail.LIMITS)

    async def body() -> None:
        work = run_durable(
            agent,
            ticket_prompt(ticket),
            deps=deps_for(desk),
            limits=retail.LIMITS,
            policy=ApprovalPolicy(threshold_usd=THRESHOLD),
        )
        await person.beside(work)

    run = await runs.execute(body)
    assert run.error is None
    ledger = Ledger(runs.store)
    requests = [request for ids in await ledger.ids() if (request := await ledger.request(*ids)) is not None]
    asked = {_call(request.tool, request.arguments): request.amount_usd for request in requests}
    for number in LARGE[name]:
        action = task["actions"][number]
        assert asked[_call(action["name"], action["arguments"])] == pytest.approx(paid_back(action))
    changed = differences(template.records, stored(desk))
    if approve:
        assert len(requests) == len(LARGE[name])
        assert changed == task["changed_records"]
    else:
        # After a denial the plan may ask for more: for a call that was refused where the first was done.
        left_out = [
            number for number, each in enumerate(task["actions"]) if _call(each["name"], each["arguments"]) in asked
        ]
        assert changed == await without(task, left_out, template, tmp_path / "without")
        assert changed != task["changed_records"]


def _call(tool: str, arguments: dict[str, Any]) -> str:
    return f"{tool} {json.dumps(arguments, sort_keys=True)}"

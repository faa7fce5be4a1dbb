"""The public benchmark's tasks through the real loop, durably: every result and record as recorded.

Each task is handled over one of the two stores, by the seed; `make soak` handles each over both.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from pydantic import SecretStr
from pydantic_ai import capture_run_messages
from pydantic_ai.messages import ModelMessage

from tests.components.prefect_server import PrefectServer
from tests.components.s3 import S3Server
from tests.contract.test_tau_retail import TASKS, Task, parsed
from tests.order_desks import DeskTemplate, deps_for, differences, stored, tool_results
from triptych.loop.agents import retail
from triptych.loop.desk import OrderDesk
from triptych.loop.models import ScriptedModel, plan_for_ticket
from triptych.loop.prompts import ticket_prompt
from triptych.records import Resolution, Ticket
from triptych.runtime.agents import build_durable, run_durable
from triptych.runtime.approval.policy import ApprovalPolicy
from triptych.runtime.results import PLAIN_JSON
from triptych.runtime.store import CheckpointStore

BATCH = 16
"""Tasks a flow run: each in an agent run of its own, on a desk of its own."""
BATCHES = [list(TASKS)[start : start + BATCH] for start in range(0, len(TASKS), BATCH)]
STORES = ("folder_store", "s3_store")
# At collection; the fixture `seed` says the same.
_SEED = int(os.environ.get("TRIPTYCH_SEED", "0"))
SAMPLE = [
    (store, batch)
    for batch in range(len(BATCHES))
    for number, store in enumerate(STORES)
    if (batch + number + _SEED) % 2 == 0 or os.environ.get("TRIPTYCH_SAMPLE") == "all"
]


@pytest.fixture(scope="module")
def template(tau_retail: Path, tmp_path_factory: pytest.TempPathFactory) -> DeskTemplate:
    return DeskTemplate(tau_retail, tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def folder_store(prefect_server: PrefectServer, tmp_path_factory: pytest.TempPathFactory) -> str:
    return _saved("tau-folder", CheckpointStore(location=str(tmp_path_factory.mktemp("store"))))


@pytest.fixture(scope="module")
def s3_store(prefect_server: PrefectServer, s3_server: S3Server) -> str:
    store = CheckpointStore(
        location=f"s3://{s3_server.create_bucket()}/tau",
        endpoint_url=s3_server.endpoint,
        key=s3_server.key,
        secret=SecretStr(s3_server.secret),
        region=s3_server.region,
    )
    return _saved("tau-s3", store)


def _saved(name: str, store: CheckpointStore) -> str:
    store.save(name, overwrite=True)  # pyright: ignore[reportUnusedCoroutine]
    return f"checkpoint-store/{name}"


async def handle(task: Task, template: DeskTemplate, folder: Path) -> None:
    """Handle one task in the current flow; everything must be as recorded."""
    ticket = Ticket.model_validate(task)
    folder.mkdir()
    agent = build_durable(retail.build_agent, ScriptedModel(plan_for_ticket(ticket)), retail.LIMITS)
    with OrderDesk(template.copy_to(folder)) as desk, capture_run_messages() as messages:
        policy = ApprovalPolicy(threshold_usd=1e6)
        outcome = await run_durable(
            agent, ticket_prompt(ticket), deps=deps_for(desk), limits=retail.LIMITS, policy=policy
        )
        changed = differences(template.records, stored(desk))
    _check(task, messages, outcome.output, changed)
    shutil.rmtree(folder)


def _check(task: Task, messages: list[ModelMessage], output: object, changed: dict[str, Any]) -> None:
    recorded = [(action["name"], parsed(action["result"])) for action in task["actions"]]
    assert [(tool, parsed(result)) for tool, result in tool_results(messages)] == recorded
    assert changed == task["changed_records"]
    assert isinstance(output, Resolution)
    for wanted in task["outputs"]:
        assert wanted in output.answer


@pytest.fixture(scope="module")
def store(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(("store", "batch"), SAMPLE, indirect=["store"])
async def test_every_task_comes_out_as_recorded(store: str, batch: int, template: DeskTemplate, tmp_path: Path) -> None:
    handled: list[str] = []

    @flow(
        name="tau-retail",
        persist_result=True,
        result_storage=store,
        result_serializer=PLAIN_JSON,
    )
    async def tau_retail_tasks() -> None:
        for name in BATCHES[batch]:
            await handle(TASKS[name], template, tmp_path / name)
            handled.append(name)

    await tau_retail_tasks()
    assert handled == BATCHES[batch]

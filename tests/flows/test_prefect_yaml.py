"""Every entry of prefect.yaml loads: entrypoint, parameters, schedule, pool, tag, trigger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.exceptions import MissingFlowError
from prefect.flows import Flow, load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema

from triptych.runtime.inbox import DEPLOYMENT
from triptych.runtime.recovery import TAG
from triptych.runtime.server import BRAINS, POOL

PROJECT = Path(__file__).parents[2]
KNOWN = {
    "name",
    "description",
    "entrypoint",
    "tags",
    "parameters",
    "concurrency_limit",
    "pull",
    "work_pool",
    "triggers",
    "schedules",
}
"""What a deployment may say: Prefect passes over a key that is misspelt."""


def deployments(text: str | None = None) -> list[dict[str, Any]]:
    return yaml.safe_load(text or (PROJECT / "prefect.yaml").read_text())["deployments"]


def check(deployment: dict[str, Any]) -> Flow[..., Any]:
    assert set(deployment) <= KNOWN, set(deployment) - KNOWN
    file, _, name = deployment["entrypoint"].partition(":")
    flow: Flow[..., Any] = load_flow_from_entrypoint(f"{PROJECT / file}:{name}")
    taken = set(parameter_schema(flow.fn).properties)
    given = deployment.get("parameters", {})
    assert set(given) <= taken
    for schedule in deployment.get("schedules", []):
        CronSchedule(cron=schedule["cron"], timezone=schedule.get("timezone"))
        assert set(schedule.get("parameters", {})) <= taken
    for trigger in deployment.get("triggers", []):
        assert set(trigger.get("parameters", {})) <= taken
    assert deployment["work_pool"]["name"] in (POOL, BRAINS)
    assert TAG in deployment["tags"], "without its tag the recovery loop does not see its runs"
    assert deployment["concurrency_limit"]["limit"] >= 1
    return flow


def check_all(text: str) -> None:
    for deployment in deployments(text):
        check(deployment)


@pytest.mark.parametrize("deployment", deployments(), ids=lambda each: each["name"])
def test_a_deployment_loads(deployment: dict[str, Any]) -> None:
    flow = check(deployment)
    assert flow.name == deployment["name"].removesuffix("-in-docker")
    assert flow.persist_result
    assert not flow.retries, "flow retries would count pauses as attempts; recovery counts its own"


def test_the_deployments_that_others_name_are_there() -> None:
    names = {f"{each['name']}/{each['name']}" for each in deployments()}
    assert DEPLOYMENT in names
    by_name = {each["name"]: each for each in deployments()}
    assert by_name["handle-inbox"]["schedules"][0]["cron"]
    assert by_name["handle-ticket"]["triggers"][0]["expect"] == ["triptych.ticket.received"]


@pytest.mark.parametrize(
    ("what", "instead"),
    [
        ("flows/handle_ticket.py:handle_ticket", "flows/handle_ticket.py:handle_tickets"),
        ("flows/handle_inbox.py", "flows/inbox_handler.py"),
        ("again: false", "agin: false"),
        ("*/10 * * * *", "99 * * * *"),
        ("tags: [triptych]", "tags: [other]"),
        ("work_pool:", "workpool:"),
        ("name: triptych\n    # An event", "name: default\n    # An event"),
        ("          ticket:\n", "          tickte:\n"),
    ],
)
def test_a_wrong_entry_is_found(what: str, instead: str) -> None:
    text = (PROJECT / "prefect.yaml").read_text()
    assert what in text
    with pytest.raises((AssertionError, KeyError, ValueError, OSError, MissingFlowError)):
        check_all(text.replace(what, instead, 1))

"""Go on from a step of a run in a new one: what came before is copied as it was given, and nothing of it happens again.

A fork is for asking what else the run could have come to: with another prompt, another model, or the code of today. Its
tools may change nothing, unless that is allowed.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.states import Scheduled

from triptych.errors import ConfigurationError
from triptych.runtime.copying import copy_snapshots, copy_steps
from triptych.runtime.history import Step, read_history, step_called
from triptych.runtime.journal import WITHOUT_EFFECTS
from triptych.runtime.queries import find_run
from triptych.runtime.store import CheckpointStore
from triptych.runtime.telling import FORK_OF

_NOT_YET = timedelta(days=3650)
"""Until its checkpoints are there, a fork must not be started by anybody."""


@dataclass(frozen=True)
class Fork:
    """A run that goes on from a step of another.

    Attributes:
        flow_run_id: The new run's.
        fork_of: The original's.
        copied: How many checkpoints it was given.
        effects: The steps of the original from that one on that have taken effect.
    """

    flow_run_id: UUID
    fork_of: UUID
    copied: int
    effects: Sequence[Step]


async def fork(
    store: CheckpointStore,
    original: str,
    at: str,
    *,
    changes: Mapping[str, Any],
    model: str | None = None,
    allow_effects: bool = False,
) -> Fork:
    """Start a run that goes on from a step of another one, which is left as it is.

    Args:
        store: Where the run keeps its checkpoints.
        original: The run, as `find_run` takes it.
        at: The number or name of the first step that is taken anew.
        changes: Parameters of the flow that are to be others, by their dotted path.
        model: Another model for the steps from there on.
        allow_effects: Whether tools that change something may do so.

    Raises:
        ConfigurationError: there is no such run, it has no deployment or no such step, or there is no such parameter.
        CheckpointError: its checkpoints cannot be read.
    """
    async with get_client() as client:
        run = await find_run(client, original)
    if run.deployment_id is None:
        raise ConfigurationError(f"run {run.name} has no deployment, so nothing can start a fork of it")
    steps = await read_history(store, str(run.id))
    first = step_called(steps, at)
    # A tool that has started an agent is entered again where the fork begins within it.
    given = [step for step in steps[: first.number - 1] if not first.name.startswith(f"{step.name}/")]
    parameters = with_changes(run.parameters, changes)
    variables = dict(run.job_variables or {})
    if model is not None:
        variables["env"] = {**variables.get("env", {}), "TRIPTYCH_MODEL": model}
    async with get_client() as client:
        deployment = await client.read_deployment(run.deployment_id)
        try:
            made = await client.create_flow_run_from_deployment(
                run.deployment_id,
                parameters=parameters,
                state=Scheduled(scheduled_time=cast(Any, datetime.now(UTC) + _NOT_YET), name="Forking"),
                name=f"fork of {run.name}",
                tags=[*deployment.tags, f"{FORK_OF}{run.id}", *([] if allow_effects else [WITHOUT_EFFECTS])],
                job_variables=variables,
            )
        except PrefectHTTPStatusError as error:
            if error.response.status_code not in (409, 422):
                raise
            # The schema of the flow's parameters.
            said = error.response.json().get("detail", error.response.text)
            raise ConfigurationError(f"the fork's parameters do not fit the flow: {said}") from None
        try:
            await copy_steps(store, given, store, str(made.id), before=first)
            await copy_snapshots(store, given, store, str(made.id))
            await client.set_flow_run_state(made.id, Scheduled(), force=True)
        except BaseException:
            with contextlib.suppress(Exception):
                await client.delete_flow_run(made.id)
            raise
    effects = [step for step in steps if step.number >= first.number and step.took_effect]
    return Fork(made.id, run.id, len(given), effects)


def with_changes(parameters: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a run's parameters, some of them changed.

    Args:
        parameters: As they were.
        changes: New values by dotted path, like `ticket.instruction`.

    Raises:
        ConfigurationError: a path leads nowhere.
    """
    changed: dict[str, Any] = copy.deepcopy(dict(parameters))
    for path, value in changes.items():
        *above, last = path.split(".")
        place: Any = changed
        for name in above:
            place = cast("dict[str, Any]", place).get(name) if isinstance(place, dict) else None
        if not isinstance(place, dict) or last not in place:
            raise ConfigurationError(f"the run has no parameter {path!r}; it has {', '.join(_paths(changed))}")
        place[last] = value
    return changed


def _paths(value: Mapping[str, Any], above: str = "") -> list[str]:
    found: list[str] = []
    for name, item in value.items():
        below = _paths(cast("dict[str, Any]", item), f"{above}{name}.") if isinstance(item, dict) else []
        found += below or [f"{above}{name}"]
    return found

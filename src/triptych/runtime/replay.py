"""Play a run against the code of today, offline: on a Prefect server of its own, where nothing may happen anew.

The record (`Bundle`) is written by a process that can reach the run; the play is another process, which cannot.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from pydantic import BaseModel, ConfigDict

from triptych.errors import ConfigurationError
from triptych.runtime.approval.policy import ApprovalPolicy, load_policy
from triptych.runtime.budget import ended_by_budget
from triptych.runtime.checkpoints import run_prefix
from triptych.runtime.history import Step, read_history
from triptych.runtime.queries import find_run
from triptych.runtime.stack import environment, start_server, stop
from triptych.runtime.store import CheckpointStore
from triptych.settings import Settings


class Bundle(BaseModel):
    """What a play needs of a run."""

    model_config = ConfigDict(frozen=True)

    flow_run_id: str
    entrypoint: str
    parameters: dict[str, Any]
    policy: dict[str, Any]
    """The fields of the approval policy in force."""


class Replay(BaseModel):
    """How far the code of today goes the way of a recorded run."""

    model_config = ConfigDict(frozen=True)

    flow_run_id: str
    outcome: Literal["same", "diverges", "unfinished"]
    """`unfinished`: the same as far as the record goes, and the run had not come to its end. Where its budget ended it,
    it is the same: what it did not take is not held against it."""
    recorded: int
    """Steps of the run."""
    replayed: int
    """Steps that were read from the record before the play ended."""
    at: str = ""
    """The step at which it diverges, or which would be taken next."""
    why: str = ""
    """What differs."""


class Played(BaseModel):
    """What the play itself says."""

    model_config = ConfigDict(frozen=True)

    outcome: Literal["same", "diverges", "unfinished"]
    names: tuple[str, ...]
    """The steps that were read from the record."""
    at: str = ""
    why: str = ""


async def replay(store: CheckpointStore, wanted: str, project: Path, settings: Settings) -> Replay:
    """Play a run against the code of a project. Nothing is asked of a model, and no tool runs.

    Args:
        store: Where the run keeps its checkpoints.
        wanted: The run that is played, as `find_run` takes it; left as it is.
        project: Whose code plays it.
        settings: Those of the play.

    Raises:
        ConfigurationError: there is no such run, it has no deployment, or its flow cannot be loaded or played.
        CheckpointError: its checkpoints cannot be read.
    """
    async with get_client() as client:
        run = await find_run(client, wanted)
    with tempfile.TemporaryDirectory(prefix="triptych-replay-") as name:
        folder = Path(name)
        steps = await record(store, run, folder, settings)
        env = cast("dict[str, str]", (run.job_variables or {}).get("env", {}))
        played = play(folder, project, settings, {**os.environ, **env})
    played = judged(played, run, steps)
    return Replay(
        flow_run_id=str(run.id),
        outcome=played.outcome,
        recorded=len(steps),
        replayed=len(played.names),
        at=played.at,
        why=played.why,
    )


def judged(played: Played, run: FlowRun, steps: Sequence[Step]) -> Played:
    """Return what a play means, seeing what the run came to."""
    # What an agent does that a tool has started stands in the tool's own result, and is not gone through again.
    left = [
        step.checkpoint.label
        for step in steps
        if step.name not in played.names and not any(step.name.startswith(f"{name}/") for name in played.names)
    ]
    if played.outcome == "same" and left:
        return Played(outcome="diverges", names=played.names, at=left[0], why="it ends without this step")
    if played.outcome == "unfinished" and run.state is not None and run.state.is_completed():
        why = "it takes this step, which the run did not take"
        return Played(outcome="diverges", names=played.names, at=played.at, why=why)
    if played.outcome == "unfinished" and run.state is not None and ended_by_budget(run.state.message):
        return Played(outcome="same", names=played.names)
    return played


async def record(store: CheckpointStore, run: FlowRun, folder: Path, settings: Settings) -> list[Step]:
    """Write down what a play needs of a run, into an empty folder.

    Args:
        store: Where the run keeps its checkpoints.
        run: What is recorded.
        folder: Gets `bundle.json`, and the run's objects below `record`.
        settings: Name the approval policy.

    Returns:
        The run's steps.

    Raises:
        ConfigurationError: the run has no deployment.
        CheckpointError: its checkpoints cannot be read.
    """
    if run.deployment_id is None:
        raise ConfigurationError(f"run {run.name} has no deployment, so its flow is not known")
    steps = await read_history(store, str(run.id))
    (folder / "record").mkdir()
    copy = CheckpointStore(location=str(folder / "record"))
    for prefix in (run_prefix(str(run.id)), f"executions/{run.id}", f"approvals/{run.id}"):
        for key in await store.keys(prefix):
            await copy.write(key, await store.read(key) or b"")
    async with get_client() as client:
        deployment = await client.read_deployment(run.deployment_id)
    bundle = Bundle(
        flow_run_id=str(run.id),
        entrypoint=deployment.entrypoint or "",
        parameters=run.parameters,
        policy=(await load_policy(settings)).model_dump(mode="json", include=set(ApprovalPolicy.model_fields)),
    )
    (folder / "bundle.json").write_text(bundle.model_dump_json(indent=1), encoding="utf-8")
    return steps


def play(folder: Path, project: Path, settings: Settings, env: Mapping[str, str]) -> Played:
    """Play what a folder holds, on a Prefect server of its own.

    Args:
        folder: As `record` left it.
        project: Whose code plays it.
        settings: Those of the play; what is started is kept in the folder.
        env: The play's environment, but for where its server is.

    Raises:
        ConfigurationError: it cannot be played.
    """
    of_its_own = settings.model_copy(update={"home": folder / "home"})
    # Nothing of the server that the run is on: no database of its, no password.
    env = {name: value for name, value in env.items() if not name.startswith("PREFECT_")}
    stack = start_server(of_its_own, folder, env)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "triptych.runtime.play", str(folder), str(project)],
            env={**env, **environment(stack.api_url, stack.prefect_home), "TRIPTYCH_HOME": str(settings.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        stop(of_its_own)
    result = folder / "played.json"
    if not result.is_file():
        raise ConfigurationError(f"the run could not be played; the play ended with:\n{done.stdout.strip()[-2000:]}")
    return Played.model_validate_json(result.read_text(encoding="utf-8"))

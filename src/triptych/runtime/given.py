"""What a fork was given must be what it goes through: otherwise it would do again what came before."""

from __future__ import annotations

from triptych.errors import CheckpointIncompatible
from triptych.runtime.checkpoints import GIVEN, run_prefix, step_and_execution
from triptych.runtime.journal import AgentRun, Execution


def require_all_read(execution: Execution, run: AgentRun, step: str, label: str) -> None:
    """Let a fork take a step of its own only where it has come through the steps before, which it was given.

    Where an agent has another name, say, its steps have other names, and none of the given ones would be found.

    Args:
        execution: The fork's.
        run: The agent run that would take the step.
        step: Its name.
        label: What it is called in the UI.

    Raises:
        CheckpointIncompatible: some of them were passed by; nothing was done.
    """
    prefix = f"{run_prefix(execution.flow_run_id)}/"
    for given, key in (execution.goes_on_from or {}).items():
        if step_and_execution(key)[1] != GIVEN or given in execution.read:
            continue
        path, _, name = given.removeprefix(prefix).rpartition("/")
        # Below a tool's step lie those of the agents that it starts; they are read when it is entered again, if it is.
        is_passed_by = (
            _sequence(name) < _sequence(step.rpartition("/")[2])
            if path == run.path
            else "/" not in path and path not in execution.begun
        )
        if is_passed_by:
            raise CheckpointIncompatible(
                f"the fork was given the step {path}/{name}, and would go on with {label!r} without it: the flow does "
                "not go the way of the original. Nothing was executed again",
                step=label,
                change=f"{path}/{name} was passed by",
            )


def _sequence(name: str) -> int:
    return int(name.partition("-")[0])

"""Run a project's flow in this process, by path."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from prefect.flows import Flow, load_flow_from_entrypoint

from triptych.errors import ConfigurationError


def run_flow_here(project: Path, entrypoint: str, **parameters: Any) -> Any:
    """Run a flow of the project as a flow run of its own, and return its result.

    Raises:
        ConfigurationError: the project has no such flow.
        Exception: what the flow failed with.
    """
    file, _, name = entrypoint.partition(":")
    if not (project / file).is_file():
        raise ConfigurationError(f"{project} has no {file}")
    flow: Flow[..., Any] = load_flow_from_entrypoint(f"{project / file}:{name}")
    result = flow(**parameters)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result

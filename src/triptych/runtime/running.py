"""Run a project's flow in this process, by path."""

from __future__ import annotations

import asyncio
import logging
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
    # Prefect has put its console there by now, since the flow's file has imported it.
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_no_end)
    result = flow(**parameters)
    return asyncio.run(result) if asyncio.iscoroutine(result) else result


def _is_no_end(record: logging.LogRecord) -> bool:
    """Keep from the terminal what Prefect says of a failure, traceback and all: the caller gets the error itself.

    On the run's page it stands as ever.
    """
    return record.name != "prefect.flow_runs" or record.levelno < logging.WARNING

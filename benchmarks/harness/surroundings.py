"""What arms inherit of the environment in which the benchmark is begun: nothing that sets them up otherwise."""

from __future__ import annotations

import os
from collections.abc import Mapping

_SETTINGS = ("PREFECT", "TRIPTYCH_", "OPENAI_", "LANGCHAIN_", "LANGSMITH_", "DBOS_")
"""How the names of variables begin by which what arms are made of is set up."""
_KEY = "_API_KEY"
"""How those end that hold a key: no arm can spend money by accident."""
_KEPT = frozenset({"TRIPTYCH_DEBUG"})
"""What sets up no arm: whether the command shows where an error happened."""


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without its user's settings and keys, of Prefect, Triptych and the other architectures.

    Where Docker is (`DOCKER_HOST`) stays.

    Args:
        environment: The user's.
    """
    return {
        name: value
        for name, value in environment.items()
        if name in _KEPT or not (name.startswith(_SETTINGS) or name.endswith(_KEY))
    }


def forget_settings() -> None:
    """Take them from this process, and thereby from all that it starts."""
    for name in os.environ.keys() - without_settings(os.environ).keys():
        del os.environ[name]

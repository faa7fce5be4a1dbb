"""Fixtures for the components that a test only has to find."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.components import require


@pytest.fixture(scope="session")
def docker_engine() -> Path:
    """The docker client of an engine that answers."""
    return require("docker")


@pytest.fixture(scope="session")
def browser() -> Path:
    """A Chromium's executable."""
    return require("browser")


@pytest.fixture(scope="session")
def tau_retail() -> Path:
    """The folder of the recorded retail tasks: `tools.json`, `orders.json`, `tasks_*.json` and others."""
    return require("tau_retail")

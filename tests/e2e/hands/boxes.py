"""Boxes for the tests, and programs that a model might write for them."""

from __future__ import annotations

import json
import subprocess
import textwrap
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.components.sandbox import KIND, Broker
from triptych.sandbox.box import Sandbox

Tried = Callable[[str], None]


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Tried:
    """Says what was tried; it is printed when the tests have ended."""
    return lambda what: record_property("tried", what)


@asynccontextmanager
async def box(broker: Broker, *, kind: str = KIND, owner: str = "tests") -> AsyncGenerator[Sandbox]:
    async with Sandbox.create(kind, folder=broker.folder, owner=owner) as made:
        yield made


async def report(box: Sandbox, program: str, *arguments: str, timeout_seconds: float = 60.0) -> Any:
    """Run a Python program in a box that prints JSON, and return that."""
    command = ["python3", "-c", textwrap.dedent(program), *arguments]
    done = await box.run(command, timeout_seconds=timeout_seconds)
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)


def docker(*arguments: str) -> list[str]:
    """Return the lines that a docker command prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True, timeout=60)
    return done.stdout.splitlines()


def everything_of_docker() -> dict[str, list[str]]:
    """Return what there is: containers, networks, volumes."""
    return {
        "containers": sorted(docker("ps", "--all", "--quiet", "--no-trunc")),
        "networks": sorted(docker("network", "ls", "--quiet", "--no-trunc")),
        "volumes": sorted(docker("volume", "ls", "--quiet")),
    }


def containers_of(broker: Broker) -> list[str]:
    """Return a broker's containers, running or not."""
    return docker("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label=triptych.hands={identity_of(broker)}")


def identity_of(broker: Broker) -> str:
    return (broker.folder / "identity").read_text()


def inspect(container: str) -> dict[str, Any]:
    return json.loads("\n".join(docker("inspect", container)))[0]

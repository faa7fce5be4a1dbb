"""A broker over a real Docker Engine, and an image for its boxes."""

from __future__ import annotations

import fcntl
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.components import require
from tests.components.locate import CHECKOUT
from tests.components.processes import stop_tree
from tests.e2e.stack import poll
from triptych.sandbox.folder import socket_path, templates_path
from triptych.sandbox.policy import Template, save

KIND = "coding-agent-python"
IMAGE = "triptych-hands"
BRAIN_IMAGE = "triptych-brain"
CANARY = f"CANARY-{secrets.token_hex(16)}"
"""Stands for the secrets of this machine: a broker has it in its environment and in its folder."""


@contextmanager
def docker_to_itself() -> Generator[None]:
    """Wait until no other process of the test run uses Docker: there are tests that compare all there is of it."""
    with (Path(tempfile.gettempdir()) / "triptych-tests-docker.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="module")
def docker_alone() -> Iterator[None]:
    """Nobody else uses Docker during the tests of a file. Its first one may have to wait for several other files."""
    with docker_to_itself():
        yield


@pytest.fixture(scope="session")
def hands_image(docker_engine: Path) -> str:
    """The image that `deployments/hands` builds."""
    build(docker_engine, IMAGE, CHECKOUT / "deployments" / "hands")
    return IMAGE


@pytest.fixture(scope="session")
def brain_image(docker_engine: Path) -> str:
    """The image that `deployments/brain` builds of this checkout."""
    build(docker_engine, BRAIN_IMAGE, CHECKOUT, "--file", str(CHECKOUT / "deployments" / "brain" / "Dockerfile"))
    return BRAIN_IMAGE


def build(docker: Path, image: str, folder: Path, *options: str) -> None:
    """Build an image, on the base that `TRIPTYCH_IMAGE_BASE` names where one is named."""
    base = os.environ.get("TRIPTYCH_IMAGE_BASE")
    more = ["--build-arg", f"BASE={base}"] if base else []
    command = [str(docker), "build", "--quiet", "--tag", image, *more, *options, str(folder)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr


@pytest.fixture(scope="session")
def template(hands_image: str) -> Template:
    """A small box."""
    return Template(image=hands_image, memory_mib=256, disk_mib=128, tmp_mib=16, pids=64, boxes=20)


class Broker:
    """A broker's process.

    Args:
        folder: Its folder, on a path short enough for a socket.
        env: More of its environment.
        prefix: A command that runs it.
    """

    def __init__(self, folder: Path, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()) -> None:
        self.folder = folder
        self._env = env or {}
        self._prefix = prefix
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return socket_path(self.folder)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "broker.log").open("ab") as log:
            command = [*self._prefix, sys.executable, "-m", "triptych.sandbox.serving", str(self.folder)]
            env = {**os.environ, "CREDENTIAL": CANARY, **self._env}
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        poll("the broker", self._answers)

    def kill(self) -> None:
        """End it so that it can clear nothing away."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        """End it as a supervisor does."""
        if self.process is not None and self.process.poll() is None:
            stop_tree(self.process)

    def put_in_force(self, templates: Mapping[str, Template]) -> None:
        save(templates_path(self.folder), templates)

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, (self.folder / "broker.log").read_text()
        # httpx leaves a socket open that could not be connected.
        with socket.socket(socket.AF_UNIX) as caller:
            return caller.connect_ex(str(self.socket)) == 0


@contextmanager
def running_broker(
    templates: Mapping[str, Template], *, env: Mapping[str, str] | None = None, prefix: Sequence[str] = ()
) -> Generator[Broker]:
    """Run a broker of the test's own."""
    require("docker")
    with tempfile.TemporaryDirectory(prefix="broker-") as folder:
        broker = Broker(Path(folder), env, prefix)
        broker.put_in_force(templates)
        try:
            (broker.folder / "credential").write_text(CANARY)
            broker.start()
            yield broker
        finally:
            broker.stop()


@pytest.fixture(scope="module")
def broker(docker_alone: None, template: Template) -> Iterator[Broker]:
    """A broker that a module's tests share."""
    with running_broker({KIND: template}) as running:
        yield running

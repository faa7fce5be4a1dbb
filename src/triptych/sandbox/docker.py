"""What is asked of Docker by plain HTTP, without the broker's packages: before there is a broker, and after it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Generator, Mapping
from contextlib import contextmanager

import httpx

_DEFAULT = "unix:///var/run/docker.sock"
_SECONDS = 30.0


def docker_lacks() -> str | None:
    """Return why no Docker Engine can be used, and how to mend it; None where one answers."""
    try:
        with _engine() as engine:
            engine.get("/_ping").raise_for_status()
    except httpx.HTTPError as error:
        return f"no Docker Engine answers at {_address()} ({error}): install one and start it"
    return None


def image_lacks(image: str, how_to_build: str) -> str | None:
    """Return why no container of an image can be made, and how to mend it; None where one can be."""
    try:
        with _engine() as engine:
            if engine.get(f"/images/{image}/json").is_success:
                return None
    except httpx.HTTPError:
        return docker_lacks()
    return f"there is no image {image}: {how_to_build}"


def containers() -> set[str]:
    """Return the ids of all containers that Docker has, whoever made them, whether or not they run.

    Raises:
        httpx.HTTPError: Docker does not answer.
    """
    with _engine() as engine:
        found = engine.get("/containers/json", params={"all": "true"}).raise_for_status().json()
    return {each["Id"] for each in found}


def remove_containers(labels: Mapping[str, str]) -> int:
    """End and remove the containers that carry one of these labels, and return how many; none where Docker is away."""
    removed = 0
    with contextlib.suppress(httpx.HTTPError), _engine() as engine:
        for name, value in labels.items():
            filters = json.dumps({"label": [f"{name}={value}"]})
            for found in engine.get("/containers/json", params={"all": "true", "filters": filters}).json():
                engine.delete(f"/containers/{found['Id']}", params={"force": "true", "v": "true"})
                removed += 1
    return removed


def kill_container(container: str) -> None:
    """Have a container die at once, as it does where memory runs out or its machine goes.

    Raises:
        httpx.HTTPError: it is gone already, or Docker does not answer.
    """
    with _engine() as engine:
        engine.post(f"/containers/{container}/kill").raise_for_status()


def listens(path: str) -> bool:
    """Whether a process listens at a unix socket."""
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(path) == 0


def _address() -> str:
    return os.environ.get("DOCKER_HOST") or _DEFAULT


@contextmanager
def _engine() -> Generator[httpx.Client]:
    kind, _, place = _address().partition("://")
    if kind == "unix" and not listens(place):
        # httpx would leave a socket open.
        raise httpx.ConnectError("nobody listens there")
    transport = httpx.HTTPTransport(uds=place) if kind == "unix" else None
    base = "http://docker" if kind == "unix" else f"http://{place}"
    with httpx.Client(base_url=base, transport=transport, trust_env=False, timeout=_SECONDS) as client:
        yield client

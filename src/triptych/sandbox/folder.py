"""What a broker keeps in its folder, and whether one can be, and is, there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
from pathlib import Path

MAX_PATH_BYTES = 107
"""Of a socket, on Linux."""
_DOCKER = "unix:///var/run/docker.sock"


def socket_path(folder: Path) -> Path:
    """Return where a broker listens. What holds the socket holds nothing else: a brain's container sees it."""
    return folder / "socket" / "broker.sock"


def templates_path(folder: Path) -> Path:
    """Return the file of the templates in force; see `policy.load`."""
    return folder / "templates.json"


def identity(folder: Path) -> str:
    """Return the name under which a broker's containers are known, the same each time it is started."""
    path = folder / "identity"
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(secrets.token_hex(16))
    return path.read_text()


def answers(folder: Path) -> bool:
    """Whether a broker listens."""
    return _listens(socket_path(folder))


def broker_lacks(folder: Path) -> str | None:
    """Return what a broker in this folder would lack, and how to get it; None where it lacks nothing."""
    if len(os.fsencode(socket_path(folder))) > MAX_PATH_BYTES:
        return f"{socket_path(folder)} is too long for a socket: name a shorter TRIPTYCH_HOME"
    if importlib.util.find_spec("aiodocker") is None:
        return "its packages are not installed: pip install 'triptych[sandbox]'"
    docker = os.environ.get("DOCKER_HOST", _DOCKER)
    if docker.startswith("unix://") and not _listens(Path(docker.removeprefix("unix://"))):
        return f"no Docker Engine answers at {docker}: install one and start it"
    return None


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as caller:
        return caller.connect_ex(str(path)) == 0

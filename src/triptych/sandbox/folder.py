"""What a broker keeps in its folder, and whether one can be, and is, there."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
from pathlib import Path

from triptych.sandbox.docker import docker_lacks, listens

MAX_PATH_BYTES = 107
"""Of a socket, on Linux."""


def socket_path(folder: Path) -> Path:
    """Return where a broker listens to processes of this machine; for a brain in its container, to that brain."""
    return folder / "socket" / "broker.sock"


def brains_socket_path(folder: Path) -> Path:
    """Return where a broker listens to brains; a brain's container sees it, and it alone, at `socket_path`."""
    return folder / "brains" / "broker.sock"


def forwards_path(folder: Path) -> Path:
    """Return the folder of the sockets that lead to this machine's own services; see `forwards`."""
    # Short, so that the longest of them fits wherever the broker's own socket does.
    return folder / "ports"


def templates_path(folder: Path) -> Path:
    """Return the file of the templates in force; see `policy.load`."""
    return folder / "templates.json"


def egress_path(folder: Path) -> Path:
    """Return the folder of the boxes' sockets to the proxy, and of the proxy's own certificate authority."""
    return folder / "egress"


def secrets_path(folder: Path) -> Path:
    """Return the folder of the credentials that the proxy sets; see `policy.Egress`."""
    return folder / "secrets"


def identity(folder: Path) -> str:
    """Return the name under which a broker's containers are known, the same each time it is started."""
    path = folder / "identity"
    with contextlib.suppress(FileExistsError), path.open("x") as file:
        file.write(secrets.token_hex(16))
    return path.read_text()


def answers(folder: Path) -> bool:
    """Whether a broker listens."""
    return listens(str(socket_path(folder)))


def broker_lacks(folder: Path) -> str | None:
    """Return what a broker in this folder would lack, and how to get it; None where it lacks nothing."""
    if len(os.fsencode(socket_path(folder))) > MAX_PATH_BYTES:
        return f"{socket_path(folder)} is too long for a socket: name a shorter TRIPTYCH_HOME"
    if importlib.util.find_spec("aiodocker") is None:
        return "its packages are not installed: pip install 'triptych[sandbox]'"
    return docker_lacks()

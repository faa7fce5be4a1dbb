"""What a broker keeps in its folder."""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path


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

"""Where each component is on this machine, or None. Finding has no effect."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def docker() -> Path | None:
    """The docker client, when a daemon answers it."""
    client = _executable("docker")
    if client is None:
        return None
    answer = subprocess.run(
        [client, "version", "--format", "{{.Server.Version}}"], capture_output=True, timeout=30, check=False
    )
    return client if answer.returncode == 0 else None


def mitmdump() -> Path | None:
    """mitmproxy's program, which has an environment of its own."""
    return _executable(os.environ.get("TRIPTYCH_PROXY_COMMAND", "mitmdump"))


def rclone() -> Path | None:
    """The rclone that was installed beside this Python, or the machine's."""
    beside = Path(sys.executable).with_name("rclone")
    return beside if beside.exists() else _executable("rclone")


def postgres() -> Path | None:
    """The folder of the server's programs; Debian keeps them off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), reverse=True)
    on_path = _executable("initdb")
    return next((folder for folder in folders if (folder / "initdb").exists()), on_path.parent if on_path else None)


def browser() -> Path | None:
    """A Chromium."""
    return _executable("chromium") or _executable("chromium-browser") or _executable("google-chrome")


def bubblewrap() -> Path | None:
    """The program that isolates a command without Docker."""
    return _executable("bwrap")


def rivals() -> Path | None:
    """The Python that has what the architectures benchmark compares, and what draws its report: this one, or none."""
    needed = ("langgraph", "langgraph.checkpoint.sqlite", "langchain_openai", "dbos", "matplotlib", "pyarrow", "jinja2")
    return Path(sys.executable) if all(map(_is_importable, needed)) else None


def tau_retail() -> Path | None:
    """The folder of the recorded retail tasks: from the environment, or else the one beside the checkout."""
    if named := os.environ.get("TRIPTYCH_TAU_RETAIL"):
        folder = Path(named)
        # A wrong name is a mistake to be told of, not a reason to skip.
        if not (folder / "tools.json").is_file():
            raise FileNotFoundError(f"TRIPTYCH_TAU_RETAIL names {folder}, which holds no tools.json")
        return folder
    folder = CHECKOUT.parent / "shared" / "data" / "tau_retail"
    return folder if (folder / "tools.json").is_file() else None


def _executable(name: str) -> Path | None:
    found = shutil.which(name)
    return Path(found) if found else None


def _is_importable(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # of a parent
        return False

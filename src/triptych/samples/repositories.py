"""Git repositories made of plain files, the same commit each time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from triptych.errors import ConfigurationError

_GIT_SECONDS = 60.0
_SOMEBODY = {
    "GIT_AUTHOR_NAME": "Sample",
    "GIT_AUTHOR_EMAIL": "sample@example.invalid",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Sample",
    "GIT_COMMITTER_EMAIL": "sample@example.invalid",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    # Nothing that this machine's user has configured: signatures, line ends, hooks.
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


def make_repository(folder: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files, committed on the branch `main`.

    Args:
        folder: Where; not there yet, or empty.
        files: Content by path.

    Raises:
        ConfigurationError: there is something in the folder, or git cannot do it.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ConfigurationError(f"{folder} is not empty: name a folder for the sample repositories that is new")
    for path, content in files.items():
        at = folder / path
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_bytes(content)
    _git(folder, "init", "--quiet", "--initial-branch=main", "--template=")
    _git(folder, "add", "--all", "--force")
    _git(folder, "commit", "--quiet", "--message=As it was found")


def _git(folder: Path, *arguments: str) -> None:
    # What a caller's git was told about another repository does not count here.
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-c", "core.autocrlf=false", *arguments],
            cwd=folder,
            env={**env, **_SOMEBODY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigurationError(f"git cannot be run in {folder}: {error}") from error
    if done.returncode != 0:
        raise ConfigurationError(f"git {arguments[0]} failed in {folder}: {done.stderr.strip()}")

"""The Docker work pool of brains: runs whose loop has a container of its own, hardened beyond a deployment's reach.

What a container may is written into the pool's template as it is, and its worker (`brain_worker`) takes nothing but
that. The image's entrypoint believes nothing of the container's environment but the run's id, and takes everything else
from the files that `write_environment` and the operator wrote.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolUpdate

from triptych.errors import ConfigurationError
from triptych.runtime.server import BRAINS, HOW_TO_BUILD
from triptych.runtime.vitals import HEARTBEAT_SECONDS
from triptych.sandbox.docker import image_lacks
from triptych.sandbox.folder import brains_socket_path, forwards_path, identity, socket_path
from triptych.sandbox.labels import BRAIN
from triptych.settings import Settings

GIVEN = Path("/run/triptych")
"""Where a container finds its forwarded ports and its environment; see `deployments/brain/entrypoint.sh`."""
_TOLD = ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "PREFECT_API_KEY", "PREFECT_FLOWS_HEARTBEAT_FREQUENCY")
"""Prefect's settings that a brain needs as the services have them."""
_NOT_TOLD = ("STORE__", "BRAIN__", "PROJECT", "HOME")
"""Our own that are no business of a brain's. The store's come from its block."""


async def put_in_force(settings: Settings) -> dict[str, Any]:
    """Make the pool's containers what these settings say, let workers take runs from it, and return its template.

    Raises:
        ConfigurationError: there is no Docker, no such image, or no sandbox in this home.
    """
    lacking = image_lacks(settings.brain.image, HOW_TO_BUILD)
    if lacking or not settings.sandbox_folder.is_dir():
        raise ConfigurationError(f"there can be no brains in containers: {lacking or 'no sandbox is up here'}")
    folders = [Path(each).absolute() for each in settings.brain.folders] + _own_folders(settings)
    for folder in folders:
        folder.mkdir(parents=True, exist_ok=True)
    write_environment(settings, os.environ)
    hardened = template(settings, folders)
    async with get_client() as client:
        await client.update_work_pool(BRAINS, WorkPoolUpdate(base_job_template=hardened, is_paused=False))
    return hardened


def template(settings: Settings, folders: list[Path]) -> dict[str, Any]:
    """Return the base job template: a job configuration that is final, and no variables.

    Args:
        settings: `brain` is the container's, `home` holds what it is given.
        folders: What it reads and writes, at the same place.
    """
    brain = settings.brain
    # A folder of the host belongs to its owner, and a brain has no right to pass that by.
    owner = settings.folder.stat()
    read_only = {
        brains_socket_path(settings.sandbox_folder).parent: socket_path(settings.sandbox_folder).parent,
        forwards_path(settings.sandbox_folder): GIVEN / "forwards",
        settings.brain_folder: GIVEN / "brain",
    }
    return {
        "job_configuration": {
            "command": "prefect flow-run execute",
            "env": {},
            "labels": {BRAIN: identity(settings.sandbox_folder)},
            "name": None,
            "image": brain.image,
            "image_pull_policy": "Never",
            "registry_credentials": None,
            "networks": [],
            "network_mode": brain.network,
            "auto_remove": True,
            "volumes": [
                *(f"{here}:{there}:ro" for here, there in read_only.items()),
                *(f"{folder}:{folder}" for folder in folders),
            ],
            "stream_output": True,
            "mem_limit": f"{brain.memory_mib}m",
            "memswap_limit": f"{brain.memory_mib}m",
            "privileged": False,
            "container_create_kwargs": {
                "entrypoint": ["/usr/local/bin/brain"],
                "user": f"{owner.st_uid}:{owner.st_gid}",
                "cap_drop": ["ALL"],
                "security_opt": ["no-new-privileges"],
                "read_only": True,
                "tmpfs": {"/tmp": "size=256m,mode=1777,nosuid,nodev"},
                "nano_cpus": int(brain.cpus * 1e9),
                "pids_limit": brain.pids,
                "ipc_mode": "private",
                "cgroupns": "private",
                # Ends what a command of the loop left behind, and hands signals on.
                "init": True,
                "log_config": {"type": "json-file", "config": {"max-size": "10m", "max-file": "1"}},
            },
        },
        "variables": {"type": "object", "properties": {}},
    }


def write_environment(settings: Settings, environment: Mapping[str, str]) -> None:
    """Write down what a brain's process has in its environment, a file a variable, in place of what stood there.

    Args:
        settings: `home` holds the folder.
        environment: Of the services.
    """
    folder = settings.brain_folder / "settings"
    for each in (folder, settings.brain_folder / "secrets"):
        each.mkdir(parents=True, exist_ok=True)
    settings.brain_folder.chmod(0o700)
    told = {name: environment[name] for name in _TOLD if name in environment}
    for name, value in environment.items():
        if name.startswith("TRIPTYCH_") and not name.removeprefix("TRIPTYCH_").startswith(_NOT_TOLD):
            told[name] = value
    told["TRIPTYCH_HOME"] = str(settings.folder)
    # A run that is never heard is taken for dead; `triptych pool` may be typed where nothing says so.
    told.setdefault("PREFECT_FLOWS_HEARTBEAT_FREQUENCY", str(HEARTBEAT_SECONDS))
    # One by one: a brain may be starting.
    for name, value in told.items():
        written = settings.brain_folder / f"{name}.new"
        written.write_text(value, encoding="utf-8")
        written.replace(folder / name)
    for stale in folder.iterdir():
        if stale.name not in told:
            stale.unlink()


def _own_folders(settings: Settings) -> list[Path]:
    own = [settings.desk_folder] if settings.desk_url is None else []
    location = settings.store.location or str(settings.folder / "checkpoints")
    if not location.startswith("s3://"):
        parts = urlsplit(location)
        own.append(Path(unquote(parts.path) if parts.scheme == "file" else location).expanduser().absolute())
    return own

"""The one place that talks to Docker: it makes containers of hands, and knows which are ours."""

# aiodocker leaves the types of its keyword arguments open.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import aiodocker
import aiohttp

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox import hands
from triptych.sandbox.channel import Stream
from triptych.sandbox.doors import INSIDE, SOCKET, environment
from triptych.sandbox.hands.tunnel import PORT
from triptych.sandbox.labels import HANDS
from triptych.sandbox.policy import ROOT, USER_ID, Template

_MIB = 1024 * 1024


class Container(NamedTuple):
    """A container of ours, as Docker knows it."""

    id: str
    labels: Mapping[str, str]
    is_running: bool
    made: float
    """Unix time."""


class Engine:
    """This machine's Docker.

    Args:
        owner: The broker whose containers these are; nobody else's are ever listed, entered or removed.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._docker = aiodocker.Docker()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._docker.close()

    async def create(self, template: Template, labels: Mapping[str, str], door: Path | None = None) -> str:
        """Make a container that is not started yet; return its id.

        Args:
            template: What it may be.
            labels: To know it by.
            door: The folder of its door, where it has egress.

        Raises:
            ConfigurationError: the image is not here, or would give a box more than its template says.
            SandboxUnavailable: Docker does not answer, or refuses.
        """
        await self._check(template.image)
        try:
            container = await self._docker.containers.create(self._config(template, labels, door))
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker could not make a box: {error}") from error
        return container.id

    async def start(self, container: str) -> Stream:
        """Attach to a container, then start it, so that nothing it says is missed.

        Raises:
            SandboxUnavailable: Docker does not answer, or refuses: the image has no python3, say.
        """
        stream = await self.attach(container)
        try:
            await self._docker.containers.container(container).start()
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            await stream.close()
            raise SandboxUnavailable(f"Docker could not start a box: {error}") from error
        return stream

    async def attach(self, container: str) -> Stream:
        """Return the stdin and stdout of a container.

        Raises:
            SandboxUnavailable: there is no such container, or Docker does not answer.
        """
        stream = self._docker.containers.container(container).attach(stdin=True, stdout=True, stderr=True)
        try:
            await stream.__aenter__()
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker could not attach to a box: {error}") from error
        return stream

    async def ours(self, label: str = HANDS) -> list[Container]:
        """Return every container of this broker, running or not: of hands, or by another label.

        Raises:
            SandboxUnavailable: Docker does not answer.
        """
        filters = {"label": [f"{label}={self.owner}"]}
        try:
            found = await self._docker.containers.list(all=True, filters=filters)
        except (aiodocker.DockerError, aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker does not answer: {error}") from error
        return [Container(each.id, each["Labels"], each["State"] == "running", each["Created"]) for each in found]

    async def remove(self, container: str) -> None:
        """End a container and remove it, with its volumes; one that is gone already is fine.

        Raises:
            SandboxUnavailable: Docker does not answer.
        """
        # One that ends by itself is removed by Docker meanwhile (404, 409).
        try:
            await self._docker.containers.container(container).delete(force=True, v=True)
        except aiodocker.DockerError as error:
            if error.status not in (404, 409):
                raise SandboxUnavailable(f"Docker could not remove a box: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker does not answer: {error}") from error

    async def memory_bytes(self, container: str) -> int | None:
        """Return what a container uses now; None when it is gone."""
        with contextlib.suppress(aiodocker.DockerError, aiohttp.ClientError, OSError, LookupError):
            (found,) = await self._docker.containers.container(container).stats(stream=False)
            return int(found["memory_stats"]["usage"])
        return None

    async def labels(self, container: str) -> Mapping[str, str] | None:
        """Return the labels of any container on this machine; None when there is none."""
        try:
            found = await self._docker.containers.container(container).show()
        except aiodocker.DockerError as error:
            if error.status == 404:
                return None
            raise SandboxUnavailable(f"Docker does not answer: {error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker does not answer: {error}") from error
        return found["Config"]["Labels"] or {}

    async def _check(self, image: str) -> None:
        try:
            found = await self._docker.images.inspect(image)
        except aiodocker.DockerError as error:
            if error.status != 404:
                raise SandboxUnavailable(f"Docker does not answer: {error}") from error
            raise ConfigurationError(
                f"the image {image} is not here: build or pull it; the broker pulls none"
            ) from None
        except (aiohttp.ClientError, OSError) as error:
            raise SandboxUnavailable(f"Docker does not answer: {error}") from error
        volumes = found["Config"].get("Volumes")
        if volumes:
            # They would be writable, on this machine's disk, and without a limit.
            raise ConfigurationError(f"the image {image} declares volumes ({', '.join(volumes)}): build one without")

    def _config(self, template: Template, labels: Mapping[str, str], door: Path | None) -> dict[str, Any]:
        owned = f"uid={USER_ID},gid={USER_ID},nosuid,nodev,exec"
        memory = (template.memory_mib + template.disk_mib + template.tmp_mib) * _MIB
        program = {
            "root": ROOT,
            "env": {"HOME": "/tmp", **(environment(PORT, template.egress) if door else {}), **template.env},
            "door": f"{INSIDE}/{SOCKET}" if door else None,
            "lease_seconds": template.lease_seconds,
            "lifetime_seconds": template.lifetime_seconds,
        }
        return {
            "Image": template.image,
            "Entrypoint": [],
            "Cmd": hands.command(program),
            "User": f"{USER_ID}:{USER_ID}",
            "WorkingDir": ROOT,
            "Hostname": "hands",
            "Labels": {**labels, HANDS: self.owner},
            "OpenStdin": True,
            # A broker that is started again attaches again.
            "StdinOnce": False,
            "AttachStdin": True,
            "AttachStdout": True,
            "AttachStderr": True,
            "Healthcheck": {"Test": ["NONE"]},
            "HostConfig": {
                "NetworkMode": "none",
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "Memory": memory,
                "MemorySwap": memory,
                "NanoCpus": int(template.cpus * 1e9),
                "PidsLimit": template.pids,
                "Tmpfs": {
                    ROOT: f"size={template.disk_mib}m,mode=0755,{owned}",
                    "/tmp": f"size={template.tmp_mib}m,mode=1777,{owned}",
                },
                "Mounts": [{"Type": "bind", "Source": str(door), "Target": INSIDE, "ReadOnly": True}] if door else [],
                "IpcMode": "private",
                "CgroupnsMode": "private",
                # A dump of a crash would be written by the machine's own root.
                "Ulimits": [{"Name": "core", "Soft": 0, "Hard": 0}],
                "LogConfig": {"Type": "none", "Config": {}},
                "AutoRemove": True,
                "RestartPolicy": {"Name": "no"},
            },
        }

"""The boxes there are: whose, until when; and their end, for certain."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from triptych.errors import ConfigurationError, SandboxUnavailable
from triptych.sandbox.channel import BoxGone, Channel
from triptych.sandbox.doors import Doors
from triptych.sandbox.engine import Container, Engine
from triptych.sandbox.policy import Template

BOX, OWNER, TEMPLATE = "triptych.box", "triptych.owner", "triptych.template"
"""The labels that say which box a container is, whose, and of what kind."""
LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass
class Box:
    """One box that lives."""

    id: str
    owner: str
    kind: str
    template: Template
    container: str
    channel: Channel
    began: float = field(default_factory=time.time)
    """Unix time."""
    due: float = 0.0
    """When its lease runs out, on this process's monotonic clock."""

    def begin_lease(self) -> None:
        """Put its end off by one lease."""
        self.due = time.monotonic() + self.template.lease_seconds

    async def renew(self) -> None:
        """Put its end off by one lease, here and inside it.

        Raises:
            BoxGone: it has ended.
        """
        self.begin_lease()
        await self.channel.renew(self.template.lease_seconds)

    def summary(self) -> dict[str, Any]:
        """Return what an operator sees of it."""
        return {
            "id": self.id,
            "owner": self.owner,
            "template": self.kind,
            "container": self.container[:12],
            "age_seconds": round(time.time() - self.began, 1),
            "lease_seconds": round(self.due - time.monotonic(), 1),
        }


class Boxes:
    """Makes boxes, finds them for their owners, and ends them.

    Args:
        engine: Docker.
        doors: The doors of those with egress.
        templates: Returns the templates in force, by name.
    """

    def __init__(self, engine: Engine, doors: Doors, templates: Callable[[], Mapping[str, Template]]) -> None:
        self._engine = engine
        self._doors = doors
        self._templates = templates
        self._boxes: dict[str, Box] = {}
        self._being_made: dict[str, int] = {}
        self._being_ended: set[str] = set()

    async def create(self, kind: str, owner: str) -> Box:
        """Make a box.

        Raises:
            ConfigurationError: there is no such template, or its image cannot be used.
            SandboxUnavailable: there are as many of this kind as may be, or Docker does not give one.
        """
        template = self._template(kind)
        alive = sum(each.kind == kind for each in self._boxes.values()) + self._being_made.get(kind, 0)
        if alive >= template.boxes:
            raise SandboxUnavailable(f"there are {alive} boxes of the kind {kind} already, and no more at once")
        self._being_made[kind] = self._being_made.get(kind, 0) + 1
        try:
            return await self._create(kind, template, owner)
        finally:
            self._being_made[kind] -= 1

    def of(self, owner: str | None) -> list[Box]:
        """Return an owner's boxes, or everybody's."""
        return [each for each in self._boxes.values() if owner in (None, each.owner)]

    def find(self, box: str, owner: str | None) -> Box:
        """Return a box of an owner's, or of anybody's.

        Raises:
            BoxGone: there is none; another owner's is none either.
        """
        found = self._boxes.get(box)
        if found is None or owner not in (None, found.owner) or found.channel.gone.is_set():
            raise BoxGone(f"there is no box {box}")
        return found

    async def end(self, box: Box) -> None:
        """End a box and whatever runs in it."""
        self._boxes.pop(box.id, None)
        await box.channel.close()
        await self._doors.close(box.id)
        await self._remove(box.container)

    async def adopt(self) -> None:
        """Take over what an earlier process of this broker left: what answers lives on for one lease, the rest ends."""
        async with asyncio.TaskGroup() as group:
            for container in await self._engine.ours():
                group.create_task(self._adopt(container))
        self._doors.sweep(self._boxes)

    async def watch(self) -> None:
        """End the boxes whose time is over, for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.reap()
            except SandboxUnavailable as error:
                _log.warning("%s", error)

    async def reap(self) -> int:
        """End every box whose lease or channel is over, and every container of ours that is no box; return how many."""
        now = time.monotonic()
        ended = 0
        for box in list(self._boxes.values()):
            if now >= box.due or box.channel.gone.is_set():
                _log.info("box %s of %s: its %s is over", box.id, box.owner, "lease" if now >= box.due else "channel")
                await self.end(box)
                ended += 1
        known = {each.container for each in self._boxes.values()}
        if not any(self._being_made.values()):
            for container in await self._engine.ours():
                if container.id not in known | self._being_ended:
                    await self._remove(container.id)
                    ended += 1
        return ended

    async def end_all(self) -> None:
        """End every box."""
        async with asyncio.TaskGroup() as group:
            for box in list(self._boxes.values()):
                group.create_task(self.end(box))

    def _template(self, kind: str) -> Template:
        templates = self._templates()
        if kind not in templates:
            there_are = ", ".join(sorted(templates)) or "none"
            raise ConfigurationError(
                f"there is no sandbox template {kind!r}; there are: {there_are}. Where there is a block of that name, "
                "the log of the recovery loop says why it cannot be used"
            )
        return templates[kind]

    async def _create(self, kind: str, template: Template, owner: str) -> Box:
        name = secrets.token_hex(16)
        door = await self._doors.open(name, template.egress) if template.egress else None
        try:
            container = await self._engine.create(template, {BOX: name, OWNER: owner, TEMPLATE: kind}, door)
        except BaseException:
            await asyncio.shield(self._doors.close(name))
            raise
        try:
            channel = Channel(await self._engine.start(container))
            await channel.open(template.lease_seconds)
        except BaseException as error:
            await asyncio.shield(self._doors.close(name))
            await asyncio.shield(self._remove(container))
            if isinstance(error, BoxGone):
                raise SandboxUnavailable(f"the box ended at once: {error}") from error
            raise
        box = self._boxes[name] = Box(name, owner, kind, template, container, channel)
        box.begin_lease()
        return box

    async def _adopt(self, container: Container) -> None:
        labels = container.labels
        try:
            template = self._template(labels.get(TEMPLATE, ""))
            if not container.is_running:
                raise BoxGone("it never ran")
            channel = Channel(await self._engine.attach(container.id))
            await channel.open(template.lease_seconds)
            if template.egress:
                await self._doors.reopen(labels[BOX], template.egress)
        except (BoxGone, ConfigurationError, SandboxUnavailable) as error:
            _log.info("container %s is removed: %s", container.id[:12], error)
            await self._remove(container.id)
            return
        box = Box(labels[BOX], labels[OWNER], labels[TEMPLATE], template, container.id, channel)
        box.begin_lease()
        self._boxes[box.id] = box

    async def _remove(self, container: str) -> None:
        self._being_ended.add(container)
        try:
            await self._engine.remove(container)
        finally:
            self._being_ended.discard(container)

"""Where chaos happens: a home, a database and a store prefix that nobody else uses.

This package must not import Prefect, the person's module apart; see `stack`.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import uuid
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy import Connection, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import create_async_engine

from triptych.errors import ConfigurationError
from triptych.runtime.bounded import for_each
from triptych.runtime.s3 import S3Backend
from triptych.settings import ScriptedSettings, Settings, StoreSettings

_URLS = ("PREFECT_SERVER_DATABASE_CONNECTION_URL", "PREFECT_API_DATABASE_CONNECTION_URL")
"""Prefect's two names for one setting."""
_PARTS = ("DRIVER", "HOST", "NAME", "PASSWORD", "PORT", "USER")


class Place:
    """The settings of a stack of its own.

    Attributes:
        settings: As the environment has them, but for home, desk, witness and model, and with a prefix of the store.
        database: What the server keeps its books in, without its password.
        store: Where the checkpoints lie.
    """

    def __init__(self, settings: Settings, pace: ScriptedSettings) -> None:
        """Make the folder.

        Raises:
            ConfigurationError: the database that the environment names is used by others.
        """
        self.database = _database()
        self.folder = Path(tempfile.mkdtemp(prefix="triptych-chaos-"))
        self._given = settings.store
        self._prefix = f"chaos-{uuid.uuid4().hex[:12]}"
        location = None if self._given.location is None else f"{self._given.location.rstrip('/')}/{self._prefix}"
        self.store = location or "a folder"
        self.settings = settings.model_copy(
            update={
                "model": "scripted",
                "scripted": pace,
                "home": self.folder,
                "desk_url": f"sqlite:///{self.folder / 'desk.sqlite'}",
                "witness": self.witness,
                "store": settings.store.model_copy(update={"location": location}),
            }
        )

    @property
    def witness(self) -> Path:
        """The file of the scripted model and the tools."""
        return self.folder / "witness.jsonl"

    @property
    def answers(self) -> Path:
        """The person's file."""
        return self.folder / "answers.jsonl"

    @property
    def environment(self) -> dict[str, str]:
        """What the stack's processes need to use these settings."""
        pace = self.settings.scripted
        told = {
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "TRIPTYCH_HOME": str(self.folder),
            "TRIPTYCH_MODEL": self.settings.model,
            "TRIPTYCH_DESK_URL": self.settings.resolved_desk_url,
            "TRIPTYCH_WITNESS": str(self.witness),
            "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": str(pace.first_token_seconds),
            "TRIPTYCH_SCRIPTED__CHUNK_SECONDS": str(pace.chunk_seconds),
        }
        if self.settings.store.location is not None:
            told["TRIPTYCH_STORE__LOCATION"] = self.settings.store.location
        return told

    def remove(self) -> None:
        """Remove the folder, and what lies below its prefix in a store that was given."""
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._given.location is None:
            return
        parts = urlsplit(self._given.location)
        if parts.scheme == "s3":
            asyncio.run(_empty(self._given, parts.netloc, parts.path.strip("/"), self._prefix))
        else:
            folder = Path(unquote(parts.path) if parts.scheme == "file" else self._given.location).expanduser()
            shutil.rmtree(folder / self._prefix, ignore_errors=True)


async def _empty(given: StoreSettings, bucket: str, prefix: str, below: str) -> None:
    store = S3Backend(
        bucket=bucket,
        prefix=prefix,
        endpoint_url=given.endpoint_url or None,
        key=given.key or None,
        secret=given.secret.get_secret_value() or None if given.secret else None,
        region=given.region or None,
        timeout_seconds=20.0,
    )
    await for_each(await store.keys(below), store.remove)


def _database() -> str:
    parts = [f"PREFECT_{who}_DATABASE_{part}" for who in ("SERVER", "API") for part in _PARTS]
    if named := [name for name in parts if os.environ.get(name)]:
        raise ConfigurationError(f"name the database by its URL, in {_URLS[1]}: {', '.join(named)} cannot be checked")
    url = next((os.environ[name] for name in _URLS if os.environ.get(name)), None)
    if url is None:
        return "a SQLite file"
    if asyncio.run(_is_used(url)):
        raise ConfigurationError(
            f"{_shown(url)} is a Prefect server's already. Chaos kills what runs there, and wants an empty database"
        )
    return _shown(url)


async def _is_used(url: str) -> bool:
    def has_runs(connection: Connection) -> bool:
        return inspect(connection).has_table("flow_run")

    try:
        engine = create_async_engine(url)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(has_runs)
        finally:
            await engine.dispose()
    except (SQLAlchemyError, OSError, ValueError) as error:
        raise ConfigurationError(f"the database {_shown(url)} cannot be used: {error}") from error


def _shown(url: str) -> str:
    try:
        return make_url(url).render_as_string(hide_password=True)
    except SQLAlchemyError:
        return _URLS[1]

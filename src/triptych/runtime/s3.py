"""Checkpoints in an S3-compatible bucket, through s3fs. Imported when a store is one: it takes half a second."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import contextvars
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

import aiohttp
import botocore.exceptions
import s3fs
from botocore.exceptions import BotoCoreError, ClientError
from typing_extensions import override

from triptych.runtime.backends import PASSING_NUMBERS, Backend, safe_key, unavailable

_FAILURES = (ClientError, BotoCoreError, aiohttp.ClientError, OSError, TimeoutError)
"""What aiobotocore raises; aiohttp's own errors come through while a body is read."""

_PASSING_CODES = frozenset({"InternalError", "RequestTimeout", "ServiceUnavailable", "SlowDown", "Throttling"})
_PASSING_ERRORS = (
    aiohttp.ClientError,
    botocore.exceptions.ConnectTimeoutError,
    botocore.exceptions.EndpointConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.IncompleteReadError,
    botocore.exceptions.ProxyConnectionError,
    ConnectionError,
    TimeoutError,
)


class S3Backend(Backend):
    """A prefix of a bucket. A PUT that the server has answered is durable, and a reader sees the whole object or none.

    No conditional write is used: servers disagree about them, so a lock built on one would not hold everywhere.
    """

    def __init__(
        self,
        *,
        bucket: str,
        prefix: str,
        endpoint_url: str | None,
        key: str | None,
        secret: str | None,
        region: str | None,
        timeout_seconds: float,
    ) -> None:
        self.bucket = bucket
        self.prefix = prefix
        self._place = f"s3://{bucket}/{prefix}".rstrip("/") + (f" at {endpoint_url}" if endpoint_url else "")
        self._options: dict[str, Any] = {
            "key": key,
            "secret": secret,
            "endpoint_url": endpoint_url,
            "client_kwargs": {"region_name": region} if region else {},
            "config_kwargs": {
                "connect_timeout": min(5.0, timeout_seconds),
                "read_timeout": timeout_seconds,
                # Retries live in one layer: the store's.
                "retries": {"total_max_attempts": 1, "mode": "standard"},
                # A server without virtual-host names (most S3-compatible ones) needs the bucket in the path.
                "s3": {"addressing_style": "path" if endpoint_url else "auto"},
            },
        }

    @property
    @override
    def place(self) -> str:
        return self._place

    @override
    def is_passing(self, error: BaseException) -> bool:
        cause = error.__cause__
        if isinstance(cause, ClientError):
            answer = cast("dict[str, Any]", cast(Any, cause).response)
            status = answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
            return status >= 500 or status == 429 or _code(cause) in _PASSING_CODES
        if isinstance(cause, OSError) and cause.errno in PASSING_NUMBERS:
            return True
        return isinstance(cause, _PASSING_ERRORS)

    @override
    async def read(self, key: str) -> bytes | None:
        async with self._session() as s3:
            try:
                response = await s3.get_object(Bucket=self.bucket, Key=self._name(key))
                # Closed even where the body breaks off.
                async with response["Body"] as body:
                    return await body.read()
            except ClientError as error:
                # "NoSuchBucket" is a 404 too, and it is not a missing checkpoint.
                if _code(error) in ("NoSuchKey", "404"):
                    return None
                raise

    @override
    async def write(self, key: str, content: bytes) -> None:
        async with self._session() as s3:
            await s3.put_object(Bucket=self.bucket, Key=self._name(key), Body=content)

    @override
    async def keys(self, prefix: str) -> list[str]:
        async with self._session() as s3:
            start = f"{self._name(prefix)}/"
            found: list[str] = []
            skip = len(self.prefix) + 1 if self.prefix else 0
            async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=start):
                found.extend(item["Key"][skip:] for item in page.get("Contents", []))
            return found

    @override
    async def remove(self, key: str) -> None:
        async with self._session() as s3:
            await s3.delete_object(Bucket=self.bucket, Key=self._name(key))

    def _name(self, key: str) -> str:
        return f"{self.prefix}/{safe_key(key)}" if self.prefix else safe_key(key)

    @asynccontextmanager
    async def _session(self) -> AsyncGenerator[Any]:
        """Yield an aiobotocore client for this event loop; failures become `CheckpointStoreUnavailable`."""
        try:
            yield await _client(self._options)
        except _FAILURES as error:
            raise unavailable(self.place, _reason(error)) from error


class _OpenClient(NamedTuple):
    client: asyncio.Future[Any]
    keeper: asyncio.Task[None]


_open_clients: dict[tuple[asyncio.AbstractEventLoop, str], _OpenClient] = {}
"""By event loop, which a client belongs to, and by what it was opened with: Prefect loads a block again and again, and
calls it from several loops."""


async def _client(options: Mapping[str, Any]) -> Any:
    loop = asyncio.get_running_loop()
    name = (loop, repr(options))
    found = _open_clients.get(name)
    if found is None:
        if not _open_clients:
            atexit.register(_close_what_is_open)
        for other in [each for each in list(_open_clients) if each[0].is_closed()]:
            _open_clients.pop(other, None)  # another thread may be quicker
        opened: asyncio.Future[Any] = loop.create_future()
        # In a context of its own: a copy of the caller's would keep a flow's context alive as long as the loop.
        keeper = loop.create_task(_keep_open(name, options, opened), context=contextvars.Context())
        found = _open_clients[name] = _OpenClient(opened, keeper)
    # A caller that is cancelled must not cancel the others' client.
    return await asyncio.shield(found.client)


async def _keep_open(
    name: tuple[asyncio.AbstractEventLoop, str], options: Mapping[str, Any], opened: asyncio.Future[Any]
) -> None:
    """Hold a client open until its event loop ends: `asyncio.run` then cancels what is left, this task among it.

    Closed any later, or from another loop, it would complain of an unclosed session or raise.
    """
    try:
        filesystem = s3fs.S3FileSystem(asynchronous=True, skip_instance_cache=True, use_listings_cache=False, **options)
        client = await cast(Any, filesystem).set_session()
        try:
            opened.set_result(client)
            await asyncio.Event().wait()
        finally:
            await client.close()
    except Exception as error:
        if not opened.done():
            # For those who wait; the next call tries anew.
            opened.set_exception(error)
    finally:
        _open_clients.pop(name, None)
        opened.cancel()


def _close_what_is_open() -> None:
    """Close, at the process's end, what Prefect's own event loops hold: nothing ever cancels their tasks."""

    async def close(keeper: asyncio.Task[None]) -> None:
        keeper.cancel()
        await asyncio.wait([keeper])

    for (loop, _), open_client in list(_open_clients.items()):
        if loop.is_running():
            with contextlib.suppress(TimeoutError, asyncio.CancelledError):
                asyncio.run_coroutine_threadsafe(close(open_client.keeper), loop).result(timeout=2)


def _code(error: ClientError) -> str:
    return str(_answer(error).get("Code", ""))


def _answer(error: ClientError) -> dict[str, Any]:
    return cast("dict[str, Any]", cast(Any, error).response.get("Error", {}))


def _reason(error: BaseException) -> str:
    """Say in words what the storage said; never a credential."""
    if isinstance(error, ClientError):
        named = {
            "NoSuchBucket": "the bucket does not exist",
            "SignatureDoesNotMatch": "the secret is wrong (SignatureDoesNotMatch)",
            "InvalidAccessKeyId": "the key id is unknown (InvalidAccessKeyId)",
            "AccessDenied": "access is denied (AccessDenied)",
        }
        return named.get(_code(error), f"{_code(error)}: {_answer(error).get('Message', '')}")
    return f"{type(error).__name__}: {error}"

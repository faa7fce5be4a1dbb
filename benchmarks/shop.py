"""The shop's own client library: what its tools are, and one call of one of them.

It is small and needs httpx alone, for it is loaded with every start of a function. It never tries again by itself: only
the caller knows the idempotency key under which a call may be made once more.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import httpx

_TOO_MANY_REQUESTS = 429


class ShopError(Exception):
    """The shop did not do what it was asked for."""


class ShopUnavailable(ShopError):
    """The shop did not answer in time, or said that it cannot now. The call may be made again, with the same key.

    It may or may not have been done.
    """


class ShopRefused(ShopError):
    """The shop will not do this call, however often it comes."""


class ToolSpec(NamedTuple):
    """What a model has to know about a tool."""

    name: str
    description: str
    parameters: dict[str, Any]
    """A JSON schema."""
    changes: bool
    """Whether it changes anything: a call of it needs an idempotency key if it may ever be made again."""

    def as_openai(self) -> dict[str, Any]:
        """Return it in the form of OpenAI's `tools`."""
        function = {"name": self.name, "description": self.description, "parameters": self.parameters}
        return {"type": "function", "function": function}


def tools(source: str | Path, *, timeout_seconds: float = 10.0) -> list[ToolSpec]:
    """Return the shop's tools.

    Args:
        source: The shop's URL, or a file in which its `tools.json` was kept.
        timeout_seconds: For connecting, and for each wait for data.

    Raises:
        ShopUnavailable: it did not answer.
        OSError: the file cannot be read.
    """
    if isinstance(source, Path) or not source.startswith(("http://", "https://")):
        text = Path(source).read_text(encoding="utf-8")
    else:
        try:
            with _client(source, timeout_seconds) as client:
                text = client.get(f"{source.rstrip('/')}/tools.json").raise_for_status().text
        except httpx.HTTPError as reason:
            raise ShopUnavailable(f"the shop does not tell its tools: {reason!r}") from reason
    return [ToolSpec(**each) for each in json.loads(text)]


def call(
    shop_url: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    timeout_seconds: float = 2.0,
) -> str:
    """Call a tool.

    Args:
        shop_url: Where the customer's records are.
        name: The tool's.
        arguments: As its schema has them.
        idempotency_key: Calls with the same key are done once, and are all told the first one's result. Without one,
            every call is done.
        timeout_seconds: For connecting, and for each wait for data.

    Returns:
        What the model is to be told.

    Raises:
        ShopUnavailable: it did not answer, or said that it cannot now.
        ShopRefused: it will not.
    """
    try:
        with _client(shop_url, timeout_seconds) as client:
            response = client.post(_url(shop_url, name), json=dict(arguments), headers=_headers(idempotency_key))
    except httpx.TransportError as reason:
        raise _unavailable(name, reason) from reason
    return _result(name, response)


async def acall(
    shop_url: str,
    name: str,
    arguments: Mapping[str, Any],
    *,
    idempotency_key: str | None = None,
    timeout_seconds: float = 2.0,
) -> str:
    """Call a tool without blocking the event loop; see `call`."""
    try:
        # http has no use for certificates, which take longer to load than the call does.
        async with httpx.AsyncClient(timeout=timeout_seconds, verify=shop_url.startswith("https:")) as client:
            response = await client.post(_url(shop_url, name), json=dict(arguments), headers=_headers(idempotency_key))
    except httpx.TransportError as reason:
        raise _unavailable(name, reason) from reason
    return _result(name, response)


def _client(url: str, timeout_seconds: float) -> httpx.Client:
    # As in `acall`.
    return httpx.Client(timeout=timeout_seconds, verify=url.startswith("https:"))


def _url(shop_url: str, name: str) -> str:
    return f"{shop_url.rstrip('/')}/{name}"


def _headers(idempotency_key: str | None) -> dict[str, str]:
    return {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}


def _unavailable(name: str, reason: httpx.TransportError) -> ShopUnavailable:
    return ShopUnavailable(f"{name}: the shop did not answer: {reason!r}")


def _result(name: str, response: httpx.Response) -> str:
    if response.is_success:
        return cast("dict[str, str]", response.json())["result"]
    if response.is_server_error or response.status_code == _TOO_MANY_REQUESTS:
        raise ShopUnavailable(f"{name}: the shop cannot answer now ({response.status_code})")
    raise ShopRefused(f"{name}: {_reason(response)}")


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"the shop refused it ({response.status_code})"

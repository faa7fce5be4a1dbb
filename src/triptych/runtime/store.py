"""The checkpoint store: one Prefect block for our checkpoints and for Prefect's own persisted results.

Stock result storage treats a failed read as a miss and a failed write as a log line. Here a miss is a miss, and
everything else is `CheckpointStoreUnavailable`: a run never goes on without its checkpoint.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, ParamSpec, Self, TypeVar, cast
from urllib.parse import unquote, urlsplit

from prefect.filesystems import WritableFileSystem
from pydantic import Field, PrivateAttr, SecretStr, ValidationError, field_validator, model_validator
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_delay, wait_random_exponential

from triptych.errors import ConfigurationError
from triptych.runtime.backends import Backend, check_by_use
from triptych.runtime.folder import FolderBackend
from triptych.settings import Settings

P = ParamSpec("P")
T = TypeVar("T")

_logger = logging.getLogger(__name__)


class CheckpointStore(WritableFileSystem):
    """A folder, or a prefix of an S3 bucket, that outlives the process which writes to it.

    Use it as a flow's `result_storage`: the durability capability takes its checkpoints' place from there, so both lie
    together and there is one thing to configure.

    Raises:
        ConfigurationError: from the constructor, for a location that is neither a folder nor `s3://bucket/prefix`, and
            for credentials that are incomplete or stand in the wrong field.
        CheckpointStoreUnavailable: from every operation, when the storage cannot be read or written.
    """

    _block_type_name = "Checkpoint Store"
    _block_type_slug = "checkpoint-store"
    _description = "Where Triptych keeps checkpoints and results: a folder, or an S3-compatible bucket."
    _documentation_url = None  # pyright: ignore[reportAssignmentType]

    schemes: ClassVar[tuple[str, ...]] = ("s3", "file")

    location: str = Field(
        description="A folder's absolute path, or s3://bucket/prefix.",
        examples=["/var/lib/triptych/checkpoints", "s3://agents/checkpoints"],
    )
    endpoint_url: str | None = Field(
        default=None, description="URL of an S3-compatible server. Empty for AWS itself; unused for a folder."
    )
    key: str | None = Field(
        default=None, description="S3 access key id. Empty: the machine's own credentials (environment, profile, role)."
    )
    secret: SecretStr | None = Field(default=None, description="S3 secret access key.")
    region: str | None = Field(default=None, description="S3 region, where the server asks for one.")
    timeout_seconds: float = Field(
        default=20.0, gt=0, description="How long one S3 request may take before the store counts as unavailable."
    )

    outage_seconds: float = Field(
        default=60.0,
        ge=0,
        description="How long to wait for a storage that is out of reach or overloaded before the run stops. A wrong "
        "secret, a missing bucket or folder or a full disk is never waited for.",
    )

    _backend: Backend | None = PrivateAttr(default=None)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(*args, **kwargs)
        except ValidationError as error:
            # Without its input, which may be a secret in the wrong field.
            problems = error.errors(include_url=False, include_input=False, include_context=False)
            said = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'store'}: {each['msg']}" for each in problems)
            raise ConfigurationError(f"checkpoint store: {said}") from None

    @field_validator("location")
    @classmethod
    def _location_is_known(cls, value: str) -> str:
        parts = urlsplit(value)
        if not value.strip():
            raise ValueError("it is empty; give a folder's absolute path or s3://bucket/prefix")
        if parts.scheme and parts.scheme not in cls.schemes:
            raise ValueError(f"a checkpoint store is a folder or s3://bucket/prefix, not {parts.scheme}://")
        if parts.scheme == "s3" and (not parts.netloc or not re.fullmatch(r"[A-Za-z0-9._-]+", parts.netloc)):
            raise ValueError("it names no bucket; write s3://bucket/prefix, and credentials in `key` and `secret`")
        if parts.scheme and (parts.query or parts.fragment):
            raise ValueError("`?` and `#` do not belong in a location; settings have fields of their own")
        if parts.scheme == "file" and parts.netloc not in ("", "localhost"):
            raise ValueError(f"write file:///folder; {parts.netloc!r} would be another machine")
        if parts.scheme != "s3" and not parts.path.startswith(("/", "~")):
            # It would be another folder in every process that starts elsewhere.
            raise ValueError("a folder is given by its absolute path")
        return value

    @field_validator("endpoint_url")
    @classmethod
    def _endpoint_is_an_address(cls, value: str | None) -> str | None:
        # The form in Prefect's UI sends an emptied field as "".
        if not value:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            raise ValueError("write http(s)://host:port; credentials belong in `key` and `secret`")
        return value

    @model_validator(mode="after")
    def _key_has_its_secret(self) -> Self:
        if bool(self.key) != bool(self.secret and self.secret.get_secret_value()):
            raise ValueError("give both `key` and `secret`, or neither for the machine's own credentials")
        return self

    @property
    def backend(self) -> Backend:
        """Where the bytes go."""
        if self._backend is None:
            parts = urlsplit(self.location)
            if parts.scheme == "s3":
                from triptych.runtime.s3 import S3Backend

                self._backend = S3Backend(
                    bucket=parts.netloc,
                    prefix=parts.path.strip("/"),
                    endpoint_url=self.endpoint_url,
                    key=self.key or None,
                    secret=self.secret.get_secret_value() or None if self.secret else None,
                    region=self.region or None,
                    timeout_seconds=self.timeout_seconds,
                )
            else:
                self._backend = FolderBackend(unquote(parts.path) if parts.scheme == "file" else self.location)
        return self._backend

    async def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None where there is none."""
        return await self._through_outages(self.backend.read, key)

    async def write(self, key: str, content: bytes) -> None:
        """Write an object whole, and return once the storage has confirmed that it is durable."""
        await self._through_outages(self.backend.write, key, content)

    async def keys(self, prefix: str) -> list[str]:
        """List the keys below `prefix/`, sorted."""
        return sorted(await self._through_outages(self.backend.keys, prefix))

    async def remove(self, key: str) -> None:
        """Remove an object; nothing happens where there is none."""
        await self._through_outages(self.backend.remove, key)

    async def check(self) -> None:
        """Write, read back, list and delete a small object: proof that a run can use this store. Waits for nothing."""
        await check_by_use(self.backend)

    async def _through_outages(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Repeat a call for `outage_seconds`, so that a paid response is not lost because the store blinked.

        Each of the four operations may be repeated: a write puts the same bytes under the same key.
        """
        return await AsyncRetrying(
            retry=retry_if_exception(self.backend.is_passing),
            stop=stop_after_delay(self.outage_seconds),
            wait=wait_random_exponential(multiplier=0.2, max=5),
            before_sleep=_tell_of_the_outage,
            reraise=True,
        )(call, *args, **kwargs)

    # What Prefect calls for its own results. Prefect passes keys without a folder; they get one here, so that the two
    # kinds of object can be told apart by a lifecycle rule or by an eye.

    async def read_path(self, path: str) -> bytes:
        """Return a persisted result of Prefect's; `ValueError` where there is none, as Prefect expects."""
        content = await self.read(result_key(path))
        if content is None:
            raise ValueError(f"Path {path} does not exist.")
        _require_plain_json(path, content)
        return content

    async def write_path(self, path: str, content: bytes) -> None:
        """Write a persisted result of Prefect's; only plain JSON is let in."""
        _require_plain_json(path, content)
        await self.write(result_key(path), content)


def store_slug(settings: Settings | None = None) -> str:
    """Return how Prefect finds the saved store: a flow's `result_storage`."""
    return f"{CheckpointStore.get_block_type_slug()}/{(settings or Settings()).store_block}"


def _tell_of_the_outage(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        _logger.warning("%s Waiting for it.", state.outcome.exception())


def result_key(path: str) -> str:
    """Return where a persisted result of Prefect's lies."""
    return f"results/{path.lstrip('/')}"


def _require_plain_json(path: str, content: bytes) -> None:
    """Refuse a result that Prefect would load by running code.

    Prefect loads an object as the object itself asks: its metadata names the serializer (a pickle where it names none)
    and that serializer's modules, and the default JSON decoder imports classes by name. Whoever can write to the
    bucket could so execute code in a worker.
    """
    try:
        value: object = json.loads(content.decode())
        plain = not _names_a_class(value) and _is_plain_record(value)
    except (ValueError, RecursionError):
        plain = False
    if not plain:
        raise ConfigurationError(
            f"result {path!r} is not plain JSON. Give the flow `result_serializer=PLAIN_JSON` "
            "(triptych.runtime.results) and return values that JSON can hold, none with a text as its `result` or "
            "`data`; a pickle never enters a checkpoint store"
        )


def _names_a_class(value: object) -> bool:
    """Whether Prefect's JSON object hook would import something."""
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value)
        return not fields.keys().isdisjoint(("__class__", "__exc_type__")) or any(map(_names_a_class, fields.values()))
    return isinstance(value, list) and any(map(_names_a_class, cast("list[object]", value)))


def _is_plain_record(value: object) -> bool:
    """Whether what Prefect takes for its record of a result is loaded as JSON, and by nothing but `json`."""
    if not isinstance(value, dict):
        return True
    record = cast("dict[str, Any]", value)
    metadata = record.get("metadata")
    # Prefect also accepts an older format, with the metadata's fields beside the result.
    places = (record, cast("dict[str, Any]", metadata)) if isinstance(metadata, dict) else (record,)
    serializers = [place["serializer"] for place in places if "serializer" in place]
    loaded = isinstance(record.get("result"), str) or isinstance(record.get("data"), str)
    return all(map(_is_plain_serializer, serializers)) and (bool(serializers) or not loaded)


def _is_plain_serializer(named: object) -> bool:
    if not isinstance(named, dict):
        return False
    fields = cast("dict[str, Any]", named)
    return (
        fields.get("type") == "json"
        and fields.get("jsonlib", "json") == "json"
        # Left out, it is the decoder that imports classes.
        and fields.get("object_decoder", "default") is None
        and fields.get("object_encoder") is None
        and not fields.get("loads_kwargs")
    )

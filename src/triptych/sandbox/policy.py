"""What a box may be: its image, its limits, and where it may reach. Nobody who asks for a box can widen any of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from triptych.errors import ConfigurationError

USER_ID = 10001
"""Of everything that runs in a box."""
ROOT = "/workspace"
"""The working directory in a box."""


_NAME = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)(\.(?!-)[a-z0-9-]{1,63}(?<!-))*")
_NOT_TO_BE_SET = {"connection", "content-length", "expect", "host", "keep-alive", "te", "trailer", "transfer-encoding"}


class Egress(BaseModel):
    """One place outside that a box may reach, through the proxy and never by itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(min_length=1, max_length=253)
    """A DNS name in lower case, exactly, or an address. A name that leads to an address of this machine, its network
    or its cloud is refused; whoever means such an address writes it here."""
    port: int = Field(default=443, ge=1, le=65535)
    scheme: Literal["https", "http"] = "https"
    header: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    """A request header that the proxy sets, whatever the box sent: `Authorization`, say. Needs `secret`."""
    secret: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    """The file in the broker's folder `secrets` that holds the header's value, whole. It never comes into a box."""

    @field_validator("host")
    @classmethod
    def _is_exact(cls, host: str) -> str:
        try:
            is_exact = str(ipaddress.ip_address(host)) == host
        except ValueError:
            is_exact = _NAME.fullmatch(host) is not None
        if not is_exact:
            raise ValueError("neither a DNS name in lower case, without wildcards, nor an address as it is written")
        return host

    @model_validator(mode="after")
    def _has_both_or_neither(self) -> Self:
        if (self.header is None) != (self.secret is None):
            raise ValueError("`header` and `secret` go together")
        if self.header is not None:
            name = self.header.lower()
            if name in _NOT_TO_BE_SET or name.startswith("proxy-") or name == "upgrade":
                raise ValueError(f"the header {self.header} is none that holds a credential")
        return self


class Template(BaseModel):
    """One kind of box. Sizes are in MiB, times in seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    image: str = Field(min_length=1, pattern=r"^[A-Za-z0-9][\w./:@-]*$")
    """An image of this machine's Docker; nothing is pulled. It holds `python3` (3.9 or later), `sh` and what the code
    needs; it declares no volume."""
    memory_mib: int = Field(default=512, ge=64)
    """Of the processes. Files in a box are kept in memory too, and have `disk_mib` and `tmp_mib` of their own."""
    disk_mib: int = Field(default=512, ge=1)
    """Of the files in the working directory."""
    tmp_mib: int = Field(default=128, ge=1)
    """Of the files in `/tmp`."""
    cpus: float = Field(default=1.0, gt=0)
    pids: int = Field(default=256, ge=16)
    """Processes and threads at once; the box's own program has a few of them."""
    lifetime_seconds: float = Field(default=3600.0, gt=0)
    """A box ends after this, whatever its owner does."""
    lease_seconds: float = Field(default=60.0, ge=5)
    """A box ends when its owner has given no sign of life for this long."""
    output_mib: int = Field(default=10, ge=1)
    """Of one command's stdout and stderr together."""
    boxes: int = Field(default=10, ge=1)
    """So many of this kind at once."""
    env: Mapping[str, str] = Field(default_factory=dict)
    """Of every command. Everything in a box can read it: no secret belongs here."""
    egress: tuple[Egress, ...] = ()
    """What it may reach outside; by default nothing at all."""


_TEMPLATES = TypeAdapter(dict[str, Template])


def load(path: Path) -> dict[str, Template]:
    """Return the templates of a file, a JSON object, by name.

    Raises:
        ConfigurationError: it cannot be read, or a value in it is wrong.
    """
    try:
        return _TEMPLATES.validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigurationError(f"the sandbox's templates in {path} cannot be used: {error}") from error


def save(path: Path, templates: Mapping[str, Template]) -> None:
    """Put templates in force: a broker reads the file anew when it has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(".new")
    written.write_bytes(_TEMPLATES.dump_json(dict(templates), indent=1))
    written.replace(path)

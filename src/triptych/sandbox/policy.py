"""What a box may be: its image, its limits, and where it may reach. Nobody who asks for a box can widen any of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from triptych.errors import ConfigurationError

USER_ID = 10001
"""Of everything that runs in a box."""
ROOT = "/workspace"
"""The working directory in a box."""


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

"""What may be asked of the broker, as it is checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

MAX_TEXT_BYTES = 128 * 1024
"""Of a command's words and environment together: what the system takes, and a frame holds."""


def _has_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL byte")
    return text


Text = Annotated[str, AfterValidator(_has_no_nul)]
Path = Annotated[str, StringConstraints(pattern=r"^/", max_length=4096), AfterValidator(_has_no_nul)]
"""An absolute path in the box; `..` and links lead no further than the box."""
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]


class _Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Create(_Asked):
    """A new box."""

    template: str = Field(min_length=1, max_length=200)


class Run(_Asked):
    """A command in a box."""

    argv: tuple[Text, ...] = Field(min_length=1)
    env: dict[Name, Text] = Field(default_factory=dict)
    timeout_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    idle_seconds: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """It is ended when it has printed nothing for this long."""

    def size_bytes(self) -> int:
        """Return how much text it is."""
        words = [*self.argv, *self.env, *self.env.values()]
        return sum(len(word.encode(errors="surrogatepass")) + 8 for word in words)


class File(_Asked):
    """Something about a path."""

    operation: Literal["stat", "list", "make_dir", "remove", "exists", "realpath"]
    path: Path


class Place(_Asked):
    """Where a file or a tree is read or written."""

    path: Path


class Mark(_Asked):
    """What is there now is what later changes are told against; see `hands.snapshots.Policy`."""

    exclude: tuple[Annotated[Text, StringConstraints(min_length=1, max_length=256)], ...] = Field(max_length=200)
    max_file_bytes: int = Field(ge=0)
    max_bytes: int = Field(ge=0)
    max_entries: int = Field(ge=0)


class Since(_Asked):
    """What has changed since an answer that the caller has."""

    since: int = Field(ge=0)

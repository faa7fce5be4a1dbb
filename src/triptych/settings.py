"""One `Settings`, read at the edges (CLI, flows) and passed inward; nothing else reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ScriptedSettings(BaseModel):
    """The pace of the `scripted` model: `TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS` and so on."""

    first_token_seconds: float = Field(default=0.0, ge=0)
    """Wait before the first chunk of each response."""
    chunk_seconds: float = Field(default=0.0, ge=0)
    """Wait between chunks."""
    chunk_characters: int = Field(default=24, ge=1)
    """Text and tool arguments are streamed in pieces of this size."""


class StoreSettings(BaseModel):
    """The checkpoint store that `triptych blocks` saves: `TRIPTYCH_STORE__LOCATION` and so on."""

    location: str | None = None
    """A folder, or `s3://bucket/prefix`; by default a folder in `home`."""
    endpoint_url: str | None = None
    """URL of an S3-compatible server; None for AWS itself."""
    key: str | None = None
    secret: SecretStr | None = None
    region: str | None = None


class Settings(BaseSettings):
    """Environment variables `TRIPTYCH_*`."""

    model_config = SettingsConfigDict(env_prefix="TRIPTYCH_", env_nested_delimiter="__", extra="ignore")

    model: str = "scripted"
    """`scripted`, or any pydantic-ai model id such as `anthropic:claude-sonnet-5`."""
    request_timeout_seconds: float = Field(default=120.0, gt=0)
    """How long one request to a real model may take, to the last chunk of its response."""
    scripted: ScriptedSettings = ScriptedSettings()
    home: Path = Path("~/.triptych")
    """Where what Triptych itself starts keeps its files: server database, logs, default store, default desk."""
    desk_url: str | None = None
    """SQLAlchemy URL of the order desk; by default a SQLite file in `home`."""
    store: StoreSettings = StoreSettings()
    store_block: str = "triptych"
    """Name of the saved `CheckpointStore` block."""
    policy_block: str = "approvals"
    """Name of the saved `ApprovalPolicy` block."""
    budget_block: str = "budget"
    """Name of the saved `Budget` block."""
    when_code_changes: Literal["stop", "finish"] = "stop"
    """What becomes of a run that began with another version than the one that `triptych deploy` has put in force: it
    goes on with the new one, and stops at a step that does not fit any more, or it finishes with its own."""
    project: Path = Path()
    """The project's folder, where paths in a flow's parameters begin: by default the current one. `triptych deploy`
    sets it for the runs of a version, whose files are elsewhere."""
    witness: Path | None = None
    """An append-only file that the scripted model and the tools write a line to; see `WitnessLine`."""

    @property
    def folder(self) -> Path:
        """`home`, absolute."""
        return self.home.expanduser().absolute()

    @property
    def sandbox_folder(self) -> Path:
        """Where the sandbox's broker keeps its socket and its templates."""
        return self.folder / "sandbox"

    @property
    def resolved_desk_url(self) -> str:
        """`desk_url`, or the default SQLite file in `home`."""
        return self.desk_url or f"sqlite:///{self.folder / 'desk.sqlite'}"

"""One `Settings`, read at the edges (CLI, flows) and passed inward; nothing else reads the environment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
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


Port = Annotated[int, Field(ge=1, le=65535)]


class BrainSettings(BaseModel):
    """The containers of the work pool `triptych-brains`: `TRIPTYCH_BRAIN__IMAGE` and so on. See `runtime.brains`."""

    model_config = ConfigDict(extra="forbid")

    image: str = "triptych-brain"
    """An image that `deployments/brain` built; none is pulled."""
    network: str = "bridge"
    """A Docker network that leads to the model; `none` where the model is reached through `ports`."""
    ports: list[Port] = Field(default_factory=list[Port])
    """JSON, such as `[9000]`: of this machine's own services, at 127.0.0.1, that a brain reaches there as well (an S3
    server, a database). The Prefect server's is always one of them."""
    folders: list[Path] = Field(default_factory=list[Path])
    """That a brain reads and writes at the same place. The store's and the desk's are always among them."""
    memory_mib: int = Field(default=1024, ge=256)
    cpus: float = Field(default=1.0, gt=0)
    pids: int = Field(default=512, ge=64)
    """Processes and threads at once."""


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
    workspace: str = "hands"
    """Where the commands of a coding agent run: `hands` (boxes of the broker's), `bubblewrap`, or a capability of
    pydantic-ai's such as `pydantic_ai_harness:E2BSandbox`; see `sandbox.workspaces`."""
    workspace_options: dict[str, Any] = Field(default_factory=dict[str, Any])
    """What that is made with, as JSON: `{"template": "coding-agent-python"}` of a box."""
    brain: BrainSettings = BrainSettings()
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
    proxy_command: str = "mitmdump"
    """mitmproxy's program, on the PATH or as a path, through which boxes with egress reach what they may."""
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
    def brain_folder(self) -> Path:
        """What a brain is given: `settings` by `triptych up`, and `secrets` by the operator, a file a variable."""
        return self.folder / "brain"

    @property
    def desk_folder(self) -> Path:
        """Where the default order desk is."""
        return self.folder / "desk"

    @property
    def resolved_desk_url(self) -> str:
        """`desk_url`, or the default SQLite file in `home`."""
        return self.desk_url or f"sqlite:///{self.desk_folder / 'desk.sqlite'}"

"""What a coding agent is asked, task by task, and what it answers: the records of a task file.

Records like those of `triptych.records`: frozen, versioned, decoded without anything but these two modules.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from triptych.records import PlannedCall, Record, refuse_templates

INSTRUCTION = "{instruction}"
"""Stands, in the words of a command, for what the agent is told."""
FORBIDDEN = (
    # What a service runs by itself once it is pushed.
    ".github/",
    ".gitlab/",
    ".gitlab-ci.yml",
    ".gitea/",
    ".forgejo/",
    ".woodpecker/",
    ".woodpecker.y*ml",
    ".circleci/",
    ".buildkite/",
    ".travis.yml",
    ".drone.yml",
    "azure-pipelines.yml",
    "bitbucket-pipelines.yml",
    "Jenkinsfile",
    # What runs by itself on the machine of whoever checks it out.
    ".gitattributes",
    ".gitmodules",
    ".githooks/",
    ".husky/",
    ".pre-commit-config.y*ml",
    ".lefthook*",
    "lefthook*.y*ml",
    "lefthook*.toml",
    "lefthook*.json",
    ".envrc",
    ".exrc",
    ".devcontainer/",
    ".vscode/",
    ".idea/",
    ".zed/",
    ".claude/",
    ".cursor/",
    ".mcp.json",
    # Secrets, and where tools look for them.
    ".env",
    ".env.*",
    ".netrc",
    ".npmrc",
    ".pypirc",
    ".ssh/",
    "*.key",
    "*.pem",
    "id_rsa*",
    "id_ed25519*",
)
"""What no patch may touch where a task says nothing else: CI, hooks, what steers git, editors and agents, secrets."""

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/@]*:[^/@]*@")
_HELPER = re.compile(r"[A-Za-z0-9+.-]+::")
_NOT_IN_A_REF = re.compile(r"[\s\x00-\x1f\x7f:?*\[\\]|\.\.|^-|^$")


def _is_one_line(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it holds a line break or another character that cannot be printed")
    return text


def _has_no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("it holds a NUL byte")
    return text


Line = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(_is_one_line)]
Script = Annotated[str, Field(max_length=20_000), AfterValidator(_has_no_nul)]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]


def is_url(repository: str) -> bool:
    """Whether a repository is reached by an address (`https://...`, `ssh://...`, `user@host:path`), not by a path."""
    return _URL.match(repository) is not None or re.match(r"[\w.-]+@[\w.-]+:", repository) is not None


class Fix(Record):
    """A coding agent's structured answer."""

    outcome: Literal["fixed", "gave_up"]
    """`gave_up`: it could not do it, and says why. What it says decides nothing; the tests do."""
    summary: str
    """What was wrong and what was changed."""


class FixPlan(BaseModel):
    """What the `scripted` model does about a task: calls of the coding agent's tools, one a turn, and an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    actions: tuple[PlannedCall, ...] = ()
    fix: Fix

    @field_validator("actions")
    @classmethod
    def _holds_no_template(cls, actions: tuple[PlannedCall, ...]) -> tuple[PlannedCall, ...]:
        return refuse_templates(actions)


class FixLimits(BaseModel):
    """What one task may spend."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=50, gt=0)
    """Model requests."""
    tokens: int = Field(default=2_000_000, gt=0)
    """Input and output together."""
    cost_usd: float | None = Field(default=5.0, gt=0, allow_inf_nan=False)
    """At list prices. None: no limit in dollars, which a model without a list price needs."""
    seconds: float = Field(default=1800.0, gt=0, allow_inf_nan=False)
    """Of the agent's work."""
    test_seconds: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """Of one run of `setup`, and of one run of `test`: a bug may make the tests hang."""


class CommandAgent(BaseModel):
    """A coding agent of your own: a command that is run in the box, in the repository's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    argv: tuple[Annotated[str, AfterValidator(_has_no_nul)], ...] = Field(min_length=1)
    """Program and arguments, no shell. `{instruction}` in a word stands for what the agent is told."""
    env: tuple[EnvName, ...] = ()
    """Names of variables of the process that runs the task which the command is given. Everything in the box can read
    them: a credential belongs into the egress rules of the template, which set it outside."""
    idle_seconds: float = Field(default=300.0, gt=0, allow_inf_nan=False)
    """It is ended when it has printed nothing for this long."""
    total_seconds: float = Field(default=1800.0, gt=0, allow_inf_nan=False)
    """It is ended after this, whatever it prints."""

    @field_validator("argv")
    @classmethod
    def _is_told(cls, argv: tuple[str, ...]) -> tuple[str, ...]:
        if not any(INSTRUCTION in word for word in argv):
            raise ValueError(f"it is never told what to do: write {INSTRUCTION} where the instruction belongs")
        return argv

    def words(self, instruction: str) -> list[str]:
        """Return the command for an instruction."""
        return [word.replace(INSTRUCTION, instruction) for word in self.argv]


class FixTask(Record):
    """One change that a coding agent is to make in a git repository."""

    name: str = Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9_-]{0,58}[A-Za-z0-9])?$")
    """Unique in its task file, and a part of the branch's name: letters, digits, `-` and `_`."""
    repository: Line
    """A path or URL, as git takes it."""
    base: str = Field(default="HEAD", max_length=200)
    """The branch, tag or commit to begin with. Never written to."""
    instruction: Script = Field(min_length=1)
    """What the agent is told."""
    setup: Script = ""
    """Run by `sh` in a new box before the agent or the tests; empty where nothing is to be done."""
    test: Script = Field(min_length=1)
    """Run by `sh`; the tests pass where it exits with 0."""
    agent: Literal["coding", "command"] = "coding"
    """`command`: the one that `command` describes."""
    command: CommandAgent | None = None
    template: Line = "coding-agent-python"
    """The kind of box, as a `SandboxPolicy` block names it; it says what may be reached from there."""
    limits: FixLimits = FixLimits()
    approve: bool = True
    """Whether a person reads the diff before it becomes a branch."""
    forbidden_paths: tuple[Line, ...] = FORBIDDEN
    """A patch that touches one of these is refused. Patterns are those of `.gitignore`, and the case of letters
    does not matter."""
    plan: FixPlan | None = None
    """What the `scripted` model plays. A real model and the box never see it."""

    @field_validator("repository")
    @classmethod
    def _is_harmless(cls, repository: str) -> str:
        if repository.startswith("-") or _HELPER.match(repository):
            raise ValueError("neither a path nor a URL")
        if _PASSWORD.match(repository):
            raise ValueError("it holds a password, which everybody would see in the UI: leave that to git's own helper")
        return repository

    @field_validator("base")
    @classmethod
    def _is_a_ref(cls, base: str) -> str:
        if _NOT_IN_A_REF.search(base):
            raise ValueError("not the name of a branch, tag or commit")
        return base

    @model_validator(mode="after")
    def _has_its_agent(self) -> Self:
        if (self.agent == "command") != (self.command is not None):
            raise ValueError("`agent: command` and a `command` go together")
        return self


class FixBatch(Record):
    """The tasks of one file."""

    tasks: tuple[FixTask, ...] = Field(min_length=1, max_length=1000)

    @field_validator("tasks")
    @classmethod
    def _differ_by_name(cls, tasks: tuple[FixTask, ...]) -> tuple[FixTask, ...]:
        # Where letters' case counts for nothing in file names, it counts for nothing in branches' names either.
        names = [task.name.casefold() for task in tasks]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two tasks share a name: {', '.join(twice)}")
        return tasks

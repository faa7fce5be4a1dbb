"""A workload, as its owner knows it before anything is built, and what in it cannot hold together."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, model_validator

FEW_STEPS = 3
"""Under it a run that dies has lost next to nothing."""
MOST_CRASHES = 10_000.0
"""Of 10,000 runs each can meet one."""
SINGLE_CALLS = ("extraction", "classification")


class Workload(BaseModel):
    """What is to be run, as its owner knows it before anything is built."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    task: Literal["agent", "routing", "extraction", "classification"] = "agent"
    """routing: the model picks who handles the request, and hands it on: once, or else it is a run as any other.
    extraction, classification: one answer."""
    steps: int = Field(ge=1, le=1_000_000)
    """Model requests of a run, the last answer included. Of extraction and classification one, if nothing is said."""
    pauses: int = Field(default=0, ge=0, le=1_000_000)
    """How often a run waits for somebody or something outside: an approval, a reply, another system's event."""
    pause_hours: float | None = Field(default=None, gt=0, le=100_000)
    """How long such a pause lasts."""
    code: Literal["none", "snippets", "repository"] = "none"
    """Code that a model wrote and that is to be run. repository: by a coding agent, on a whole repository."""
    parallel: int = Field(default=1, ge=1, le=1_000_000)
    """Runs at once, at most."""
    minutes: float | None = Field(default=None, gt=0, le=1_000_000)
    """How long a run works, pauses left out."""
    outlives_deploys: bool = False
    """Whether a run that is under way at a deploy has to end all the same, with what it had done."""
    begins_anew: bool = False
    """Whether a run that dies may simply begin anew: it changes nothing outside, and may be paid twice."""
    failure_cost_usd: float | None = Field(default=None, ge=0, le=1_000_000_000)
    """What it costs when a run ends with an effect that is wrong, lost or done twice, in US dollars."""
    crashes_per_10k: float | None = Field(default=None, ge=0, le=MOST_CRASHES)
    """Of 10,000 runs, how many meet the death of their process: a crash, an eviction, a deploy."""
    runs_per_day: float | None = Field(default=None, gt=0, le=1_000_000_000)

    @model_validator(mode="before")
    @classmethod
    def _a_single_call_has_one_step(cls, data: Any) -> Any:
        given = cast("dict[str, Any]", data)
        return {"steps": 1, **given} if given.get("task") in SINGLE_CALLS else given


class Contradiction(NamedTuple):
    """What in a workload cannot hold together."""

    keys: tuple[str, ...]
    """The fields of `Workload` that contradict each other."""
    what: str
    mend: str


def contradictions(workload: Workload) -> tuple[Contradiction, ...]:
    """Return what in a workload cannot hold together; what is merely unusual gets an answer instead."""
    found: list[Contradiction] = []
    if workload.task in SINGLE_CALLS and workload.steps > 1:
        found.append(
            Contradiction(
                ("steps", "task"),
                f"{workload.task} is one structured answer, and here it makes {workload.steps} model requests",
                "say 1 step (a repeated request for a better answer is none), or leave the task out: it is an agent",
            )
        )
    if workload.task in SINGLE_CALLS and workload.code != "none":
        found.append(
            Contradiction(
                ("code", "task"), f"{workload.task} runs no code", "leave one of them out: what runs code is an agent"
            )
        )
    if workload.code == "repository" and workload.steps < FEW_STEPS:
        found.append(
            Contradiction(
                ("code", "steps"),
                f"a coding agent reads, changes and tests, which is more than {workload.steps} model requests",
                f"say {FEW_STEPS} steps or more, or `snippets` for code that is run once",
            )
        )
    if workload.pause_hours is not None and workload.pauses == 0:
        found.append(
            Contradiction(
                ("pause_hours", "pauses"), "pauses have a length, and there are none", "say how many pauses a run makes"
            )
        )
    if workload.begins_anew and workload.pauses:
        found.append(
            Contradiction(
                ("begins_anew", "pauses"),
                "a run that begins anew asks its question again, so nobody's answer would ever reach it",
                "leave one of them out",
            )
        )
    if workload.begins_anew and workload.outlives_deploys:
        found.append(
            Contradiction(
                ("begins_anew", "outlives_deploys"),
                "a run that may begin anew needs not outlive a deploy: it is started again after it",
                "leave one of them out",
            )
        )
    return tuple(found)

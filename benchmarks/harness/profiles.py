"""Which trials a run of the benchmark is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, TypeAlias

from benchmarks.harness.person import READ_SECONDS
from benchmarks.workloads import coding
from triptych.errors import ConfigurationError
from triptych.settings import ScriptedSettings

ProfileName: TypeAlias = Literal["smoke", "full"]

PACE = ScriptedSettings(first_token_seconds=0.15, chunk_seconds=0.01, chunk_characters=24)
"""A fast provider's: about 150 ms to the first token, and some 600 tokens a second from there."""
NO_DELAY = ScriptedSettings()
"""No delay, where it is the architecture's own time that is measured."""
TIME_SCALE = 3600.0
"""Of what waits for a person: an hour is a second."""


class Spec(NamedTuple):
    """One trial of each round and arm."""

    workload: str
    plan: str
    items: int
    pace: ScriptedSettings = PACE
    at_once: int | None = None
    """None: all items are handed in at the start."""
    deadline_seconds: float = 420.0
    read_seconds: float = READ_SECONDS
    """How long it is read what an arm holds and uses while all wait for a person."""

    @property
    def runs_code(self) -> bool:
        """Whether its items have code of the model's run."""
        return self.workload == coding.NAME


class Profile(NamedTuple):
    """What is run."""

    arms: tuple[str, ...]
    rounds: int
    specs: tuple[Spec, ...]
    fewer: Mapping[str, frozenset[tuple[str, str]]] = {}
    """Arms that are given a part of it alone: of which workloads, under which plans."""

    def specs_of(self, arm: str) -> list[tuple[int, Spec]]:
        """Return the trials that an arm is given, each with its number among all."""
        wanted = self.fewer.get(arm)
        return [
            (at, spec) for at, spec in enumerate(self.specs) if wanted is None or (spec.workload, spec.plan) in wanted
        ]

    def planned(self) -> dict[str, int]:
        """Return how many trials there are in all, by arm."""
        return {arm: self.rounds * len(self.specs_of(arm)) for arm in self.arms}


def with_workloads(profile: Profile, workloads: Sequence[str]) -> Profile:
    """Return a profile with so much of it as is about these workloads.

    Args:
        profile: The whole.
        workloads: Their names.

    Raises:
        ConfigurationError: it has none of a name, or nothing of them for its arms.
    """
    has = dict.fromkeys(spec.workload for spec in profile.specs)
    unknown = [name for name in workloads if name not in has]
    if unknown:
        raise ConfigurationError(f"the profile has no workload {', '.join(unknown)}: choose from {', '.join(has)}")
    part = profile._replace(specs=tuple(spec for spec in profile.specs if spec.workload in workloads))
    arms = tuple(arm for arm in part.arms if part.specs_of(arm))
    if not arms:
        raise ConfigurationError(f"of {', '.join(workloads)} the profile has nothing for {', '.join(profile.arms)}")
    return part._replace(arms=arms)


LENGTHS = (10, 50, 200)
"""Tool calls of a run whose checkpoints are measured."""
IN_FLIGHT = {1: 3, 20: 40, 100: 100}
"""Runs under way at once where their number a second is measured, and how many there are in all."""
_STEPS = frozenset((f"steps-{length}", "none") for length in LENGTHS)
STORE = _STEPS | {("retail", plan) for plan in ("none", "kills", "store_outage")}
"""What the store makes a difference to: an arm that differs from another in its store alone is asked no more."""
DURABILITY = _STEPS | {("retail", plan) for plan in ("none", "kills", "deploy")} | {("approvals", "none")}
"""What is asked of a binding that takes minutes to find out that a run has died: each trial of it waits for that."""

PROFILES: dict[ProfileName, Profile] = {
    "smoke": Profile(
        arms=("while_loop", "monolith", "layered"),
        rounds=1,
        specs=(
            Spec("retail", "none", 3),
            Spec("steps-10", "none", 1, pace=NO_DELAY),
            Spec("retail", "mixed", 6),
            Spec("approvals", "restart", 4),
            Spec("retail", "deploy", 2),
        ),
    ),
    # A round of it takes two cores an hour.
    "full": Profile(
        arms=(
            "while_loop",
            "while_loop_keyed",
            "monolith",
            "layered",
            "layered_s3",
            "prefect_durability",
            "dbos",
        ),
        rounds=3,
        specs=(
            Spec("retail", "none", 8),
            Spec("retail", "tool_errors", 8),
            Spec("retail", "slow_tools", 8),
            Spec("retail", "model_errors", 8),
            Spec("retail", "kills", 8),
            Spec("retail", "kills_all", 8),
            Spec("retail", "restart", 6),
            Spec("retail", "store_outage", 6),
            Spec("retail", "deploy", 4),
            # What an arm does every so often, as send a heartbeat each half minute, is a part of what it costs to wait.
            Spec("approvals", "none", 6, read_seconds=30.0),
            Spec("approvals", "restart", 6, read_seconds=10.0),
            Spec("coding", "none", 4),
            Spec("coding", "kills", 4),
            *(Spec(f"steps-{length}", "none", 1, pace=NO_DELAY) for length in LENGTHS),
            *(Spec("throughput", "none", items, NO_DELAY, at_once, 900.0) for at_once, items in IN_FLIGHT.items()),
        ),
        fewer={"layered_s3": STORE, "prefect_durability": DURABILITY},
    ),
}

"""The decision matrix, as data: which of a workload's traits asks for how much.

Each row asks for as much as it needs and no more. Of the rows that hold, those that ask for the most decide. One row
alone, `dear failures`, goes by what was measured, and only where the reader has said what a failure costs and how often
a run meets a crash, which no benchmark can know.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from triptych.advice.sums import Arithmetic
from triptych.advice.workload import FEW_STEPS, Workload

Recommendation: TypeAlias = Literal["one plain model call", "loop only", "loop + runtime", "all three"]
"""From the least to the most. All three: loop, runtime and sandbox."""
CALL: Recommendation = "one plain model call"
LOOP: Recommendation = "loop only"
RUNTIME: Recommendation = "loop + runtime"
ALL: Recommendation = "all three"
RECOMMENDATIONS: tuple[Recommendation, ...] = get_args(Recommendation)
LONG_MINUTES = 15.0
"""What a function-as-a-service allows at most (AWS Lambda: 900 seconds)."""


@dataclass(frozen=True)
class Row:
    """One row of the matrix."""

    name: str
    condition: str
    applies: Callable[[Workload, Arithmetic | None], bool]
    recommendation: Recommendation
    reason: str


MATRIX: tuple[Row, ...] = (
    Row(
        "single call",
        "one model request, and no route to take by it",
        lambda it, _: it.steps == 1 and it.task != "routing",
        CALL,
        "One structured answer, and nothing goes back to the model: there is no loop to run.",
    ),
    Row(
        "few steps",
        f"under {FEW_STEPS} steps: routing, or more than a single request",
        lambda it, _: it.steps < FEW_STEPS and (it.steps > 1 or it.task == "routing"),
        LOOP,
        "So short a run keeps nothing that is worth a checkpoint: one that dies begins anew.",
    ),
    Row(
        "begins anew",
        f"{FEW_STEPS} steps or more, and a run that dies may begin anew",
        lambda it, _: it.steps >= FEW_STEPS and it.begins_anew,
        LOOP,
        "It changes nothing outside and may be paid twice, so beginning anew is all the recovery it needs.",
    ),
    Row(
        "several steps",
        f"{FEW_STEPS} steps or more, routing included, and a run that dies may not begin anew",
        lambda it, _: it.steps >= FEW_STEPS and not it.begins_anew,
        RUNTIME,
        "Each step that is done has been paid and may have changed something; without checkpoints a run that dies does "
        "all of them again.",
    ),
    Row(
        "pauses",
        "waits for a person or an event outside",
        lambda it, _: it.pauses > 0,
        RUNTIME,
        "What was asked has to be there when the answer comes, and no process should be kept for that long.",
    ),
    Row(
        "outlives deploys",
        "a run under way at a deploy has to end",
        lambda it, _: it.outlives_deploys,
        RUNTIME,
        "A deploy ends the process; the run goes on from its last checkpoint in the next one.",
    ),
    Row(
        "long",
        f"2 steps or more that work longer than {LONG_MINUTES:.0f} minutes, and may not begin anew",
        lambda it, _: it.steps > 1 and (it.minutes or 0) > LONG_MINUTES and not it.begins_anew,
        RUNTIME,
        f"{LONG_MINUTES:.0f} minutes are the most that a function-as-a-service gives, and a process that lives longer "
        "will meet a deploy or a crash.",
    ),
    Row(
        "dear failures",
        "failures, as measured and at your price, cost more in any loop than the runtime does",
        lambda _, sums: sums is not None and sums.against_loops is not None and sums.against_loops.pays is True,
        RUNTIME,
        "With what crashes make of 10,000 runs, every loop that was measured comes to more than the runtime.",
    ),
    Row(
        "model's code",
        "code that a model wrote is run",
        lambda it, _: it.code == "snippets",
        ALL,
        "Code that a model wrote runs in a box without network or credential, and nowhere else; a box that dies is "
        "replaced by the runtime.",
    ),
    Row(
        "coding agents",
        "works on a whole repository and runs its tests",
        lambda it, _: it.code == "repository",
        ALL,
        "A coding agent runs what it wrote, for many steps, beside others: each needs a box of its own, and a run that "
        "outlives the box.",
    ),
)

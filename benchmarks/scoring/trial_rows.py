"""The rows that are about one trial: what it used, its deploys, how many runs it made, and what a checkpoint costs."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence

from benchmarks.contract import Trial
from benchmarks.scoring.frames import NEVER, Row
from benchmarks.scoring.ledgers import invocations
from benchmarks.scoring.rates import Compute, Rates, compute_cost
from benchmarks.scoring.seen import SeenItem, SeenTrial, key

BARE = "while_loop"
"""The arm that makes no checkpoint: what a step takes over its step is what a checkpoint costs."""
NO_FAULTS = "none"
"""The plan without any."""
STEPS, THROUGHPUT = "steps-", "throughput-"
"""How workloads begin whose names end with their runs' length, or with how many are in flight."""
_HOUR_SECONDS = 3600.0
_MIB_IN_GIB = 1024.0


def compute_of(seen: SeenTrial, rates: Rates) -> Compute | None:
    """Return what the trial's processes cost; None where they were not measured."""
    trial = seen.trial
    if trial.used is None:
        return None
    wait_seconds = _longest_wait_hours(trial) * _HOUR_SECONDS
    return compute_cost(rates, trial.arm, trial.used, invocations=_invocations(seen), wait_seconds=wait_seconds)


def _longest_wait_hours(trial: Trial) -> float:
    """Return how long a person takes at most for an item that was asked about: they wait side by side."""
    asked = {each.item for each in trial.came_of if each.asked}
    return max((item.wait_hours for item in trial.items if item.id in asked), default=0.0)


def _invocations(seen: SeenTrial) -> int:
    return sum(invocations(lines) for lines in seen.ledger.values())


def use_rows(seen: SeenTrial, compute: Compute | None) -> list[Row]:
    """Return the row of what a trial used; none where it was not measured."""
    trial = seen.trial
    if trial.used is None or compute is None:
        return []
    used, other = trial.used, trial.used.other_cpu_seconds
    return [
        {
            **key(trial),
            "items": len(trial.items),
            "seconds": used.seconds,
            "cpu_seconds": used.cpu_seconds,
            "peak_memory_mib": used.peak_memory_mib,
            "memory_gib_seconds": used.memory_gib_seconds,
            "idle_seconds": used.idle_seconds,
            "idle_cpu_seconds": used.idle_cpu_seconds,
            "idle_gib_seconds": used.idle_gib_seconds,
            "idle_memory_mib": _MIB_IN_GIB * used.idle_gib_seconds / (used.idle_seconds or math.nan),
            "idle_cores": used.idle_cpu_seconds / (used.idle_seconds or math.nan),
            "longest_wait_hours": _longest_wait_hours(trial),
            "time_scale": trial.time_scale,
            "state_bytes": used.state_bytes,
            "containers_left": math.nan if used.containers_left is None else used.containers_left,
            "other_cores": math.nan if other is None else other / (used.seconds or math.nan),
            "invocations": _invocations(seen),
            "cost_compute_usd": compute.busy_usd,
            "cost_idle_usd": compute.idle_usd,
        }
    ]


def deploy_rows(trial: Trial) -> list[Row]:
    """Return a row for each deploy amid a trial."""
    rows: list[Row] = []
    for number, deploy in enumerate(trial.deploys):
        minutes = NEVER if deploy.serving_seconds is None else deploy.serving_seconds / 60
        rows.append(
            {
                **key(trial),
                "deploy": number,
                "parts": json.dumps(deploy.parts),
                "serving_minutes": minutes,
                "lost": deploy.lost,
                "minutes": NEVER if deploy.lost else minutes,
            }
        )
    return rows


def throughput_rows(trial: Trial) -> list[Row]:
    """Return the row of how many runs a second a trial made; none where that is not what it was for."""
    in_flight = _number(trial, THROUGHPUT)
    if in_flight is None or trial.used is None or trial.used.seconds <= 0:
        return []
    runs = sum(each.state == "done" for each in trial.came_of)
    seconds = trial.used.seconds
    rate = {"in_flight": in_flight, "runs": runs, "seconds": seconds, "runs_per_second": runs / seconds}
    return [{**key(trial), **rate}]


def _number(trial: Trial, workload: str) -> int | None:
    """Return what a workload's name ends with; None: it is another one, or faults were to strike."""
    number = trial.workload.removeprefix(workload)
    if trial.plan.name != NO_FAULTS or number == trial.workload or not number.isdecimal():
        return None
    return int(number)


def checkpoint_rows(seen: Sequence[SeenTrial]) -> list[Row]:
    """Return a row for each run that was made to see what a checkpoint costs.

    Args:
        seen: All trials: a run is held against the bare ones of its own round and length, so that a machine that is
            slow for a while slows both.
    """
    of = [each for each in seen if _number(each.trial, STEPS) is not None]
    runs = [(each, item, seconds) for each in of for item in each.items if (seconds := _seconds(item)) is not None]
    bare: dict[tuple[int, int], list[float]] = {}
    for _, item, seconds in runs:
        if item.trial.arm == BARE:
            bare.setdefault(_beside(item), []).append(seconds)
    rows: list[Row] = []
    for each, item, seconds in runs:
        steps, used = len(item.item.actions), each.trial.used
        beside = statistics.median(bare.get(_beside(item), [math.nan]))
        all_steps = sum(len(other.actions) for other in each.trial.items)
        rows.append(
            {
                **item.key,
                "steps": steps,
                "seconds": seconds,
                "bare_seconds": beside,
                "ms_per_step": math.nan if item.trial.arm == BARE else 1000 * (seconds - beside) / steps,
                "state_bytes_per_step": math.nan if used is None else used.state_bytes / all_steps,
            }
        )
    return rows


def _beside(item: SeenItem) -> tuple[int, int]:
    return item.trial.round, len(item.item.actions)


def _seconds(item: SeenItem) -> float | None:
    """Return how long a run took from its first request to its last response; None where it did not end `done`."""
    requests = [line for line in item.lines if line.kind == "request"]
    began = next((line.at for line in requests if line.event == "started"), None)
    ended = next((line.at for line in reversed(requests) if line.event == "finished"), None)
    if not item.is_done or not item.item.actions or began is None or ended is None:
        return None
    return ended - began

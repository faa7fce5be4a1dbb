"""What is measured: name, unit, formula, and of which rows."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import pandas as pd

from benchmarks.scoring.frames import NEVER, Frames
from benchmarks.scoring.resampling import Statistic, Unit, quantile, rate

ALL = "all"
"""The workload or plan of a measure to which it does not matter."""
Group: TypeAlias = tuple[str, str]
"""An arm and a workload."""
Units: TypeAlias = dict[Group, list[Unit]]


class Measure(NamedTuple):
    """One measure."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    formula: str
    """For the reader of the README."""
    statistic: Statistic
    units: Callable[[Frames], Units]
    is_rate: bool = False
    is_exact: bool = False
    """It is counted and has no noise."""


_Of = Callable[[Mapping[str, Any]], float]


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return cast("list[dict[str, Any]]", frame.to_dict("records"))


def _unit(row: Mapping[str, Any], part: float, of: float = 1.0) -> Unit:
    return Unit(str(row["plan"]), int(row["round"]), str(row.get("item", "")), part, of)


def _one(row: Mapping[str, Any]) -> float:
    return 1.0


def _each(name: str, part: _Of, of: _Of = _one) -> Callable[[Frames], Units]:
    """A unit for each row of a frame that has a part and something that it is of."""

    def units_of(frames: Frames) -> Units:
        units: Units = defaultdict(list)
        for row in _records(frames._asdict()[name]):
            unit = _unit(row, part(row), of(row))
            if unit.of > 0 and not math.isnan(unit.part):
                units[row["arm"], row["workload"]].append(unit)
        return units

    return units_of


def _by_item(frame: pd.DataFrame, part: _Of, of: _Of) -> Units:
    """A unit for each item: rows of one item are never drawn apart."""
    sums: dict[Group, dict[tuple[str, int, str], list[float]]] = defaultdict(dict)
    for row in _records(frame):
        unit = _unit(row, part(row), of(row))
        total = sums[row["arm"], row["workload"]].setdefault(unit[:3], [0.0, 0.0])
        total[0] += unit.part
        total[1] += unit.of
    return {
        group: [Unit(*name, part, of) for name, (part, of) in items.items() if of > 0] for group, items in sums.items()
    }


def _column(name: str) -> _Of:
    return lambda row: float(row[name])


def _or_never(name: str) -> _Of:
    """A time of which there is none because it did not come."""
    return lambda row: NEVER if math.isnan(row[name]) else float(row[name])


def _where_any(units: Units) -> Units:
    """Only rounds with anything that the parts are of: one without crashes says nothing of them."""
    kept: Units = {}
    for group, of in units.items():
        total: dict[tuple[str, int], float] = defaultdict(float)
        for unit in of:
            total[unit.plan, unit.round] += unit.of
        kept[group] = [unit for unit in of if total[unit.plan, unit.round] > 0]
    return kept


def _persistence(frames: Frames) -> Units:
    return _by_item(frames.steps, _column("kept"), _column("completed"))


def _unavoidable(frames: Frames) -> Units:
    def only_reason(row: Mapping[str, Any]) -> float:
        return float(row["unavoidable"] and not row["corrupted"] and not row["lost"])

    return _by_item(frames.steps, only_reason, _column("completed"))


def _success(frames: Frames) -> Units:
    return _by_item(frames.effects, lambda row: float(row["success"]), _column("intended"))


def _duplicates(frames: Frames) -> Units:
    effects: dict[tuple[Any, ...], float] = defaultdict(float)
    for row in _records(frames.effects):
        effects[_who(row)] += max(row["applied"] - 1, 0)
    units: Units = defaultdict(list)
    for row in _records(frames.items):
        units[row["arm"], row["workload"]].append(_unit(row, effects[_who(row)], float(row["crashes"])))
    return _where_any(units)


def _who(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("arm", "workload", "plan", "round", "item"))


def _silent(frames: Frames) -> Units:
    units: Units = defaultdict(list)
    for row in _records(frames.items):
        units[row["arm"], row["workload"]].append(_unit(row, float(row["silent_failure"]), float(row["faults"])))
    return _where_any(units)


def _cost(*columns: str) -> Callable[[Frames], Units]:
    return _each("items", lambda row: sum(float(row[column]) for column in columns))


def _user_code(frames: Frames) -> Units:
    return {(row["arm"], ALL): [Unit(ALL, 0, "", float(row["lines"]))] for row in _records(frames.user_code)}


_MEDIAN = quantile(0.5)
_10K = 10_000.0
_COSTS = ("cost_tokens_usd", "cost_compute_usd", "cost_idle_usd")

MEASURES: tuple[Measure, ...] = (
    Measure(
        "first_token_p50",
        "ms",
        "lower",
        "median over items of `first_token_ms`; an item that never got a token counts as `inf`",
        _MEDIAN,
        _each("items", _or_never("first_token_ms")),
    ),
    Measure(
        "first_token_p95",
        "ms",
        "lower",
        "the same, 95th percentile",
        quantile(0.95),
        _each("items", _or_never("first_token_ms")),
    ),
    Measure(
        "overhead_p50",
        "ms",
        "lower",
        "median over items of `overhead_ms`, which is the architecture's own part of the first token's latency",
        _MEDIAN,
        _each("items", _or_never("overhead_ms")),
    ),
    Measure(
        "state_persistence_rate",
        "%",
        "higher",
        "100 x steps `kept` / steps `completed`",
        rate(100),
        _persistence,
        is_rate=True,
    ),
    Measure(
        "unavoidable_loss_rate",
        "%",
        "lower",
        "100 x steps that are `unavoidable` and neither `corrupted` nor `lost` / steps `completed`: the part of the "
        "loss that no architecture can avoid",
        rate(100),
        _unavoidable,
        is_rate=True,
    ),
    Measure(
        "runs_done_rate",
        "%",
        "higher",
        "100 x items that ended `done` / items",
        rate(100),
        _each("items", lambda row: float(row["state"] == "done")),
        is_rate=True,
    ),
    Measure(
        "deployment_overhead",
        "minutes",
        "lower",
        "median over deploys of `minutes`: a deploy that lost a run counts as `inf`",
        _MEDIAN,
        _each("deploys", _column("minutes")),
    ),
    Measure(
        "deployment_serving",
        "minutes",
        "lower",
        "median over deploys of `serving_minutes`, whatever was lost",
        _MEDIAN,
        _each("deploys", _column("serving_minutes")),
    ),
    Measure(
        "runs_lost_per_deploy",
        "runs",
        "lower",
        "`lost` / deploys",
        rate(),
        _each("deploys", _column("lost")),
        is_rate=True,
    ),
    Measure(
        "tool_call_success_rate",
        "%",
        "higher",
        "100 x effects with `success` / effects `intended`",
        rate(100),
        _success,
        is_rate=True,
    ),
    Measure(
        "cost_per_10k_runs",
        "USD",
        "lower",
        "10000 x (`cost_tokens_usd` + `cost_compute_usd` + `cost_idle_usd`) / items handed in",
        rate(_10K),
        _cost(*_COSTS),
        is_rate=True,
    ),
    *(
        Measure(
            f"{column.removesuffix('_usd')}_per_10k_runs",
            "USD",
            "lower",
            f"the part of it that is `{column}`",
            rate(_10K),
            _cost(column),
            is_rate=True,
        )
        for column in _COSTS
    ),
    Measure(
        "duplicate_effects_per_100_crashes",
        "effects",
        "lower",
        "100 x sum over effects of (`applied` - 1 where it is more than once) / `crashes`, over trials that had any",
        rate(100),
        _duplicates,
        is_rate=True,
    ),
    Measure(
        "silent_failures_per_100_faults",
        "runs",
        "lower",
        "100 x items with `silent_failure` / `faults`, over trials that had any",
        rate(100),
        _silent,
        is_rate=True,
    ),
    Measure(
        "credentials_taken_per_100_runs",
        "runs",
        "lower",
        "100 x items with `credential_taken` / items with `runs_code`",
        rate(100),
        _each("items", _column("credential_taken"), _column("runs_code")),
        is_rate=True,
    ),
    Measure(
        "approvals_asked_again",
        "per 100 approvals",
        "lower",
        "100 x `asked_again` / (`asked` - `asked_again`)",
        rate(100),
        _each("items", _column("asked_again"), lambda row: float(row["asked"]) - float(row["asked_again"])),
        is_rate=True,
    ),
    Measure(
        "recovery_p50",
        "s",
        "lower",
        "median over items of `recovery_seconds`, where there is one",
        _MEDIAN,
        _each("items", _column("recovery_seconds")),
    ),
    Measure(
        "checkpoint_ms",
        "ms",
        "lower",
        "median over runs of `ms_per_step`; by the workload's length",
        _MEDIAN,
        _each("checkpoints", _column("ms_per_step")),
    ),
    Measure(
        "checkpoint_bytes",
        "bytes",
        "lower",
        "median over runs of `state_bytes_per_step`; by the workload's length",
        _MEDIAN,
        _each("checkpoints", _column("state_bytes_per_step")),
    ),
    Measure(
        "runs_per_second",
        "1/s",
        "higher",
        "median over trials of `runs_per_second`; by how many are in flight",
        _MEDIAN,
        _each("throughput", _column("runs_per_second")),
    ),
    Measure(
        "containers_left",
        "containers",
        "lower",
        "`containers_left` / trials with Docker",
        rate(),
        _each("use", _column("containers_left")),
        is_rate=True,
    ),
    Measure(
        "peak_memory",
        "MiB",
        "lower",
        "median over trials of `peak_memory_mib`",
        _MEDIAN,
        _each("use", _column("peak_memory_mib")),
    ),
    Measure(
        "idle_memory",
        "MiB",
        "lower",
        "median over trials of `idle_memory_mib`: what is held while every item under way waits for a person",
        _MEDIAN,
        _each("use", _column("idle_memory_mib")),
    ),
    Measure(
        "idle_cpu",
        "cores",
        "lower",
        "median over trials of `idle_cores`: what is used meanwhile",
        _MEDIAN,
        _each("use", _column("idle_cores")),
    ),
    Measure(
        "user_code_lines",
        "lines",
        "lower",
        "`lines` of `user_code`",
        _MEDIAN,
        _user_code,
        is_exact=True,
    ),
)


def table(measures: Iterable[Measure] = MEASURES) -> str:
    """Return the measures as the README has them."""
    rows = "".join(f"| `{each.name}` | {each.unit} | {each.better} | {each.formula} |\n" for each in measures)
    return f"| measure | unit | better | formula |\n|---|---|---|---|\n{rows}"

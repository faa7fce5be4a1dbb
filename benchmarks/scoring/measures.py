"""What is measured: name, unit, formula, and of which rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple, TypeAlias

from benchmarks.scoring import units
from benchmarks.scoring.resampling import Statistic, quantile, rate
from benchmarks.scoring.units import UnitsOf, column, each, or_never

Noise: TypeAlias = Literal["rounds", "items", "none"]
"""What an interval is made of.

rounds: of what lies between rounds, where a figure depends on the machine, or a trial has one. items: of rounds and
items, where it counts what became of items, which no slow machine changes. none: it is exact.
"""


class Measure(NamedTuple):
    """One measure."""

    name: str
    unit: str
    better: Literal["lower", "higher"]
    formula: str
    """For the reader of the README."""
    statistic: Statistic
    units: UnitsOf
    is_rate: bool = False
    noise: Noise = "rounds"


_MEDIAN = quantile(0.5)
_10K = 10_000.0
_BILLED: tuple[tuple[str, UnitsOf, Noise], ...] = (
    ("cost_tokens_usd", each("items", column("cost_tokens_usd")), "items"),
    ("cost_compute_usd", units.cost("cost_compute_usd"), "rounds"),
    ("cost_idle_usd", units.cost("cost_idle_usd"), "rounds"),
)

MEASURES: tuple[Measure, ...] = (
    Measure(
        "first_token_p50",
        "ms",
        "lower",
        "median over items of `first_token_ms`; an item that never got a token counts as `inf`",
        _MEDIAN,
        each("items", or_never("first_token_ms")),
    ),
    Measure(
        "first_token_p95",
        "ms",
        "lower",
        "the same, 95th percentile",
        quantile(0.95),
        each("items", or_never("first_token_ms")),
    ),
    Measure(
        "overhead_p50",
        "ms",
        "lower",
        "median over items of `overhead_ms`, which is the architecture's own part of the first token's latency",
        _MEDIAN,
        each("items", or_never("overhead_ms")),
    ),
    Measure(
        "state_persistence_rate",
        "%",
        "higher",
        "100 x steps `kept` / steps `completed`",
        rate(100),
        units.persistence,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "unavoidable_loss_rate",
        "%",
        "lower",
        "100 x steps that are `unavoidable` and neither `corrupted` nor `lost` / steps `completed`: the part of the "
        "loss that no architecture can avoid",
        rate(100),
        units.unavoidable,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "runs_done_rate",
        "%",
        "higher",
        "100 x items that ended `done` / items",
        rate(100),
        each("items", lambda row: float(row["state"] == "done")),
        is_rate=True,
        noise="items",
    ),
    Measure(
        "deployment_overhead",
        "minutes",
        "lower",
        "median over deploys of `minutes`: a deploy that lost a run counts as `inf`",
        _MEDIAN,
        each("deploys", column("minutes")),
    ),
    Measure(
        "deployment_serving",
        "minutes",
        "lower",
        "median over deploys of `serving_minutes`, whatever was lost",
        _MEDIAN,
        each("deploys", column("serving_minutes")),
    ),
    Measure(
        "runs_lost_per_deploy",
        "runs",
        "lower",
        "`lost` / deploys",
        rate(),
        each("deploys", column("lost")),
        is_rate=True,
    ),
    Measure(
        "tool_call_success_rate",
        "%",
        "higher",
        "100 x effects with `success` / effects `intended`",
        rate(100),
        units.success,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "cost_per_10k_runs",
        "USD",
        "lower",
        "10000 x (`cost_tokens_usd` + `cost_compute_usd` + `cost_idle_usd`) / items handed in",
        rate(_10K),
        units.cost(*(name for name, _, _ in _BILLED)),
        is_rate=True,
    ),
    *(
        Measure(
            f"{name.removesuffix('_usd')}_per_10k_runs",
            "USD",
            "lower",
            f"the part of it that is `{name}`",
            rate(_10K),
            units_of,
            is_rate=True,
            noise=noise,
        )
        for name, units_of, noise in _BILLED
    ),
    Measure(
        "duplicate_effects_per_100_crashes",
        "effects",
        "lower",
        "100 x sum over effects of (`applied` - 1 where it is more than once) / `crashes`, over trials that had any",
        rate(100),
        units.duplicates,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "silent_failures_per_100_faults",
        "runs",
        "lower",
        "100 x items with `silent_failure` / `faults`, over trials that had any",
        rate(100),
        units.silent,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "credentials_taken_per_100_runs",
        "runs",
        "lower",
        "100 x items with `credential_taken` / items with `runs_code`",
        rate(100),
        each("items", column("credential_taken"), column("runs_code")),
        is_rate=True,
        noise="items",
    ),
    Measure(
        "unasked_effects_per_100_approvals",
        "effects",
        "lower",
        "100 x `unasked` / effects with `needs_person`",
        rate(100),
        units.unasked,
        is_rate=True,
        noise="items",
    ),
    Measure(
        "approvals_asked_again",
        "per 100 approvals",
        "lower",
        "100 x `asked_again` / (`asked` - `asked_again`)",
        rate(100),
        each("items", column("asked_again"), lambda row: float(row["asked"]) - float(row["asked_again"])),
        is_rate=True,
        noise="items",
    ),
    Measure(
        "recovery_p50",
        "s",
        "lower",
        "median over items of `recovery_seconds`, where there is one",
        _MEDIAN,
        each("items", column("recovery_seconds")),
    ),
    Measure(
        "checkpoint_ms",
        "ms",
        "lower",
        "median over runs of `ms_per_step`; by the workload's length",
        _MEDIAN,
        each("checkpoints", column("ms_per_step")),
    ),
    Measure(
        "checkpoint_bytes",
        "bytes",
        "lower",
        "median over runs of `state_bytes_per_step`; by the workload's length",
        _MEDIAN,
        each("checkpoints", column("state_bytes_per_step")),
    ),
    Measure(
        "runs_per_second",
        "1/s",
        "higher",
        "median over trials of `runs_per_second`; by how many are in flight",
        _MEDIAN,
        each("throughput", column("runs_per_second")),
    ),
    Measure(
        "containers_left",
        "containers",
        "lower",
        "`containers_left` / trials with Docker",
        rate(),
        each("use", column("containers_left")),
        is_rate=True,
    ),
    Measure(
        "peak_memory",
        "MiB",
        "lower",
        "median over trials of `peak_memory_mib`",
        _MEDIAN,
        each("use", column("peak_memory_mib")),
    ),
    Measure(
        "idle_memory",
        "MiB",
        "lower",
        "median over trials of `idle_memory_mib`: what is held while every item under way waits for a person",
        _MEDIAN,
        each("use", column("idle_memory_mib")),
    ),
    Measure(
        "idle_cpu",
        "cores",
        "lower",
        "median over trials of `idle_cores`: what is used meanwhile",
        _MEDIAN,
        each("use", column("idle_cores")),
    ),
    Measure(
        "user_code_lines",
        "lines",
        "lower",
        "`lines` of `user_code`",
        _MEDIAN,
        units.user_code,
        noise="none",
    ),
)


def table(measures: Iterable[Measure] = MEASURES) -> str:
    """Return the measures as the README has them."""
    rows = "".join(f"| `{of.name}` | {of.unit} | {of.better} | {of.noise} | {of.formula} |\n" for of in measures)
    return f"| measure | unit | better | interval of | formula |\n|---|---|---|---|---|\n{rows}"

"""The frames, and what each of their columns means. `benchmarks/README.md` shows these tables; a test holds them equal.

Every frame is tidy: one row is one thing, and a column has one unit, which its name ends with where it can. The frames
hold all that measures are computed from, so that a result that was written out can be measured again.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, TypeAlias

import pandas as pd

Cell: TypeAlias = str | int | float | bool
Row: TypeAlias = dict[str, Cell]


class Column(NamedTuple):
    """One column of a frame."""

    type: Literal["str", "int", "float", "bool"]
    meaning: str


NEVER = math.inf
"""What stands for the time of something that was waited for and did not come."""

_TRIAL: dict[str, Column] = {
    "arm": Column("str", "which architecture"),
    "workload": Column("str", "what it was given to do"),
    "plan": Column("str", "the fault plan's name; `none`: no fault"),
    "round": Column("int", "in which round; every arm has its turn in each"),
}
_ITEM: dict[str, Column] = {**_TRIAL, "item": Column("str", "the item's id")}
_SHARE = "dollars, its share of the trial's"

ITEMS: dict[str, Column] = {
    **_ITEM,
    "state": Column("str", "how it stood at last: `done`, `failed`, `waiting`, `running`, `unknown`"),
    "ended": Column("bool", "it came to an end in time, whichever"),
    "answer_right": Column("bool", "its answer is the right course's, but for space at its ends"),
    "submitted_at": Column("float", "Unix time in seconds"),
    "ended_at": Column("float", "Unix time in seconds; empty: it did not end in time"),
    "seconds": Column("float", "from submission to end; empty: it did not end in time"),
    "first_token_ms": Column("float", "from submission to the first chunk of any response; empty: none came"),
    "overhead_ms": Column("float", "from submission to the arrival of its first model request; empty: none came"),
    "waited_seconds": Column("float", "waiting for a person, in seconds of the harness's time: all its waits together"),
    "asked": Column("int", "how often a person was asked, again included"),
    "asked_again": Column("int", "how often about a call that had been decided before"),
    "requests_paid": Column("int", "model requests that were done in full, repeated ones included"),
    "input_tokens": Column("int", "of the requests paid"),
    "output_tokens": Column("int", "of the requests paid"),
    "cost_tokens_usd": Column("float", "dollars for those, at the list price of the model that arms ask for"),
    "cost_compute_usd": Column("float", f"{_SHARE} for what it used but while all waited; empty: not measured"),
    "cost_idle_usd": Column(
        "float", f"{_SHARE} for what is held and used while people are waited for; empty: not measured"
    ),
    "crashes": Column("float", "SIGKILLs of its own process by the plan, and its share of the restarts that struck"),
    "killed": Column("int", "SIGKILLs of its own process by the plan"),
    "faults": Column("float", "attempts of its steps that a fault met, and its share of the happenings that struck"),
    "recovery_seconds": Column(
        "float",
        "from a kill, or a restart that met it under way, to the next step that begins, or to its end; the longest; "
        "`inf`: nothing came after; empty: there was neither, or a person was waited for meanwhile",
    ),
    "silent_failure": Column(
        "bool",
        "it ended `done` with an effect lost, doubled, denied, made unasked or not as it was told, or told wrongly of "
        "its code, or with another answer than the right one, or with a step of its course never done",
    ),
    "runs_code": Column("bool", "code of the model's is run in its course"),
    "credential_taken": Column("bool", "that code came to the world with the credential of the model's provider"),
}
"""A row: one item in one trial."""

STEPS: dict[str, Column] = {
    **_ITEM,
    "kind": Column("str", "`request` or `call`"),
    "step": Column("int", "which request or call of the item, from 0"),
    "attempts": Column("int", "how often it was begun; 0: never"),
    "completed": Column("bool", "it was done in full at least once, whether or not the answer got out"),
    "finished_times": Column("int", "how often it was done in full"),
    "executed_again": Column("bool", "it was begun again after it had been done, or was done more than once"),
    "corrupted": Column("bool", "a later request had a wrong result of it, or none"),
    "lost": Column("bool", "it was completed, and its item did not end `done`"),
    "kept": Column("bool", "it was completed and none of these three"),
    "unavoidable": Column(
        "bool",
        "it was executed again, and each time because a fault had kept the answer to the execution before from being "
        "read: no architecture can know that it was done",
    ),
}
"""A row: one logical step of one item in one trial, those that never began included."""

EFFECTS: dict[str, Column] = {
    **_ITEM,
    "step": Column("int", "which call of the item"),
    "tool": Column("str", "the tool's name"),
    "intended": Column("int", "1: it was to be made, once; 0: a person denies it, or it is none of the right course's"),
    "applied": Column("int", "how often the shop made it"),
    "needs_person": Column("bool", "a person has to approve it, and does where asked"),
    "unasked": Column("int", "of such: how often the shop made it before a person had approved it"),
    "right_result": Column("bool", "the last request after it had its right result"),
    "success": Column("bool", "intended, applied exactly once, not unasked, with the right result"),
}
"""A row: one effect that was intended or made, in one trial."""

CHECKPOINTS: dict[str, Column] = {
    **_ITEM,
    "steps": Column("int", "tool calls of the run; as many checkpointed steps are a request and a call each"),
    "seconds": Column("float", "from its first request's arrival to its last response's end: no start, no hand-in"),
    "bare_seconds": Column("float", "the same of `while_loop` in the same round at the same length; empty: none"),
    "ms_per_step": Column("float", "what a step took over the bare one; empty for `while_loop` itself"),
    "state_bytes_per_step": Column("float", "what its arm's kept state grew by; empty: not measured"),
}
"""A row: one run of a workload `steps-<length>` without faults that ended `done`."""

THROUGHPUT: dict[str, Column] = {
    **_TRIAL,
    "in_flight": Column("int", "runs under way at once"),
    "runs": Column("int", "runs that ended `done`"),
    "seconds": Column("float", "from the first one's submission to the last one's end"),
    "runs_per_second": Column("float", "runs that ended `done`, by seconds"),
}
"""A row: one trial of a workload `throughput-<in flight>` without faults."""

DEPLOYS: dict[str, Column] = {
    **_TRIAL,
    "deploy": Column("int", "which of the trial, from 0"),
    "parts": Column("str", "what was done, in order: JSON, name to seconds"),
    "serving_minutes": Column("float", "from the changed line to the new version serving; `inf`: it never did"),
    "lost": Column("int", "runs in flight that did not end `done`"),
    "minutes": Column("float", "the same as `serving_minutes` if no run was lost, else `inf`"),
}
"""A row: one deploy amid a trial."""

USE: dict[str, Column] = {
    **_TRIAL,
    "items": Column("int", "items handed in"),
    "seconds": Column("float", "from the first one's submission to the last one's end"),
    "cpu_seconds": Column("float", "of all processes of the arm"),
    "peak_memory_mib": Column("float", "proportional set sizes of all processes together, at their highest"),
    "memory_gib_seconds": Column("float", "memory held, over the trial"),
    "idle_seconds": Column(
        "float", "in which every item under way waited for a person, and had done so for two seconds"
    ),
    "idle_cpu_seconds": Column("float", "used in those"),
    "idle_gib_seconds": Column("float", "memory held, over those"),
    "idle_memory_mib": Column("float", "memory held in one of those; empty: there was none"),
    "idle_cores": Column("float", "CPU seconds used in one of those; empty: there was none"),
    "longest_wait_hours": Column(
        "float", "how long a person takes at most of those who were asked, in the workload's time; 0: nobody was"
    ),
    "time_scale": Column(
        "float", "seconds of the workload's time in one of the harness's, where a person is waited for"
    ),
    "state_bytes": Column("int", "what the arm's kept state grew by"),
    "containers_left": Column("float", "containers left behind; empty: no Docker in this trial"),
    "other_cores": Column(
        "float", "cores that all else on the machine used meanwhile, world and harness included; empty: not known"
    ),
    "invocations": Column("int", "how often an item's run began from its first request: what a function is billed by"),
    "cost_compute_usd": Column("float", "dollars for what was used, but while all waited"),
    "cost_idle_usd": Column(
        "float",
        "dollars for idle memory and cores over the longest wait; empty: somebody was asked, and no idle second",
    ),
}
"""A row: one trial whose processes were measured."""

USER_CODE: dict[str, Column] = {
    "arm": Column("str", "which architecture"),
    "lines": Column("int", "lines that hold code its user writes: no blank ones, comments or docstrings"),
}
"""A row: one arm."""

ARM_FAILURES: dict[str, Column] = {
    **_TRIAL,
    "what": Column("str", "what the arm could not do that it was asked for"),
}
"""A row: one trial that such a failure cut short. It counts: what had not ended by then has not ended."""

LEFT_OUT: dict[str, Column] = {
    **_TRIAL,
    "items": Column("int", "how many items this is about"),
    "item": Column("str", "the item's id; empty: all of the trial's"),
    "reason": Column("str", "why it is in no measure"),
}
"""A row: one trial or item that says nothing about its arm, because the harness failed or the plan did not strike."""

MEASURES: dict[str, Column] = {
    "arm": Column("str", "which architecture"),
    "workload": Column("str", "what it was given to do; `all` where it does not matter"),
    "plan": Column("str", "the fault plan's name; `all faults`: every one but `none`; `all` where it does not matter"),
    "measure": Column("str", "which; see the table of measures"),
    "unit": Column("str", "of value, low and high"),
    "better": Column("str", "`lower` or `higher`"),
    "value": Column("float", "the measured figure; `inf`: never"),
    "low": Column("float", "95% interval; empty: too few rounds, runs or trials for one"),
    "high": Column("float", "95% interval"),
    "n": Column("int", "runs, trials or deploys that it is computed from; of compute, idle and total cost: trials"),
    "part": Column("float", "of a rate: what was counted, before it is scaled to the unit; else empty"),
    "of": Column("float", "of a rate: of how many; else empty"),
}
"""A row: one measure of one arm on one workload under one plan."""

DIFFERENCES: dict[str, Column] = {
    **{name: MEASURES[name] for name in ("workload", "plan", "measure", "unit", "better")},
    "arm_a": Column("str", "the arm that is looked at"),
    "arm_b": Column("str", "the arm that it is held against"),
    "value_a": Column("float", "over the rounds that both have"),
    "value_b": Column("float", "over the rounds that both have"),
    "difference": Column("float", "a less b; 0 where both are never"),
    "low": Column("float", "95% interval of the difference; empty: there is none"),
    "high": Column("float", "95% interval of the difference"),
    "verdict": Column(
        "str", "of a: `better`, `worse`, `inside the noise` (the interval holds 0), `no interval` (too few rounds)"
    ),
}
"""A row: one measure that two arms have."""

COLUMNS: Mapping[str, Mapping[str, Column]] = {
    "items": ITEMS,
    "steps": STEPS,
    "effects": EFFECTS,
    "checkpoints": CHECKPOINTS,
    "throughput": THROUGHPUT,
    "deploys": DEPLOYS,
    "use": USE,
    "user_code": USER_CODE,
    "arm_failures": ARM_FAILURES,
    "left_out": LEFT_OUT,
    "measures": MEASURES,
    "differences": DIFFERENCES,
}


class Frames(NamedTuple):
    """All that was measured, before it is summed up. Rows are sorted: the order of trials leaves no trace."""

    items: pd.DataFrame
    steps: pd.DataFrame
    effects: pd.DataFrame
    checkpoints: pd.DataFrame
    throughput: pd.DataFrame
    deploys: pd.DataFrame
    use: pd.DataFrame
    user_code: pd.DataFrame
    arm_failures: pd.DataFrame
    left_out: pd.DataFrame


_TYPES = {"str": "object", "int": "int64", "float": "float64", "bool": "bool"}


def frame(columns: Mapping[str, Column], rows: Iterable[Row]) -> pd.DataFrame:
    """Return rows as a frame with these columns and their types, also where there is no row.

    Raises:
        ValueError: a row lacks a column, or has one that is not documented: a developer has to mend it.
    """
    rows = list(rows)
    for row in rows:
        if row.keys() != columns.keys():
            raise ValueError(f"a row's columns are not the frame's: {sorted(row.keys() ^ columns.keys())}")
    series = {
        name: pd.Series([row[name] for row in rows], dtype=_TYPES[column.type]) for name, column in columns.items()
    }
    return pd.DataFrame(series)


def tables() -> str:
    """Return what all columns mean, as the README has it."""
    parts: list[str] = []
    for name, columns in COLUMNS.items():
        rows = "".join(f"| `{column}` | {of.type} | {of.meaning} |\n" for column, of in columns.items())
        parts.append(f"**{name}**\n\n| column | type | meaning |\n|---|---|---|\n{rows}")
    return "\n".join(parts)

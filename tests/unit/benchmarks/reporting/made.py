"""Frames as a run would leave them, made up: seven arms with what each is known for, and noise from a fixed seed."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from random import Random
from typing import Any

import pandas as pd

from benchmarks.contract import Action, FaultPlan, Item, ItemTrial, LedgerLine, Trial
from benchmarks.reporting.about import About
from benchmarks.reporting.measured import Key
from benchmarks.scoring.frames import COLUMNS, Frames, Row, frame

ARMS = ("while_loop", "while_loop_keyed", "monolith", "layered", "layered_s3", "prefect_durability", "dbos")
FIRST_TOKEN_MS = {"while_loop": 900, "while_loop_keyed": 905, "monolith": 190, "dbos": 260, "prefect_durability": 2400}
KEPT = {"while_loop": 0.62, "while_loop_keyed": 0.63, "monolith": 0.97, "prefect_durability": 0.985, "dbos": 0.98}
STEP_MS = {"monolith": 4.0, "layered": 14.0, "layered_s3": 21.0, "prefect_durability": 55.0, "dbos": 6.0}
IDLE_USD_AN_HOUR = {"while_loop": 0.0, "while_loop_keyed": 0.0, "monolith": 0.0007}
CALLS = 3


def about(**changed: Any) -> About:
    """A result's circumstances."""
    of: dict[str, Any] = {
        "profile": "full",
        "seed": 7,
        "rounds": 5,
        "arms": {
            arm: {"tuned_by": [f"{arm}: Going to production, https://docs.example.org/{arm}/production?a=1&b=2."]}
            for arm in ARMS
            if arm != "dbos"
        },
        "time_scale": 3600,
        "pace": {"first_token_seconds": 0.15},
        "began_at": "2026-11-26T12:00:00+00:00",
        "machine": {"cpu": "Some CPU 3 GHz", "cores": 2, "memory_gib": 7.8, "system": "Linux 6.1"},
        "versions": {"python": "3.11.7", "langgraph": "1.2.1", "dbos": None},
        "commit": "0123456789abcdef",
        "is_clean": True,
        "left_out": ["Coding agents in the sandbox: no Docker Engine answered."],
        "command": "make bench ARGS='--profile full --seed 7'",
    }
    return About.model_validate(of | changed)


def frames(*, arms: Sequence[str] = ARMS, rounds: int = 5, seed: int = 1, slower: float = 1.0) -> Frames:
    """What a run measured.

    Args:
        arms: Those that ran.
        rounds: How often.
        seed: Of the noise.
        slower: What times of the layered arm are multiplied with.
    """
    random = Random(seed)
    rows: dict[str, list[Row]] = {name: [] for name in Frames._fields}
    for number in range(rounds):
        for arm in arms:
            factor = slower if arm == "layered" else 1.0
            for workload, plan in (
                ("retail", "none"),
                ("retail", "kills"),
                ("retail", "mixed"),
                ("retail", "deploy"),
                ("approvals", "none"),
                ("approvals", "restart"),
            ):
                trial: Row = {"arm": arm, "workload": workload, "plan": plan, "round": number}
                _items(rows, trial, random, factor)
                rows["use"].append(_use(trial, random))
                if plan == "deploy":
                    rows["deploys"].append(_deploy(trial, random, factor))
            for steps in (10, 50, 200):
                if arm in STEP_MS:
                    trial = {"arm": arm, "workload": f"steps-{steps}", "plan": "none", "round": number}
                    rows["checkpoints"].append(_checkpoint(trial, steps, random, factor))
            for in_flight in (1, 20, 100):
                trial = {"arm": arm, "workload": f"throughput-{in_flight}", "plan": "none", "round": number}
                a_second = min(in_flight, 20) * random.uniform(0.2, 0.25)
                runs: Row = {"in_flight": in_flight, "runs": 2 * in_flight, "seconds": 2 * in_flight / a_second}
                rows["throughput"].append({**trial, **runs, "runs_per_second": a_second})
    rows["user_code"] = [{"arm": arm, "lines": 40 + 30 * at} for at, arm in enumerate(arms)]
    failed: Row = {
        "workload": "retail",
        "plan": "kills",
        "round": 2,
        "items": 8,
        "item": "",
        "reason": "no <port> | free",
    }
    rows["left_out"].append({"arm": arms[0], **failed})
    broken: Row = {"workload": "approvals", "plan": "restart", "round": 1, "what": "it could not stand the restart"}
    rows["arm_failures"].append({"arm": arms[0], **broken})
    return Frames(**{name: frame(COLUMNS[name], rows[name]) for name in Frames._fields})


def _items(rows: dict[str, list[Row]], trial: Row, random: Random, factor: float) -> None:
    arm, plan, workload = str(trial["arm"]), str(trial["plan"]), str(trial["workload"])
    for number in range(8):
        item = f"r{trial['round']}-{workload}-{plan}-{number}"
        faulty = plan != "none"
        killed = int(plan == "kills" and number % 2 == 0) + int(plan == "mixed" and number == 0)
        share = KEPT.get(arm, 0.999) if killed else 1.0
        loses = random.random() > share**6
        waited = random.uniform(1, 12) if workload == "approvals" else 0.0
        first = factor * FIRST_TOKEN_MS.get(arm, 1700) * random.uniform(0.9, 1.3)
        rows["items"].append(
            {
                **trial,
                "item": item,
                "state": "failed" if loses and random.random() < 0.3 else "done",
                "ended": True,
                "answer_right": True,
                "submitted_at": 1000.0,
                "ended_at": 1010.0,
                "seconds": 10.0,
                "first_token_ms": first,
                "overhead_ms": first - 150,
                "waited_seconds": waited,
                "asked": int(workload == "approvals"),
                "asked_again": int(plan == "restart" and arm == "while_loop"),
                "requests_paid": 4,
                "input_tokens": 2000,
                "output_tokens": 300,
                "cost_tokens_usd": 0.0011 * (1.5 if loses else 1),
                "cost_compute_usd": 0.00005 * random.uniform(0.8, 1.2),
                "cost_idle_usd": waited * IDLE_USD_AN_HOUR.get(arm, 0.0004),
                "crashes": float(killed) + (0.5 if plan == "restart" else 0),
                "killed": killed,
                "faults": 1.0 if faulty else 0.0,
                "recovery_seconds": factor * random.uniform(1, 4) if killed else math.nan,
                "silent_failure": loses and arm.startswith("while") and random.random() < 0.6,
                "runs_code": False,
                "credential_taken": False,
            }
        )
        for step in range(2 * CALLS + 1):
            lost = loses and step == 2
            rows["steps"].append(
                {
                    **trial,
                    "item": item,
                    "kind": "request" if step % 2 == 0 else "call",
                    "step": step // 2,
                    "attempts": 2 if lost else 1,
                    "completed": True,
                    "finished_times": 2 if lost else 1,
                    "executed_again": lost,
                    "corrupted": False,
                    "lost": False,
                    "kept": not (loses and step <= 2 + random.randrange(4)),
                    "unavoidable": False,
                }
            )
        twice = loses and arm == "while_loop"
        effect: Row = {"step": 1, "tool": "refund", "intended": 1, "applied": 1 + int(twice), "right_result": True}
        effect |= {"needs_person": workload == "approvals", "unasked": 0}
        rows["effects"].append({**trial, "item": item, **effect, "success": not twice})


def _use(trial: Row, random: Random) -> Row:
    idle = 12.0 if trial["workload"] == "approvals" else 0.0
    an_hour = 8 * IDLE_USD_AN_HOUR.get(str(trial["arm"]), 0.0004)
    return {
        **trial,
        "items": 8,
        "seconds": 20.0,
        "cpu_seconds": 4.0,
        "peak_memory_mib": random.uniform(300, 330),
        "memory_gib_seconds": 8.0,
        "idle_seconds": idle,
        "idle_cpu_seconds": 0.1 * idle,
        "idle_gib_seconds": 0.3 * idle,
        "idle_memory_mib": random.uniform(300, 310) if idle else math.nan,
        "idle_cores": random.uniform(0.1, 0.12) if idle else math.nan,
        "longest_wait_hours": idle,
        "time_scale": 3600.0,
        "state_bytes": 10_000,
        "containers_left": math.nan,
        "other_cores": 0.2,
        "invocations": 8,
        "cost_compute_usd": 0.0004,
        "cost_idle_usd": an_hour * idle,
    }


def _deploy(trial: Row, random: Random, factor: float) -> Row:
    serving = factor * {"while_loop": 0.05, "monolith": 0.2}.get(str(trial["arm"]), 0.11) * random.uniform(0.95, 1.05)
    lost = int(trial["arm"] == "while_loop_keyed")
    return {
        **trial,
        "deploy": 0,
        "parts": json.dumps({"stop": 1.0, "start": 60 * serving - 1}),
        "serving_minutes": serving,
        "lost": lost,
        "minutes": math.inf if lost else serving,
    }


def _checkpoint(trial: Row, steps: int, random: Random, factor: float) -> Row:
    taken = factor * STEP_MS[str(trial["arm"])] * random.uniform(0.9, 1.1) * (1 + steps / 2000)
    return {
        **trial,
        "item": f"{trial['workload']}-{trial['round']}",
        "steps": steps,
        "seconds": steps * (0.01 + taken / 1000),
        "bare_seconds": steps * 0.01,
        "ms_per_step": taken,
        "state_bytes_per_step": random.uniform(3000, 3300),
    }


def trials(*, arms: Sequence[str] = ARMS) -> list[Trial]:
    """A trial of each arm in which one item is killed, and goes on, or begins anew."""
    return [_trial(arm, number) for number, arm in enumerate(arms)]


def _trial(arm: str, number: int) -> Trial:
    item = Item(
        id="r0-1", workload="retail", instruction="", actions=(Action(name="refund", arguments={}),), answer="ok"
    )
    ended = 1000.0 + max(line.at - 1000 for line in _lines(arm, number)) + 0.4
    return Trial(
        arm=arm,
        workload="retail",
        plan=FaultPlan(name="kills", seed=1),
        round=0,
        items=(item,),
        came_of=(ItemTrial(item=item.id, submitted_at=1000.0, ended_at=ended, state="done", answer="ok"),),
        used=None,
        ledger=tuple(_lines(arm, number)),
    )


def _lines(arm: str, number: int) -> Iterator[LedgerLine]:
    def line(kind: Any, step: int, attempt: int, event: Any) -> LedgerLine:
        return LedgerLine(at=at, item="r0-1", kind=kind, step=step, attempt=attempt, event=event)

    at = 1000.3 + 0.15 * number
    steps: list[tuple[Any, int]] = [("request", 0), ("call", 0), ("request", 1), ("call", 1), ("request", 2)]
    begin = 0 if arm.startswith("while") else 3
    for kind, step in steps[:4]:
        yield line(kind, step, 1, "started")
        at += 0.35 if kind == "request" else 0.06
        if (kind, step) == ("call", 1):
            yield line(kind, step, 1, "killed")
        else:
            if kind == "call":
                yield line(kind, step, 1, "applied")
            yield line(kind, step, 1, "finished")
    at += 1.0 + 0.4 * number
    for at_step, (kind, step) in enumerate(steps[begin:], start=begin):
        yield line(kind, step, 2 if at_step < 4 else 1, "started")
        at += 0.35 if kind == "request" else 0.06
        if kind == "call":
            yield line(kind, step, 2, "applied")
        yield line(kind, step, 2 if at_step < 4 else 1, "finished")


def by_name(of: Frames, **more: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Frames by their names."""
    return {**of._asdict(), **more}


def measure(arm: str, key: Key, value: float, low: float = math.nan, high: float = math.nan, **more: Any) -> Row:
    """A row of `measures`."""
    row: Row = {"arm": arm, **key._asdict(), "unit": "ms", "better": "lower"}
    return {**row, "value": value, "low": low, "high": high, "n": 10, "part": math.nan, "of": math.nan, **more}


def difference(arm_a: str, arm_b: str, key: Key, value: float, low: float, high: float, verdict: str) -> Row:
    """A row of `differences`."""
    row: Row = {**key._asdict(), "unit": "ms", "better": "lower", "arm_a": arm_a, "arm_b": arm_b}
    return {**row, "value_a": 0.0, "value_b": 0.0, "difference": value, "low": low, "high": high, "verdict": verdict}


def summed(measures: Sequence[Row], differences: Sequence[Row] = ()) -> dict[str, pd.DataFrame]:
    """The two frames of them."""
    return {"measures": frame(COLUMNS["measures"], measures), "differences": frame(COLUMNS["differences"], differences)}

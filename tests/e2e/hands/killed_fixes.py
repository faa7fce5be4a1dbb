"""Whole coding tasks whose loop's container, whose box, or both are killed at every step of their way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

import yaml

from tests.e2e.hands.boxes import docker
from tests.e2e.hands.brain_runs import containers
from tests.e2e.hands.shop import BUG, MENDED, edit, git, repository, shell
from tests.e2e.stack import PROJECT, Home, Up
from triptych.errors import SandboxUnavailable
from triptych.loop.witness import read
from triptych.records import WitnessLine
from triptych.runtime.checkpoints import STEPS, plain_name, run_prefix
from triptych.runtime.coding.reports import READ, FixBatchReport, FixReport
from triptych.runtime.coding.verifying import AFTER, BEFORE
from triptych.runtime.witnessed import executed_again
from triptych.sandbox.client import Client
from triptych.sandbox.folder import socket_path

What: TypeAlias = Literal["brain", "hands", "both"]

APPLY = "have the patch applied"
# Done twice, or from other files than those before it, each leaves another patch.
ACTIONS = [
    shell("echo begun >> notes; chmod 755 shop/pages.py; ln -s shop/pages.py pages"),
    edit(MENDED, old=BUG),
    shell("python3 -m unittest -q && echo tested >> notes"),
    shell("echo ended >> notes"),
]
REQUESTS = tuple(f"request:{number}" for number in range(1, len(ACTIONS) + 2))
POINTS = (BEFORE, *REQUESTS, READ, AFTER, APPLY)
UNDISTURBED = "undisturbed"
SAMPLE = 3
_LOOK_SECONDS = 0.05
_ID = len("00000000-0000-0000-0000-000000000000")
_SECONDS = 1500.0


class Kill(NamedTuple):
    """Who dies, and during which step: an agent's request, or one of the flow's own."""

    what: What
    point: str

    def __str__(self) -> str:
        return f"{self.what}-{self.point.replace(':', '-').replace(' ', '-')}"


# There is no box before the agent's first command, and none any more when the patch is handed over; while the patch is
# read, it is there for less than a look takes.
KILLS = tuple(
    Kill(what, point)
    for point in POINTS
    for what in ("brain", "hands", "both")
    if what == "brain" or point not in (REQUESTS[0], READ, APPLY)
)


def sample(seed: int) -> tuple[Kill, ...]:
    """Return kills during `SAMPLE` of the steps, one each; by another seed others."""
    points = [POINTS[(seed * SAMPLE + number) % len(POINTS)] for number in range(SAMPLE)]
    of_point = [[kill for kill in KILLS if kill.point == point] for point in points]
    return tuple(kills[(seed + number) % len(kills)] for number, kills in enumerate(of_point))


class Ended(NamedTuple):
    """What became of a task."""

    report: FixReport
    tree: str
    """Of the branch, as git names it: modes and links are in it."""
    executed_again: int
    executions: int


def differences(kill: Kill, done: Ended, undisturbed: Ended) -> list[str]:
    """Return what tells a task that was disturbed from one that was not; nothing where nothing was lost or repeated."""
    assert undisturbed.report.patch is not None
    assert undisturbed.report.worked is not None
    assert undisturbed.tree
    report = done.report
    spent = None if report.worked is None else report.worked.spending
    alone = undisturbed.report.worked.spending
    found = {
        f"it ended {report.outcome}: {report.reason}": report.outcome != "applied",
        "another patch": report.patch is None or report.patch.checked != undisturbed.report.patch.checked,
        "another tree": done.tree != undisturbed.tree,
        f"{done.executed_again} completed steps were executed again": done.executed_again != 0,
        # More of them are no loss: on a busy machine one may find no sandbox in time, and is brought back again.
        "nobody killed its loop": kill.what != "hands" and done.executions < 2,
        # Not the tokens: tests say how long they took.
        "other steps were counted": spent is None or (spent.steps, spent.tool_calls) != (alone.steps, alone.tool_calls),
    }
    return [what for what, differs in found.items() if differs]


def run_kills(folder: Path, brain_image: str, kills: Sequence[Kill]) -> dict[Kill | str, Ended]:
    """Have tasks worked on in a home of their own, each killed once and one never; return what became of them."""
    settings = {
        "TRIPTYCH_BRAIN__NETWORK": "none",
        "TRIPTYCH_BRAIN__IMAGE": brain_image,
        "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": "3",
    }
    home = Home(folder / "home", settings)
    try:
        up = Up(folder=home.folder, settings=settings, api_url=home.json("up")["api_url"])
        killing = Killing(up, repository(folder / "shop"), kills)
        came_of = killing.run()
        missed = sorted(map(str, set(kills) - killing.killed))
        ends = {name: (ended.report.outcome, ended.report.reason) for name, ended in came_of.items()}
        assert not missed, f"never where they were to be killed: {missed}; seen: {killing.seen}; they ended: {ends}"
        return {UNDISTURBED: came_of[UNDISTURBED], **{kill: came_of[str(kill)] for kill in kills}}
    finally:
        home.run("down")


@dataclass
class Killing:
    """A batch with a task for each kill, and one that is left alone."""

    up: Up
    repository: Path
    kills: Sequence[Kill]
    killed: set[Kill] = field(default_factory=set[Kill])
    runs: dict[Kill, str] = field(default_factory=dict[Kill, str])
    seen: Counter[str] = field(default_factory=Counter[str])
    """How often a run was seen where; for whoever has to find out why a kill was missed."""

    def run(self) -> dict[str, Ended]:
        """Run them all, ten at a time; return what became of each, by name."""
        names = [UNDISTURBED, *map(str, self.kills)]
        file = self.repository.parent / "tasks.yaml"
        file.write_text(yaml.safe_dump(self._tasks(names)))
        command = [sys.executable, "-m", "triptych", "fix", str(file), "--json"]
        said = self.repository.parent / "fix.json"
        # Into files: what nobody reads fills a pipe, and the command would wait for that at its end.
        with (self.repository.parent / "fix.log").open("w+") as log, said.open("wb") as out:
            batch = subprocess.Popen(command, cwd=PROJECT, env=self.up.env, stdout=out, stderr=log)
            over = threading.Event()
            finding = threading.Thread(target=self._find_runs, args=[over])
            finding.start()
            try:
                deadline = time.monotonic() + _SECONDS
                while batch.poll() is None and time.monotonic() < deadline:
                    self._strike()
                    time.sleep(_LOOK_SECONDS)
            finally:
                over.set()
                finding.join()
                batch.kill()
                batch.wait()
            log.seek(0)
            assert said.stat().st_size, log.read()
        reports = FixBatchReport.model_validate_json(said.read_bytes())
        return {row.task: self._ended(row.report) for row in reports.rows if row.report is not None}

    def _tasks(self, names: Sequence[str]) -> Mapping[str, Any]:
        defaults = {
            "repository": str(self.repository),
            "instruction": "The last page is missing.",
            "test": "sleep 3; python3 -m unittest -q",
            "approve": False,
            "plan": {"actions": ACTIONS, "fix": {"outcome": "fixed", "summary": "Mended."}},
        }
        return {"defaults": defaults, "tasks": [{"name": name} for name in names]}

    def _ended(self, report: FixReport) -> Ended:
        run = report.flow_run_id
        tree = "" if report.applied is None else git(self.repository, "rev-parse", f"{report.applied.branch}^{{tree}}")
        again = executed_again(line for line in read(self.up.witness) if line.run.startswith(run))
        return Ended(report, tree, again, self.up.get(f"flow_runs/{run}")["run_count"])

    def _find_runs(self, over: threading.Event) -> None:
        """Learn which run is whose. A busy API may take longer than a step does, so no look waits for it."""
        names = {f"fix {kill}": kill for kill in self.kills}
        while len(self.runs) < len(names) and not over.is_set():
            for run in self.up.flow_runs(name={"any_": list(names)}):
                self.runs[names[run["name"]]] = run["id"]
            over.wait(_LOOK_SECONDS)

    def _strike(self) -> None:
        """Kill whatever is where it is to be killed."""
        boxes, asked = self._boxes(), self._asked()
        for kill, run in list(self.runs.items()):
            if kill in self.killed:
                continue
            at = self._at(run, boxes, asked)
            self.seen[f"{kill} at {at}"] += 1
            if at == kill.point and self._kill(kill, run):
                self.killed.add(kill)

    def _asked(self) -> dict[str, WitnessLine]:
        """Return each run's last line."""
        return {line.run[:_ID]: line for line in read(self.up.witness)} if self.up.witness.exists() else {}

    def _kill(self, kill: Kill, run: str) -> bool:
        """Kill whom it says; not where the run has gone on meanwhile, or one of them has ended by itself."""
        brains = containers(run)
        if len(brains) != 1:
            return False
        if kill.what == "hands":
            return self._kill_box(kill, run)
        # Held still: a death between an answer and its checkpoint would be another story.
        if not _done("pause", *brains):
            return False
        is_there = (
            self._at(run, self._boxes(), self._asked()) == kill.point
            if kill.what == "brain"
            else self._kill_box(kill, run)
        )
        if is_there:
            docker("kill", *brains)
        else:
            docker("unpause", *brains)
        return is_there

    def _kill_box(self, kill: Kill, run: str) -> bool:
        boxes = self._boxes()
        return run in boxes and self._at(run, boxes, self._asked()) == kill.point and _done("kill", boxes[run])

    def _at(self, run: str, boxes: Mapping[str, str], asked: Mapping[str, WitnessLine]) -> str | None:
        """Return the step that a run is amid, or None where that cannot be told."""
        store = self.up.folder / "checkpoints"
        done = [(store / STEPS / run / f"{plain_name(name)}.json").exists() for name in (BEFORE, READ, AFTER, APPLY)]
        tested, was_read, tested_again, applied = done
        if was_read:
            return None if applied else APPLY if tested_again else AFTER
        if not tested:
            return BEFORE if run in boxes else None
        last = asked.get(run)
        if last is None:
            return None
        if last.event == "request.started":
            return last.key
        # The last answer is kept as well.
        kept = sum(each.is_file() for each in (store / run_prefix(run)).rglob("*"))
        return READ if last.key == REQUESTS[-1] and kept >= len(REQUESTS) + len(ACTIONS) else None

    def _boxes(self) -> dict[str, str]:
        """Return the container of each run's box; of several, none: one of them is at its end."""

        async def ask() -> list[dict[str, Any]]:
            client = Client(socket_path(self.up.folder / "sandbox"))
            try:
                return await client.boxes()
            finally:
                await client.close()

        try:
            found = asyncio.run(ask())
        except SandboxUnavailable:
            return {}
        several = Counter(box["owner"] for box in found)
        return {box["owner"].removeprefix("run:"): box["container"] for box in found if several[box["owner"]] == 1}


def _done(*arguments: str) -> bool:
    """Whether Docker did it; a container that is at its end can be neither killed nor held still."""
    return subprocess.run(["docker", *arguments], capture_output=True, timeout=60, check=False).returncode == 0

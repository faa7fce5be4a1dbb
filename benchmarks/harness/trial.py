"""One trial: items go in, faults strike, a person answers, and what became of it all is written down from outside."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.arms.protocol import Job, Look, Place, Served
from benchmarks.contract import FaultPlan, Happening, Item, ItemTrial, LedgerLine, Parts, State, Struck, Trial, Used
from benchmarks.harness.containers import left_behind, present
from benchmarks.harness.person import READ_SECONDS, Asked, Desk
from benchmarks.harness.sampling import Sampler, bytes_of
from benchmarks.harness.world import World
from triptych.settings import ScriptedSettings

POLL_SECONDS = 0.1
PROBES = 8
"""Items that may be handed in after a deploy until one of them meets the new version."""
PROBE_SECONDS = 120.0
"""How long one of them may take to reach the model."""
AFTERMATH_SECONDS = 1.0
"""Once all items have ended: what the world has still to write down."""
_ENDED: frozenset[State] = frozenset({"done", "failed"})


@dataclass(frozen=True)
class Task:
    """What a trial is about."""

    arm: str
    workload: str
    items: tuple[Item, ...]
    plan: FaultPlan
    round: int
    pace: ScriptedSettings
    time_scale: float
    deadline_seconds: float
    """What has not ended by then, has not ended."""
    at_once: int | None = None
    """How many items are under way at a time; None: all of them."""
    read_seconds: float = READ_SECONDS
    """How long nobody answers while all that are under way wait."""


def run_trial(task: Task, served: Served, place: Place, world: World, say: Callable[[str], None]) -> Trial:
    """Run a trial on an arm that is up.

    Args:
        task: What it is about.
        served: The arm.
        place: Where it lives.
        world: Its world.
        say: Called with a line of progress.

    Returns:
        The trial. What the arm could not do that it was asked for ends it, and counts. Where the harness itself failed
        it says so, and then says nothing about the arm.
    """
    return _Running(task, served, place, world, say).run()


class _ArmFailed(Exception):
    """The arm could not do what it was asked for."""


@contextmanager
def _asked_to(what: str) -> Generator[None]:
    """Take whatever goes wrong for the arm's own failure: what does not survive is not left out of what is counted."""
    try:
        yield
    except Exception as error:
        raise _ArmFailed(f"it could not {what}: {type(error).__name__}: {error}") from error


@dataclass
class _Under:
    """An item under way."""

    item: Item
    job: Job
    asked: Asked
    submitted_at: float
    ended_at: float | None = None
    last: Look = field(default_factory=lambda: Look("running"))

    @property
    def is_ended(self) -> bool:
        return self.ended_at is not None

    def came_of(self, over: float) -> ItemTrial:
        return ItemTrial(
            item=self.item.id,
            submitted_at=self.submitted_at,
            ended_at=self.ended_at,
            state=self.last.state,
            answer=self.last.answer,
            asked=self.asked.asked,
            asked_again=self.asked.asked_again,
            decisions=tuple(self.asked.decisions),
            waits=self.asked.waits(over),
        )


class _Running:
    def __init__(self, task: Task, served: Served, place: Place, world: World, say: Callable[[str], None]) -> None:
        self._task = task
        self._served = served
        self._place = place
        self._world = world
        self._say = say
        self._under: dict[str, _Under] = {}
        self._left = list(task.items)
        self._happenings = list(task.plan.happenings)
        self._struck: list[Struck] = []
        self._deploys: list[tuple[Parts, tuple[_Under, ...]]] = []
        """Each with the items that were in flight."""
        self._probes = [_probe(task.items[0], number) for number in range(PROBES)] if self._happenings else []
        self._is_about_people = any(action.approval != "none" for item in task.items for action in item.actions)
        # Where nobody is to be asked, an arm that does ask is not kept waiting.
        self._desk = Desk(opened_at=None if self._is_about_people else 0.0, read_seconds=task.read_seconds)
        self._containers = present() if place.runs_code else None
        self._sampler = Sampler(place.mark, containers=self._containers)

    def run(self) -> Trial:
        task = self._task
        name = f"{task.workload}-{task.plan.name}-{task.round}"
        before = bytes_of(self._place.folder / "state")
        arm_failure: str | None = None
        failure: str | None = None
        used: Used | None = None
        self._ledger = self._world.begin(name, [*task.items, *self._probes], task.plan, task.pace)
        began = time.monotonic()
        try:
            with self._sampler:
                try:
                    self._to_the_end(began + task.deadline_seconds)
                except _ArmFailed as error:
                    arm_failure = str(error)
                    self._say(f"{task.arm}, {name}: {arm_failure}")
                seconds = time.monotonic() - began
            used = Used(
                seconds=seconds,
                **self._sampler.usage()._asdict(),
                state_bytes=bytes_of(self._place.folder / "state") - before,
                containers_left=None if self._containers is None else left_behind(self._containers),
            )
        except Exception as error:  # whatever it is, it is not scored against the arm
            failure = f"{type(error).__name__}: {error}"
            self._say(f"{task.arm}, {name}: the harness failed: {failure}")
        over = time.time()
        time.sleep(AFTERMATH_SECONDS)
        ids = {item.id for item in task.items}
        lines = tuple(line for line in self._ledger.refresh() if line.item in ids)
        # What an arm was not even handed because it had failed before is not done either.
        never = [_never(item, over) for item in self._left if arm_failure is not None]
        return Trial(
            arm=task.arm,
            workload=task.workload,
            plan=task.plan,
            round=task.round,
            items=task.items,
            came_of=(*(self._under[item.id].came_of(over) for item in task.items if item.id in self._under), *never),
            used=used,
            deploys=tuple(
                parts.model_copy(update={"lost": sum(each.last.state != "done" for each in under)})
                for parts, under in self._deploys
            ),
            struck=tuple(self._struck),
            ledger=lines,
            time_scale=task.time_scale,
            arm_failure=arm_failure,
            harness_failure=failure,
        )

    def _to_the_end(self, deadline: float) -> None:
        self._hand_in()
        while time.monotonic() < deadline:
            under = [each for each in self._under.values() if not each.is_ended]
            for each in under:
                self._look_at(each)
            self._hand_in()
            under = [each for each in self._under.values() if not each.is_ended]
            if not under and not self._left:
                return
            self._desk.look([each.asked.is_waiting for each in under], time.time())
            self._sampler.is_idle = self._desk.is_quiet
            if self._happenings and self._is_due(self._happenings[0], under):
                self._let_happen(self._happenings.pop(0), under)
            time.sleep(POLL_SECONDS)

    def _hand_in(self) -> None:
        limit = self._task.at_once or len(self._task.items)
        while self._left and sum(not each.is_ended for each in self._under.values()) < limit:
            item = self._left.pop(0)
            self._submit(item)

    def _submit(self, item: Item) -> _Under:
        job = Job(item.id, item.instruction, self._world.shop_url(item.id))
        under = _Under(item, job, Asked(item, self._task.time_scale, self._desk), submitted_at=time.time())
        self._under[item.id] = under
        with _asked_to("take an item"):
            self._served.submit(job)
        return under

    def _look_at(self, under: _Under) -> None:
        with _asked_to("say how an item stands"):
            under.last = self._served.look(under.job)
        now = time.time()
        if under.last.state in _ENDED:
            under.ended_at = now
        answer = under.asked.look(under.last, now)
        if answer is not None:
            # Before the arm does anything about it.
            self._sampler.is_idle = False
            with _asked_to("take a decision"):
                self._served.decide(under.job, answer)

    def _let_happen(self, happening: Happening, under: Sequence[_Under]) -> None:
        self._say(f"{self._task.arm}: {happening.what.replace('_', ' ')}")
        self._sampler.is_idle = False
        if happening.what == "deploy":
            self._deploy(happening, tuple(under))
        else:
            with self._strikes(happening) as parts, _asked_to(f"stand the {happening.what.replace('_', ' ')}"):
                if happening.what == "restart":
                    parts |= self._served.restart()
                else:
                    self._served.store_outage(happening.seconds)
        self._desk.disturb()

    @contextmanager
    def _strikes(self, happening: Happening) -> Generator[dict[str, float]]:
        """Write down what is done meanwhile, whether or not the arm survives it, with the parts that it took."""
        began = time.time()
        parts: dict[str, float] = {}
        try:
            yield parts
        finally:
            # A restart strikes once all are dead: what still begins while they are looked for is nobody's recovery.
            at = began + (parts.get("kill", 0.0) if happening.what == "restart" else 0.0)
            self._struck.append(Struck(what=happening.what, at=at, until=time.time()))

    def _is_due(self, happening: Happening, under: Sequence[_Under]) -> bool:
        """Whether so much of the trial has been done; where a person is asked, whether so many wait."""
        if self._is_about_people:
            waiting = sum(each.asked.is_waiting for each in under)
            return waiting > 0 and waiting >= happening.after_share * len(self._task.items)
        done = {(line.item, line.step) for line in self._requests() if line.event == "finished"}
        total = sum(len(item.actions) + 1 for item in self._task.items)
        return len(done) >= happening.after_share * total

    def _requests(self) -> list[LedgerLine]:
        return [line for line in self._ledger.refresh() if line.kind == "request"]

    def _deploy(self, happening: Happening, under: tuple[_Under, ...]) -> None:
        """Change a line, deploy it, and hand items in until one of them meets it."""
        text = self._place.instructions.read_text(encoding="utf-8")
        first, _, rest = text.partition("\n")
        version = str(int(first.removeprefix("Version ").rstrip(".")) + 1)
        parts: dict[str, float] = {}
        serving: float | None = None
        began = time.time()
        self._place.instructions.write_text(f"Version {version}.\n{rest}", encoding="utf-8")
        try:
            with self._strikes(happening), _asked_to("be deployed"):
                parts = self._served.deploy()
            serving = self._until_served(version)
        finally:
            seconds = None if serving is None else serving - began
            self._deploys.append((Parts(parts=parts, serving_seconds=seconds), under))

    def _until_served(self, version: str) -> float | None:
        while self._probes:
            probe = self._probes.pop(0)
            self._submit(probe)
            deadline = time.monotonic() + PROBE_SECONDS
            while time.monotonic() < deadline:
                asked = [line for line in self._requests() if line.item == probe.id and line.event == "started"]
                if asked:
                    if asked[0].version == version:
                        return asked[0].at
                    break
                for each in self._under.values():
                    if not each.is_ended:
                        self._look_at(each)
                time.sleep(POLL_SECONDS)
        return None


def _never(item: Item, over: float) -> ItemTrial:
    """What became of an item that there was no arm for any more."""
    return ItemTrial(item=item.id, submitted_at=over, ended_at=None, state="unknown", answer=None)


def _probe(like: Item, number: int) -> Item:
    """Return an item that asks the model once and ends."""
    probe: dict[str, Any] = {
        "id": f"{like.id.rpartition('-')[0] or like.id}-probe-{number}",
        "workload": "probe",
        "actions": (),
        "answer": "It is here.",
    }
    return like.model_copy(update=probe | {"instruction": f"Ticket {probe['id']}: Is this thing on?"})


def instructions(version: int = 1) -> str:
    """Return the agent's system prompt, the same for every arm.

    Args:
        version: What its first line names.
    """
    return (
        f"Version {version}.\n"
        "You are a support agent of a shop. Look up what you need with your tools, do what the customer asks for, and "
        "answer in a sentence or two.\n"
    )


def place_for(folder: Path, world: World, mark: str, python: str, project: Path) -> Place:
    """Make the folders of an arm, with the first version of its instructions."""
    for name in ("state", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    prompt = folder / "instructions.md"
    prompt.write_text(instructions(), encoding="utf-8")
    return Place(folder, world.model_url, mark, python, project, prompt)

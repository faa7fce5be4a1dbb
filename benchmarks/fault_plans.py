"""Makes fault plans: which steps of which items meet which fault.

A plan follows from its name, the seed and what the items do, not from what they are called, so every arm of a round
meets the same one. Where a plan has several kinds of fault they take turns: a short trial has some of each.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple, TypeAlias

from benchmarks.contract import Fault, FaultPlan, Happening, Item, Kind

TOOL_ERROR_SHARE = 0.35
"""Of the calls: those that meet an error or a timeout."""
SLOW_SHARE = 0.35
"""Of the calls: those that are answered late."""
SLOW_SECONDS = (0.3, 1.5)
"""How late, at least and at most: within the two seconds after which clients give up."""
MODEL_ERROR_SHARE = 0.3
"""Of the requests: those that meet a 429 or a 500."""
KILLED_SHARE = 0.5
"""Of the items: those whose process is killed once."""
TWICE_SHARE = 0.3
"""Of the errors: those that meet two attempts in a row. A client that makes three attempts outlives them."""
SOON_SECONDS = (0.0, 0.02, 0.05)
"""How long after an answer a process is killed: before it has read it, and while it does what comes next."""
OUTAGE_SECONDS = 5.0


class Step(NamedTuple):
    """A step that a fault can meet."""

    item: Item
    kind: Kind
    step: int

    def fault(self, **of: Any) -> Fault:
        """Return a fault that meets it; see `Fault` for its fields."""
        return Fault(item=self.item.id, kind=self.kind, step=self.step, **of)

    @property
    def changes(self) -> bool:
        """Whether it has an effect."""
        return self.kind == "call" and self.item.actions[self.step].changes

    @property
    def ends_a_process(self) -> bool:
        """Whether an arm may have nothing left to do after it but to wait for a person, or to end."""
        actions = self.item.actions
        return self.kind == "request" and (self.step == len(actions) or actions[self.step].approval != "none")


StepsOf: TypeAlias = Callable[[Iterable[Item]], list[Step]]
Maker: TypeAlias = Callable[[random.Random, Sequence[Item]], Iterable[Fault]]


def make(name: str, seed: int, items: Sequence[Item]) -> FaultPlan:
    """Make a plan.

    Args:
        name: Of `FAULTS` or `HAPPENINGS`; see there.
        seed: Of whatever is drawn.
        items: Those of the trial.

    Raises:
        KeyError: there is no such plan.
    """
    if name in HAPPENINGS:
        return FaultPlan(name=name, seed=seed, happenings=HAPPENINGS[name])
    return FaultPlan(name=name, seed=seed, faults=tuple(FAULTS[name](random.Random(f"{seed} {name}"), items)))


def _none(chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    del chance, items
    return ()


def _tool_errors(chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    return _errors_of(chance, _drawn(chance, _calls(items), TOOL_ERROR_SHARE))


def _slow_tools(chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    return _late(chance, _drawn(chance, _calls(items), SLOW_SHARE))


def _model_errors(chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    return _refused(chance, _drawn(chance, _requests(items), MODEL_ERROR_SHARE))


def _kills(share: float, chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    return _killed(chance, _shuffled(chance, items)[: math.ceil(share * len(items))])


def _mixed(chance: random.Random, items: Sequence[Item]) -> Iterable[Fault]:
    """Give each item one trouble alone, in turns: what came of it is then that trouble's doing."""
    parts: list[list[Item]] = [[], [], [], []]
    for number, item in enumerate(_shuffled(chance, items)):
        parts[number % len(parts)].append(item)
    killed, tools, models, late = parts
    yield from _killed(chance, killed)
    yield from _errors_of(chance, _one_each(chance, tools, _calls))
    yield from _refused(chance, _one_each(chance, models, _requests))
    yield from _late(chance, _one_each(chance, late, _calls))


FAULTS: dict[str, Maker] = {
    "none": _none,
    "tool_errors": _tool_errors,
    "slow_tools": _slow_tools,
    "model_errors": _model_errors,
    "kills": partial(_kills, KILLED_SHARE),
    "kills_all": partial(_kills, 1.0),
    "mixed": _mixed,
}
"""Plans of what meets single steps.

none: nothing does. tool_errors: a third of the calls meets a 503, a timeout before anything was done, or one after it
was done, in turns; calls with an effect and others alike. slow_tools: a third of the calls is answered late.
model_errors: of the requests so many are answered 429 or 500, in turns. kills: of every other item the process is
killed once, at a random request or call, as it comes in, once it is done with the answer withheld, or just after the
answer, in turns. kills_all: of every item. mixed: each item meets one fault of these, in turns.
"""

HAPPENINGS: dict[str, tuple[Happening, ...]] = {
    "deploy": (Happening(what="deploy", after_share=0.4),),
    "restart": (Happening(what="restart", after_share=0.5),),
    "store_outage": (Happening(what="store_outage", after_share=0.3, seconds=OUTAGE_SECONDS),),
}
"""Plans of what is done to an arm as a whole.

deploy: a new version comes amid the runs. restart: everything is killed and started again; where people are asked,
while half of the items wait for them. store_outage: what the arm keeps cannot be reached for a while.
"""


def _calls(items: Iterable[Item]) -> list[Step]:
    """Return the calls that come to the shop: one that a person denies does not, nor code that an arm runs itself."""
    return [
        Step(item, "call", step)
        for item in items
        for step, action in enumerate(item.actions)
        if action.approval != "deny" and action.result is None
    ]


def _requests(items: Iterable[Item]) -> list[Step]:
    return [Step(item, "request", step) for item in items for step in range(len(item.actions) + 1)]


def _shuffled(chance: random.Random, items: Sequence[Item]) -> list[Item]:
    return chance.sample(items, len(items))


def _drawn(chance: random.Random, steps: Sequence[Step], share: float) -> list[Step]:
    """Return a share of the steps, rounded up: of the calls that have an effect, and of the others."""
    changing = [each for each in steps if each.changes]
    others = [each for each in steps if not each.changes]
    return [each for among in (changing, others) for each in chance.sample(among, math.ceil(share * len(among)))]


def _one_each(chance: random.Random, items: Iterable[Item], steps_of: StepsOf) -> list[Step]:
    """Return one step of each item that has any."""
    return [chance.choice(steps) for item in items if (steps := steps_of([item]))]


def _errors_of(chance: random.Random, steps: Iterable[Step]) -> Iterable[Fault]:
    kinds = itertools.cycle((("timeout", "done"), ("error", "received"), ("timeout", "received")))
    for step, (what, when) in zip(steps, kinds, strict=False):
        yield step.fault(what=what, when=when, times=_times(chance))


def _refused(chance: random.Random, steps: Iterable[Step]) -> Iterable[Fault]:
    for step, what in zip(steps, itertools.cycle(("rate_limit", "error")), strict=False):
        yield step.fault(what=what, times=_times(chance))


def _late(chance: random.Random, steps: Iterable[Step]) -> Iterable[Fault]:
    for step in steps:
        yield step.fault(what="slow", seconds=round(chance.uniform(*SLOW_SECONDS), 2))


def _killed(chance: random.Random, items: Iterable[Item]) -> Iterable[Fault]:
    moments = [(steps_of, when) for steps_of in (_requests, _calls) for when in ("received", "done", "answered")]
    chance.shuffle(moments)
    for item, (steps_of, when) in zip(items, itertools.cycle(moments), strict=False):
        steps = steps_of([item]) or _requests([item])
        if when == "answered":
            # A process that has nothing left to do ends by itself, and could not be found any more.
            steps = [each for each in steps if not each.ends_a_process] or _calls([item])
        if not steps:
            when, steps = "done", _requests([item])
        seconds = chance.choice(SOON_SECONDS) if when == "answered" else 0.0
        yield chance.choice(steps).fault(what="kill", when=when, seconds=seconds)


def _times(chance: random.Random) -> int:
    return 2 if chance.random() < TWICE_SHARE else 1

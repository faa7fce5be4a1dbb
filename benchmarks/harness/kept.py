"""What a run keeps while it goes on: a trial a line, so that what is over is there also where the rest is cut short."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from pydantic import TypeAdapter, ValidationError

from benchmarks.contract import Trial
from benchmarks.scoring import BENCHMARK_VERSION
from triptych.errors import ConfigurationError

if TYPE_CHECKING:
    from benchmarks.harness.trial import Task
    from benchmarks.reporting.about import About

TRIALS = "trials.jsonl"
"""The raw record of a result: a `Trial` a line, written as soon as it is over."""
MAY_DIFFER = {"rounds", "planned", "began_at", "resumed_at", "is_clean", "command", "rates", "left_out"}
"""What of its description may be another when a result is gone on with."""
_TRIAL = TypeAdapter(Trial)


def read_trials(folder: Path, say: Callable[[str], None]) -> list[Trial]:
    """Read the trials of a result.

    Args:
        folder: The result's.
        say: Called with what is to be known of them: a last line that was cut short is passed over.

    Raises:
        ConfigurationError: the folder has no trials, or a line is none; names it.
    """
    file = folder / TRIALS
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise ConfigurationError(
            f"{folder} is no result of this benchmark: {TRIALS} cannot be read: {error.strerror}"
        ) from error
    trials: list[Trial] = []
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            trials.append(_TRIAL.validate_json(line))
        except ValidationError as error:
            # Every whole line ends: what follows the last end was being written when the run was killed.
            if number == len(lines):
                say(f"{file}, line {number}: it was cut short, and is passed over: the run was killed while writing it")
                continue
            first = error.errors(include_url=False, include_input=False)[0]
            what = ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))
            raise ConfigurationError(
                f"{file}, line {number}: it is no trial of this version ({what}): take the line out, whose trial is "
                "then missing, or measure again"
            ) from error
    if not trials:
        raise ConfigurationError(f"{folder} is no result of this benchmark: no trial in {file} is over; run it again")
    return trials


class Known(NamedTuple):
    """What a trial is known by within a run."""

    arm: str
    workload: str
    plan: str
    round: int

    @classmethod
    def of(cls, what: Task | Trial) -> Self:
        """Return what this one is known by."""
        return cls(what.arm, what.workload, what.plan.name, what.round)


def go_on_with(
    folder: Path, before: About, now: About, planned: Mapping[Known, tuple[str, ...]], say: Callable[[str], None]
) -> list[Trial]:
    """Return what a result has that is gone on with, and leave only that in its file.

    A trial that the harness had failed in is measured again, and so is one whose line was cut short.

    Args:
        folder: The result's.
        before: What it says of itself.
        now: What the run that goes on with it would say.
        planned: Its trials, with the ids of their items.
        say: As for `read_trials`.

    Raises:
        ConfigurationError: it was measured in other circumstances, or has more rounds; nothing of it is changed.
    """
    # The same tickets are the same wherever they lie.
    apart = MAY_DIFFER | {"tau"}
    old, new = (
        about.model_dump(mode="json", exclude=apart) | {"tau": about.tau and about.tau.sha256}
        for about in (before, now)
    )
    if others := [f"{name} ({old[name]}, now {new[name]})" for name in new if old[name] != new[name]]:
        raise ConfigurationError(
            f"{folder} cannot be gone on with, since its trials and further ones would not be of the same: "
            f"{'; '.join(others)}. Measure into another folder, with --out"
        )
    if now.rounds < before.rounds:
        raise ConfigurationError(f"{folder} has {before.rounds} rounds: give --rounds {before.rounds} or more")
    file = folder / TRIALS
    is_begun = file.exists() and b"\n" in file.read_bytes()
    trials = [trial for trial in read_trials(folder, say) if trial.harness_failure is None] if is_begun else []
    if any(planned.get(Known.of(trial)) != tuple(item.id for item in trial.items) for trial in trials):
        raise ConfigurationError(
            f"{folder} has trials that this run would not have, or not with these items: give the --workloads that "
            f"it was begun with (`{before.command}`), or measure into another folder, with --out"
        )
    whole = folder / f"{TRIALS}.whole"
    whole.write_text("".join(f"{trial.model_dump_json()}\n" for trial in trials), encoding="utf-8")
    whole.replace(file)
    return trials


def require_this_version(about: About, folder: Path) -> None:
    """Refuse to score again what was measured under other rules.

    Raises:
        ConfigurationError: it is of another version of the benchmark.
    """
    if about.benchmark_version != BENCHMARK_VERSION:
        raise ConfigurationError(
            f"{folder} was measured by version {about.benchmark_version} of the benchmark, and this is version "
            f"{BENCHMARK_VERSION}, by whose rules its trials mean something else. Its report.md stands as it is; to "
            f"make it anew, check out {about.commit or 'the commit of that time'}"
        )


def missing(about: About, trials: Sequence[Trial]) -> str | None:
    """Say which trials were planned and are not there, by arm; None: it is whole, or it is not known what was planned.

    Args:
        about: What was planned.
        trials: What is there.
    """
    if about.planned is None:
        return None
    there = Counter(trial.arm for trial in trials)
    short = [f"{there[arm]} of {count} trials of `{arm}`" for arm, count in about.planned.items() if there[arm] < count]
    return f"The run did not get to its end. It has {', '.join(short)}." if short else None

"""What has to be known about a result beside its frames: where, when, with what and how often it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from benchmarks.arms import ARMS
from benchmarks.scoring import BENCHMARK_VERSION
from benchmarks.scoring.rates import Rates, is_function, load_rates
from triptych.errors import ConfigurationError

FILE = "about.json"


class _Frozen(BaseModel):
    # What another version has beside these is passed over, so that its result can be told from one of this version.
    model_config = ConfigDict(frozen=True, extra="ignore")


class Machine(_Frozen):
    """What it was measured on. Two results are of one machine if all of this is the same."""

    cpu: str
    cores: int | None
    memory_gib: float
    system: str
    """Operating system and kernel."""


class Tuning(_Frozen):
    """Of one arm."""

    tuned_by: tuple[str, ...] = ()
    """What of its own documentation it follows, each with the page's title and address."""


class Tau(_Frozen):
    """Tickets in the public tau-bench format that took the place of the retail samples."""

    path: str
    """Where they lay."""
    sha256: str
    """Of their content."""


class About(_Frozen):
    """One result's circumstances, as `benchmarks.harness.about` describes them."""

    benchmark_version: int = BENCHMARK_VERSION
    """Results of two versions are not held against each other."""
    profile: str
    seed: int
    rounds: int
    planned: dict[str, int] | None = None
    """How many trials there were to be, by arm; None: not known."""
    tau: Tau | None = None
    """None: the samples."""
    arms: dict[str, Tuning]
    time_scale: float
    """Seconds of the workload's time in a second of the harness's, for what waits for a person."""
    pace: dict[str, Any] = {}
    """The scripted model's."""
    began_at: datetime
    resumed_at: tuple[datetime, ...] = ()
    """When it was gone on with: after it was cut short, or for more rounds."""
    machine: Machine
    versions: dict[str, str | None]
    """Python and packages; None: not installed."""
    commit: str | None
    """None: it was not measured in a git repository."""
    is_clean: bool = True
    """Whether no file differed from that commit."""
    rates: Rates | None = None
    """What compute was counted at."""
    left_out: tuple[str, ...] = ()
    """What this run did not measure, and why, beside what the frame `left_out` has."""
    command: str
    """What measures all of this again."""

    @property
    def said_of_tickets(self) -> str:
        """Which tickets the retail runs were about, in words: the same only where their content is."""
        return "the samples" if self.tau is None else f"those of --tau, {self.tau.sha256[:12]}"

    @property
    def said_of_pace(self) -> str:
        """The model's pace, in words."""
        return ", ".join(f"{name} {value}" for name, value in self.pace.items()) or "unknown"

    @property
    def said_of_rates(self) -> str:
        """What compute was counted at, in words."""
        if self.rates is None:
            return "unknown"
        function, container = self.rates.function, self.rates.container
        functions = ", ".join(filter(is_function, ARMS))
        return (
            f"{functions}: {function.gb_second_usd:g} USD a GB-second and {function.request_usd:g} USD "
            f"an invocation, as of {function.as_of}; other arms: {container.vcpu_hour_usd:g} USD a vCPU-hour and "
            f"{container.gb_hour_usd:g} USD a GB-hour, as of {container.as_of}"
        )


def described(about: About | Mapping[str, Any]) -> About:
    """Return what is known about a result that was scored just now, with the rates in force.

    Raises:
        ConfigurationError: something is missing, or is not what it should be.
    """
    try:
        of = about if isinstance(about, About) else About.model_validate(about)
    except ValidationError as error:
        raise ConfigurationError(f"this does not describe a result: {error}") from error
    return of.model_copy(update={"rates": load_rates()})


def read_about(folder: Path) -> About:
    """Read what is known about a result.

    Raises:
        ConfigurationError: the folder holds no result, or one that cannot be read.
    """
    file = folder / FILE
    if not file.is_file():
        raise ConfigurationError(f"{folder} is no result of this benchmark: it has no {FILE}")
    try:
        return About.model_validate_json(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        what = f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}" if first["loc"] else first["msg"]
        raise ConfigurationError(
            f"{file} cannot be read as a result's ({what}): restore it, or measure again"
        ) from error

"""The whole way from trials to frames and measures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from benchmarks.contract import Trial
from benchmarks.scoring.rates import Rates, load_rates
from benchmarks.scoring.summing_up import measure
from benchmarks.scoring.tidy import tidy
from benchmarks.scoring.user_code import lines_of_arms


class Scored(NamedTuple):
    """The frames of `frames.Frames`, and the measures that were computed from them."""

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
    measures: pd.DataFrame


def score(trials: Sequence[Trial], *, seed: int = 0, rates: Rates | None = None) -> Scored:
    """Turn trials into frames and measures.

    Args:
        trials: In any order.
        seed: Of the bootstrap.
        rates: What compute costs; None: as `rates.toml` has it.

    Raises:
        ConfigurationError: the rates cannot be used, or the installed genai-prices does not know the model.
    """
    user_code = lines_of_arms({trial.arm for trial in trials})
    frames = tidy(trials, load_rates() if rates is None else rates, user_code)
    return Scored(*frames, measure(frames, seed=seed))

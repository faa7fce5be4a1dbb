"""From trials to frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from benchmarks.contract import Trial
from benchmarks.scoring import frames
from benchmarks.scoring.frames import Frames, Row, frame
from benchmarks.scoring.item_rows import effect_rows, item_row, step_rows
from benchmarks.scoring.rates import Rates
from benchmarks.scoring.seen import key, sort_out
from benchmarks.scoring.trial_rows import checkpoint_rows, compute_of, deploy_rows, throughput_rows, use_rows


def tidy(trials: Iterable[Trial], rates: Rates, user_code: Mapping[str, int]) -> Frames:
    """Turn trials into frames.

    Args:
        trials: In any order: the frames do not depend on it.
        rates: What compute costs.
        user_code: Lines of user code by arm; see `user_code.lines_of`.

    Raises:
        ConfigurationError: the installed genai-prices does not know the model that arms ask for.
    """
    seen = sort_out(trials)
    items: list[Row] = []
    use: list[Row] = []
    for each in seen.trials:
        compute = compute_of(each, rates)
        items += [item_row(item, compute) for item in each.items]
        use += use_rows(each, compute)
    of_items = [item for each in seen.trials for item in each.items]
    return Frames(
        items=frame(frames.ITEMS, items),
        steps=frame(frames.STEPS, [row for item in of_items for row in step_rows(item)]),
        effects=frame(frames.EFFECTS, [row for item in of_items for row in effect_rows(item)]),
        checkpoints=frame(frames.CHECKPOINTS, checkpoint_rows(seen.trials)),
        throughput=frame(frames.THROUGHPUT, [row for each in seen.trials for row in throughput_rows(each.trial)]),
        deploys=frame(frames.DEPLOYS, [row for each in seen.trials for row in deploy_rows(each.trial)]),
        use=frame(frames.USE, use),
        user_code=frame(frames.USER_CODE, [{"arm": arm, "lines": lines} for arm, lines in sorted(user_code.items())]),
        arm_failures=frame(
            frames.ARM_FAILURES,
            [{**key(each.trial), "what": what} for each in seen.trials if (what := each.trial.arm_failure) is not None],
        ),
        left_out=frame(frames.LEFT_OUT, seen.left_out),
    )

"""A run that two processes execute at the same time: one goes on, the other stops before it does anything more.

Here runs a sample, others for every `TRIPTYCH_SEED`; `make soak` runs a hundred.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.components.prefect_server import PrefectServer
from tests.components.s3 import S3Server
from tests.resume.arena import STORES, Arena, Outcome
from tests.resume.rivals import AT_ONCE, LINES, Trial, contended, faults, rivalry, starts, trials

SAMPLE = trials(int(os.environ.get("TRIPTYCH_SEED", "0")), 8)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def arena(
    prefect_server: PrefectServer, s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Arena]:
    arena = Arena(prefect_server, s3_server, tmp_path_factory.mktemp("rivals"))
    yield arena
    arena.close()


@pytest.fixture(scope="module")
def undisturbed(arena: Arena) -> Outcome:
    return arena.undisturbed("folder")


@pytest.mark.parametrize("trial", SAMPLE, ids=lambda trial: f"{trial.after_lines}-lines")
def test_one_of_two_goes_on(arena: Arena, undisturbed: Outcome, trial: Trial) -> None:
    store = STORES[SAMPLE.index(trial) % len(STORES)]
    assert faults(*contended(arena, store, trial), undisturbed) == []


def test_the_trials_are_spread_over_the_whole_run() -> None:
    assert {trial.after_lines * 4 // LINES for trial in trials(1, 100)} == {0, 1, 2, 3}


def test_without_ownership_both_would_take_the_steps(arena: Arena) -> None:
    """What makes the zeros above something else."""
    run = rivalry(arena, "folder", Trial(8, 0.0), ignores_ownership=True)
    assert len([key for key, times in starts(run).items() if times > 1]) > AT_ONCE
    # Even then: the backend knows the keys.
    assert max(run.effects().values()) == 1

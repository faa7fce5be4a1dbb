"""SIGKILL of brain and hands during steps of a fix: the same patch and tree, nothing paid twice, nothing left.

A sample by the seed; `soak_killed_fixes` takes every step, and its results are committed.
"""

from __future__ import annotations

import pytest

from tests.e2e.hands.boxes import docker
from tests.e2e.hands.killed_fixes import SAMPLE, UNDISTURBED, Ended, Kill, differences, run_kills, sample
from tests.e2e.stack import poll

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone", "hands_image")]


@pytest.fixture(scope="module")
def ended(
    docker_alone: None, brain_image: str, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> dict[Kill | str, Ended]:
    came_of = run_kills(tmp_path_factory.mktemp("k"), brain_image, sample(seed))
    poll("the end of all containers", lambda: docker("ps", "--all", "--quiet") == [])
    return came_of


@pytest.mark.parametrize("number", range(SAMPLE))
def test_whoever_dies_the_branch_is_that_of_an_undisturbed_run(
    number: int, seed: int, ended: dict[Kill | str, Ended]
) -> None:
    kill = sample(seed)[number]
    assert differences(kill, ended[kill], ended[UNDISTURBED]) == [], kill

"""`triptych bench --suite sandbox`: what it prints, not how fast that is."""

from __future__ import annotations

import pytest

from tests.e2e.hands.boxes import everything_of_docker
from tests.e2e.stack import Home

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.mark.usefixtures("hands_image", "brain_image")
def test_it_measures_every_operation_and_leaves_nothing(home: Home) -> None:
    before = everything_of_docker()
    measured = home.json("bench", "--suite", "sandbox", "--rounds", "1", "--commands", "5", "--agents", "2")
    counts = {row["operation"]: row["count"] for row in measured["rows"]}
    assert counts == {
        "box ready: create to first command": 1,
        "command, round trip": 5,
        "write 1 MB": 1,
        "read 1 MB": 1,
        "write 50 MB": 1,
        "read 50 MB": 1,
        "end of a box": 1,
        "snapshot of a small change in 50 MB": 10,
        "restore of it in a new box": 1,
    }
    assert measured["snapshot_seconds"] > 0
    assert measured["restore_seconds"] > 0
    assert measured["broker_mib"] > 1
    assert measured["idle_box_mib"] > 1
    assert measured["ten_lifecycles_seconds"] > 0
    (agents,) = measured["agents"]
    assert agents["at_once"] == 2
    assert agents["agents_per_minute"] > 0
    assert agents["seconds_an_agent"] > 0
    assert everything_of_docker() == before


@pytest.mark.usefixtures("hands_image")
def test_an_image_that_is_not_there_is_named(home: Home) -> None:
    refused = home.run("bench", "--suite", "sandbox", "--image", "triptych-test-missing", code=2)
    assert "triptych-test-missing is not here" in refused.stderr

"""Every repository of the suite, each in a box of its own: its plan fixes it, and what attacks gets nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.components.sandbox import CANARY, Broker
from tests.e2e.hands.boxes import Tried, containers_of
from tests.e2e.hands.fixing import Played, play
from triptych.samples.coding import Sample, load_suite, suite_names

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]
AT_ONCE = 4


@pytest.fixture(scope="module")
def played(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Sample, Played]]:
    """What came of each, by name; several at a time."""
    suite = load_suite(tmp_path_factory.mktemp("suite"))

    async def play_all() -> list[Played]:
        places = asyncio.Semaphore(AT_ONCE)

        async def play_one(sample: Sample) -> Played:
            async with places:
                return await play(broker, sample.task)

        return await asyncio.gather(*(play_one(sample) for sample in suite))

    came_of = asyncio.run(play_all())
    assert containers_of(broker) == []
    return {sample.task.name: (sample, what) for sample, what in zip(suite, came_of, strict=True)}


@pytest.mark.parametrize("name", suite_names())
def test_a_plan_does_what_its_task_says(played: dict[str, tuple[Sample, Played]], name: str, tried: Tried) -> None:
    sample, what = played[name]
    assert what.before.exit_code != 0
    assert CANARY not in what.said
    if sample.attack is not None:
        tried(f"by a coding agent: {name}")
        assert sample.attack in what.said
    if sample.expected == "no_patch":
        assert what.fix.outcome == "gave_up"
        assert what.changed == ""
        return
    assert what.after.exit_code == 0, (what.after.stdout, what.after.stderr, what.said)
    assert what.fix.outcome == "fixed"
    assert what.changed
    assert (".githooks/" in what.changed) is (sample.expected == "forbidden_path")
    assert ".pydantic-ai-harness" not in what.changed


def test_the_agents_search_runs_in_the_box(played: dict[str, tuple[Sample, Played]]) -> None:
    """By ripgrep: nothing else that is there knows this pattern."""
    _, what = played["mutable-default"]
    assert "shop/basket.py:7:        self.lines = lines" in what.said
    _, what = played["off-by-one"]
    assert "listing/footer.py\nlisting/pages.py" in what.said

"""Play all programs of a clone of QuixBugs in boxes: `python -m tests.e2e.hands.soak_quixbugs CLONE`.

It needs Docker and the clone, which CI does not have. The exit code is 1 when a buggy version passed its tests or a
correct one failed them.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from tests.components.sandbox import IMAGE, KIND, Broker, running_broker
from tests.e2e.hands.fixing import play
from triptych.fixes import FixTask
from triptych.samples.quixbugs import load_quixbugs
from triptych.sandbox.policy import Template


def main() -> int:
    """Play them, and print a line for each."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("clone", type=Path)
    arguments.add_argument("--at-once", type=int, default=4)
    told = arguments.parse_args()
    template = Template(image=IMAGE, memory_mib=256, disk_mib=128, tmp_mib=16, pids=64, boxes=told.at_once)
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running_broker({KIND: template}) as broker:
        tasks = load_quixbugs(told.clone, Path(folder))
        good = asyncio.run(_play_all(broker, tasks, told.at_once))
    print(f"{sum(good)} of {len(tasks)} fixed in {time.monotonic() - began:.0f} s")
    return 0 if all(good) else 1


async def _play_all(broker: Broker, tasks: list[FixTask], at_once: int) -> list[bool]:
    places = asyncio.Semaphore(at_once)

    async def play_one(task: FixTask) -> bool:
        async with places:
            came_of = await play(broker, task)
        before = "did not end" if "was not done after" in came_of.before.stdout else f"exit {came_of.before.exit_code}"
        is_good = came_of.before.exit_code != 0 and came_of.after.exit_code == 0
        print(f"{task.name:32} before: {before:12} after: exit {came_of.after.exit_code}", flush=True)
        return is_good

    return await asyncio.gather(*(play_one(task) for task in tasks))


if __name__ == "__main__":
    raise SystemExit(main())

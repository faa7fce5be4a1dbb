"""Hand a patch over to the machine that has the repository: a run of `apply-patch`, and what came of it."""

from __future__ import annotations

import asyncio

from prefect.client.orchestration import get_client
from prefect.deployments import arun_deployment

from triptych.errors import ConfigurationError
from triptych.fixes import FixTask
from triptych.runtime.batches import POLL_SECONDS, key_of
from triptych.runtime.coding.once import once, this_execution
from triptych.runtime.coding.reports import Application, Patch, Source
from triptych.runtime.queries import outcome_of
from triptych.runtime.recovery import is_brought_back

DEPLOYMENT = "apply-patch/apply-patch"


async def have_applied(task: FixTask, source: Source, patch: Patch, fix_run: str) -> Application:
    """Have a patch applied by a run of its own, outside of this process and its container, once.

    Args:
        task: What it is for.
        source: Where it belongs.
        patch: What is applied.
        fix_run: The id of the flow run that it comes from: this one, or an earlier one where it was not applied.

    Raises:
        ConfigurationError: that run came to nothing; says why.
    """
    run = this_execution().flow_run_id

    async def hand_over() -> Application:
        told = {
            "task": task.model_dump(mode="json"),
            "source": source.model_dump(mode="json"),
            "patch": patch.model_dump(mode="json"),
            "fix_run": fix_run,
        }
        async with get_client() as client:
            made = await arun_deployment(
                DEPLOYMENT,
                client=client,
                parameters=told,
                flow_run_name=f"apply {task.name}",
                timeout=0,
                as_subflow=False,
                # Handed over again by a later execution, it is the same run.
                idempotency_key=key_of("apply", [run, patch.key]),
            )
            while True:
                there = await client.read_flow_run(made.id)
                if there.state is not None and there.state.is_final() and not is_brought_back(there):
                    break
                await asyncio.sleep(POLL_SECONDS)
        done = await outcome_of(there, Application)
        if done is None:
            raise ConfigurationError(f"the patch was not applied, see run {there.name!r}: {there.state.message}")
        return done

    return await once("have the patch applied", Application, hand_over)

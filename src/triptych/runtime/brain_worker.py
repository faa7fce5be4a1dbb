"""The worker of the pool of brains: `python -m triptych.runtime.brain_worker`.

Prefect's own Docker worker fills the pool's template with what a deployment or a run says, and its `env` whatever the
template says: with variables of the worker's environment (`{{ $NAME }}`), blocks, a library to preload. It
also hands on all its own settings. This one takes the template as it is, and hands on the run's id.
"""

from __future__ import annotations

import asyncio
import warnings
from typing import Any, Self
from uuid import UUID

from anyio.abc import TaskStatus
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect_docker.worker import DockerWorker, DockerWorkerJobConfiguration, DockerWorkerResult

from triptych.runtime.server import BRAINS

NAME = "triptych-brains-worker"


class FinalConfiguration(DockerWorkerJobConfiguration):
    """A container's configuration, as the pool's template says and nobody else."""

    @classmethod
    async def from_template_and_values(
        cls, base_job_template: dict[str, Any], values: dict[str, Any], client: PrefectClient | None = None
    ) -> Self:
        """Leave out what a deployment or a run says."""
        return await super().from_template_and_values(base_job_template=base_job_template, values={}, client=client)

    def _base_environment(self) -> dict[str, str]:
        return {}


with warnings.catch_warnings():
    # In this process it takes the place of Prefect's own, and Prefect says so.
    warnings.simplefilter("ignore")

    class BrainWorker(DockerWorker):
        """Makes containers of brains."""

        job_configuration = FinalConfiguration

        def __init__(self, *args: Any, **more: Any) -> None:
            """As Prefect's own."""
            super().__init__(*args, **more)
            # Which container of a run was made last, for as long as it is waited for.
            self._latest: dict[UUID, object] = {}

        async def run(
            self,
            flow_run: FlowRun,
            configuration: DockerWorkerJobConfiguration,
            task_status: TaskStatus[str] | None = None,
        ) -> DockerWorkerResult:
            """Make a container and wait for its end; one that ended before its run began has failed.

            Docker may have removed it before Prefect's worker could ask how, which then takes it for well. And the run
            may have gone on without this container: its end is then no crash of the one that has taken its place.
            """
            mine = self._latest[flow_run.id] = object()
            result = await super().run(flow_run, configuration, task_status)
            if self._latest[flow_run.id] is not mine:
                return DockerWorkerResult(status_code=0, identifier=result.identifier)
            del self._latest[flow_run.id]
            state = (await self.client.read_flow_run(flow_run.id)).state
            if state is not None and state.is_scheduled():
                return DockerWorkerResult(status_code=0, identifier=result.identifier)
            if state is not None and state.is_pending():
                return DockerWorkerResult(status_code=result.status_code or 1, identifier=result.identifier)
            return result


if __name__ == "__main__":
    asyncio.run(BrainWorker(work_pool_name=BRAINS, name=NAME, create_pool_if_not_found=False).start())

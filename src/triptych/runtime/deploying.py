"""Deploy a version of a project, and go back to the former one. What people set in the UI stays: paused schedules."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.objects import DeploymentSchedule
from prefect.client.schemas.responses import DeploymentResponse

from triptych.errors import ConfigurationError
from triptych.runtime.queries import PAGE
from triptych.runtime.versions import STEP, Version, deployed, export, remember
from triptych.settings import Settings


async def deploy(settings: Settings, project: Path, ref: str) -> Version:
    """Deploy the `prefect.yaml` of a commit; runs under way keep their process.

    Args:
        settings: Its `home` holds the versions' files.
        project: A folder with `prefect.yaml`, in a git repository.
        ref: A tag, a branch or a commit.

    Raises:
        ConfigurationError: there is no such commit, or its `prefect.yaml` cannot be deployed. What was deployed before
            is still remembered, so that it can be rolled back to.
    """
    version = export(settings, project, ref)
    before = deployed(settings, project)
    await _put_in_force(version)
    remember(settings, project, (*(each for each in before if each.commit != version.commit), version))
    return version


async def roll_back(settings: Settings, project: Path) -> Version:
    """Deploy the version that was in force before the last one.

    Raises:
        ConfigurationError: there was none, or it cannot be deployed.
    """
    versions = deployed(settings, project)
    if len(versions) < 2:
        raise ConfigurationError(
            "there is no former version to go back to: `triptych deploy` remembers those that it deploys"
        )
    former = versions[-2]
    # Its folder may have been cleaned away.
    await _put_in_force(export(settings, project, former.commit))
    remember(settings, project, versions[:-1])
    return former


async def _put_in_force(version: Version) -> None:
    async with get_client() as client:
        before = {each.id: each for each in await _deployments(client)}
        command = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
        done = subprocess.run(
            command,
            cwd=version.folder,
            env=os.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ConfigurationError(f"deploying {version.ref} failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")
        for deployment in await _deployments(client):
            if _is_of(deployment, version.folder):
                step = {
                    STEP: {"directory": str(version.folder), "commit": version.commit, "project": str(version.project)}
                }
                await client.update_deployment(deployment.id, DeploymentUpdate(pull_steps=[step], tags=deployment.tags))
                await _keep_as_it_was(client, deployment, before.get(deployment.id))


async def _deployments(client: PrefectClient) -> list[DeploymentResponse]:
    found: list[DeploymentResponse] = []
    while True:
        page = await client.read_deployments(limit=PAGE, offset=len(found))
        found += page
        if len(page) < PAGE:
            return found


def _is_of(deployment: DeploymentResponse, folder: Path) -> bool:
    steps: list[dict[str, Any]] = deployment.pull_steps or []
    return any(inputs.get("directory") == str(folder) for step in steps for inputs in step.values())


async def _keep_as_it_was(client: PrefectClient, now: DeploymentResponse, before: DeploymentResponse | None) -> None:
    """Pause again what a person had paused, and start what they had started, of what both versions have."""
    if before is None:
        return
    if before.paused != now.paused:
        await (client.pause_deployment if before.paused else client.resume_deployment)(now.id)
    active = {_when(schedule): schedule.active for schedule in before.schedules}
    for schedule in now.schedules:
        was = active.get(_when(schedule), schedule.active)
        if was != schedule.active:
            await client.update_deployment_schedule(now.id, schedule.id, active=was)


def _when(schedule: DeploymentSchedule) -> str:
    # An interval's anchor is the time of its deploy, where prefect.yaml names none.
    when = schedule.schedule.model_dump(mode="json", exclude={"anchor_date"})
    return json.dumps([schedule.slug, when, schedule.parameters], sort_keys=True, default=str)

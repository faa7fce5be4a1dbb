"""Versions of a project: each a commit, in a folder of its own, so that one can be deployed beside another, and again.

A deployment names the folder of its version. A run notes the version that it began with: it is up to the policy whether
it goes on with that one after a deploy, or with the new one as far as its checkpoints still fit.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from pydantic import BaseModel, ConfigDict, TypeAdapter

from triptych.errors import ConfigurationError
from triptych.settings import Settings

LABEL = "triptych.version"
"""The label of a flow run that names the commit it began with."""
STEP = "triptych.runtime.versions.enter"
"""The pull step of a deployed version."""


class Version(BaseModel):
    """One deployed commit."""

    model_config = ConfigDict(frozen=True)

    project: Path
    ref: str
    """What it was called when it was deployed: a tag, a branch, or the commit itself."""
    commit: str
    folder: Path
    """Where its files are."""
    deployed_at: datetime


_VERSIONS = TypeAdapter(tuple[Version, ...])


def deployed(settings: Settings, project: Path) -> tuple[Version, ...]:
    """Return the versions of a project that were deployed here and not rolled back, the one in force last."""
    return tuple(each for each in _read(settings) if each.project == project)


def remember(settings: Settings, project: Path, versions: Sequence[Version]) -> None:
    """Keep which versions of a project were deployed."""
    others = [each for each in _read(settings) if each.project != project]
    file = _file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_bytes(_VERSIONS.dump_json((*others, *versions), indent=1))
    temporary.replace(file)


def export(settings: Settings, project: Path, ref: str) -> Version:
    """Write the files of a commit into a folder of its own.

    Args:
        settings: Its `home` holds the folder.
        project: A folder with `prefect.yaml`, in a git repository.
        ref: A tag, a branch or a commit.

    Raises:
        ConfigurationError: there is no repository, no such commit, or no `prefect.yaml` in it.
    """
    commit = _git(project, "rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", fault=f"there is no commit {ref!r}")
    folder = settings.folder / "versions" / commit.decode().strip()
    if ref == "HEAD":
        ref = _git(project, "describe", "--tags", "--always", fault="HEAD cannot be named").decode().strip()
    version = Version(project=project, ref=ref, commit=folder.name, folder=folder, deployed_at=datetime.now(UTC))
    if not folder.is_dir():
        # Of a project that is a part of its repository, that part.
        archive = _git(project, "archive", "--format=tar", folder.name, ".", fault=f"{ref} cannot be read")
        unfinished = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            # Python 3.11.3 and older have no filter. It is the operator's own commit, whose code runs here anyway.
            if hasattr(tarfile, "data_filter"):
                tar.extraction_filter = staticmethod(tarfile.data_filter)
            tar.extractall(unfinished)
        try:
            unfinished.replace(folder)
        except OSError:
            if not folder.is_dir():
                raise
            shutil.rmtree(unfinished)  # another deploy of this commit was quicker
    if not (folder / "prefect.yaml").is_file():
        raise ConfigurationError(f"{ref} holds no prefect.yaml, so there is nothing to deploy")
    return version


def has_changes(project: Path) -> bool:
    """Whether the project's files are other than those of its last commit."""
    return bool(_git(project, "status", "--porcelain", "--", ".", fault="its state cannot be read").strip())


def enter(directory: str, commit: str, project: str) -> dict[str, str]:
    """Go into the folder of the version that the flow run in hand is to be executed with: the deployment's pull step.

    Args:
        directory: The folder of the deployed version.
        commit: Its commit.
        project: The project's own folder, where its inbox is.
    """
    os.environ["TRIPTYCH_PROJECT"] = project
    policy = Settings().when_code_changes
    began_with = _began_with(commit)
    folder = Path(directory)
    if policy == "finish" and began_with != commit and (former := folder.with_name(began_with)).is_dir():
        folder = former
    if not folder.is_dir():
        raise ConfigurationError(f"{folder}, the folder of version {commit[:12]}, is gone: deploy it again")
    os.chdir(folder)
    return {"directory": str(folder)}


def _began_with(commit: str) -> str:
    """Return the commit that the flow run in hand began with; it is this one where it begins now."""
    # Not at the top: `triptych up` reads what is deployed before Prefect may be imported.
    from prefect.client.orchestration import get_client

    flow_run_id = UUID(os.environ["PREFECT__FLOW_RUN_ID"])
    with get_client(sync_client=True) as client:
        known = client.read_flow_run(flow_run_id).labels.get(LABEL)
        if known is None:
            client.update_flow_run_labels(flow_run_id, {LABEL: commit})
    return commit if known is None else str(known)


def _file(settings: Settings) -> Path:
    return settings.folder / "versions" / "deployed.json"


def _read(settings: Settings) -> tuple[Version, ...]:
    try:
        return _VERSIONS.validate_json(_file(settings).read_bytes())
    except FileNotFoundError:
        return ()
    except ValueError as error:
        raise ConfigurationError(f"{_file(settings)} cannot be read ({error}); delete it to begin anew") from None


def _git(project: Path, *arguments: str, fault: str) -> bytes:
    try:
        done = subprocess.run(["git", *arguments], cwd=project, capture_output=True, check=False)
    except FileNotFoundError:
        raise ConfigurationError("git is not installed; versions are commits of a git repository") from None
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise ConfigurationError(f"{fault} in {project}{f' ({said[-1]})' if said else ''}")
    return done.stdout

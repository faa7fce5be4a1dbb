"""The processes behind `triptych up`: a Prefect server, a worker, and the recovery loop.

This module must not import Prefect: Prefect reads its settings from the environment when it is imported, and this is
where that environment comes from.
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
from pydantic import BaseModel, ConfigDict

from triptych.errors import ConfigurationError
from triptych.runtime.server import BRAINS, HOW_TO_BUILD, POOL, ask, free_orphans, make_pools
from triptych.runtime.services import Service, alone, end_marked, free_port, is_free, launch
from triptych.runtime.versions import deployed
from triptych.sandbox.docker import image_lacks, remove_containers
from triptych.sandbox.folder import answers, broker_lacks, identity
from triptych.sandbox.labels import BRAIN, HANDS
from triptych.settings import Settings

READY_SECONDS = 120.0
"""How long a service may take to answer; a new database on a slow disk needs most of a minute."""

OPTIONS = {
    # Prefect's default is a transaction for each of a step's three events.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "50",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    # How long a run waits that found no place under its deployment's limit; by default half a minute.
    "PREFECT_SERVER_DEPLOYMENTS_CONCURRENCY_SLOT_WAIT_SECONDS": "5",
    # A worker that looks further ahead, by default 10 s, asks for that place in every look, and holds it unused.
    "PREFECT_WORKER_PREFETCH_SECONDS": "1",
}
"""What Prefect is told unless the environment says otherwise; see ADR 16."""

Say = Callable[[str], None]


class Stack(BaseModel):
    """What `triptych up` started, as remembered in `<home>/up.json`."""

    model_config = ConfigDict(frozen=True)

    api_url: str
    prefect_home: Path
    project: Path
    mark: str
    """What its processes are known by."""
    is_whole: bool = False
    """Whether all of it came up; not so where `up` itself was killed on the way."""
    services: tuple[Service, ...] = ()

    @property
    def ui_url(self) -> str:
        """Where the Prefect UI is."""
        return self.api_url.removesuffix("/api")


def _state_file(settings: Settings) -> Path:
    return settings.folder / "up.json"


def _lock_file(settings: Settings) -> Path:
    return settings.folder / "up.lock"


def remembered(settings: Settings) -> Stack | None:
    """Return what is up, or None. A stack whose processes are all gone is not up."""
    try:
        stack = Stack.model_validate_json(_state_file(settings).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return stack if any(service.process() for service in stack.services) else None


def _remember(settings: Settings, stack: Stack) -> None:
    file = _state_file(settings)
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_suffix(".tmp")
    temporary.write_text(stack.model_dump_json(indent=1), encoding="utf-8")
    temporary.replace(file)


def connect(settings: Settings) -> str | None:
    """Point this process at the running stack, unless `PREFECT_API_URL` names a server already.

    Must be called before Prefect is imported; a process that lives longer than the stack hands `environment` to a
    child instead, since Prefect's background threads outlast a server badly.

    Returns:
        The API's address, or None where there is neither; Prefect's own profile then decides.
    """
    if "PREFECT_API_URL" not in os.environ:
        stack = remembered(settings)
        if stack is None:
            return None
        os.environ.update(environment(stack.api_url, stack.prefect_home))
    return os.environ["PREFECT_API_URL"]


def environment(api_url: str, prefect_home: Path) -> dict[str, str]:
    """Return the variables that make a process use this server, and touch no other Prefect files of the user's."""
    return {
        "PREFECT_API_URL": api_url,
        "PREFECT_HOME": str(prefect_home),
        "PREFECT_PROFILES_PATH": str(prefect_home / "profiles.toml"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
    }


def start(
    settings: Settings,
    project: Path,
    *,
    port: int | None = None,
    concurrency: int = 4,
    recover_options: tuple[str, ...] = (),
    extra: Mapping[str, str] | None = None,
    sandbox: bool = True,
    say: Say = lambda line: None,
) -> Stack:
    """Start server, pool, worker and recovery loop, save the project's blocks, and deploy the project.

    Args:
        settings: `home` is where everything is kept.
        project: The folder that holds `prefect.yaml`.
        port: The server's; a free one by default.
        concurrency: How many flow runs the pool runs at once.
        recover_options: For `triptych recover`.
        extra: Further environment variables of the services.
        sandbox: Whether the sandbox's broker and the worker of brains are started as well, where there is a Docker.
        say: Called with a line of progress.

    Raises:
        ConfigurationError: it is up already or being started, the port is taken, or a service did not come up; what had
            been started is stopped again.
    """
    with alone(_lock_file(settings)):
        stack, env = _prepared(settings, project, port, extra or {})
        try:
            say(f"starting a Prefect server at {stack.ui_url}")
            stack = _add_server(settings, stack, env)
            make_pools(stack.api_url, concurrency)
            free_orphans(stack.api_url)
            if sandbox:
                stack = _add_broker(settings, stack, env, say)
            say("starting a worker and the recovery loop")
            worker = [sys.executable, "-m", "triptych.runtime.worker", "start"]
            command = [*worker, "--pool", POOL, "--name", "triptych-worker"]
            stack = _add(settings, stack, "worker", command, env)
            command = [sys.executable, "-m", "triptych", "recover", "--all-send-heartbeats", *recover_options]
            stack = _add(settings, stack, "recovery", command, env)
            in_force = deployed(settings, project)
            version = f" of version {in_force[-1].ref}" if in_force else ""
            say(f"saving blocks and deploying prefect.yaml{version}")
            blocks = [sys.executable, "-m", "triptych", "blocks", "--project", str(project)]
            deploy = _deploy_command(settings, project)
            lacking = brains_lack(settings) if sandbox else "no sandbox is wanted"
            pool = {} if lacking else {"making the pool of brains": [sys.executable, "-m", "triptych", "pool"]}
            _run_all({"saving the blocks": blocks, "deploying prefect.yaml": deploy, **pool}, project, env)
            if lacking:
                say(f"no brains in containers: {lacking}")
            else:
                command = [sys.executable, "-m", "triptych.runtime.brain_worker"]
                stack = _add(settings, stack, "brain-worker", command, env)
                say(f"runs of the work pool {BRAINS} have containers of the image {settings.brain.image}")
            _wait_for_worker(stack)
            stack = stack.model_copy(update={"is_whole": True})
            _remember(settings, stack)
        except BaseException:
            _stop(settings)
            raise
        return stack


def _deploy_command(settings: Settings, project: Path) -> list[str]:
    """Return what deploys the project as it lies there, or the version of it that was deployed here last."""
    versions = deployed(settings, project)
    if not versions:
        return [*_prefect(), "--no-prompt", "deploy", "--all"]
    return [sys.executable, "-m", "triptych", "deploy", "--ref", versions[-1].commit, "--project", str(project)]


def start_server(settings: Settings, project: Path, inherited: Mapping[str, str] | None = None) -> Stack:
    """Start a Prefect server alone, for a benchmark or a replay; `stop` ends it.

    Args:
        settings: `home` is where everything is kept.
        project: Where it runs.
        inherited: Its environment, but for what makes it this server; by default that of this process.

    Raises:
        ConfigurationError: one is up already in this `home`, or it did not come up.
    """
    with alone(_lock_file(settings)):
        stack, env = _prepared(settings, project, None, {}, inherited)
        try:
            return _add_server(settings, stack, env)
        except BaseException:
            _stop(settings)
            raise


def stop(settings: Settings) -> list[str]:
    """Stop exactly what was started, with everything those processes started themselves.

    Returns:
        The names of the services that were stopped.

    Raises:
        ConfigurationError: it is being started or stopped by another process.
    """
    if not settings.folder.is_dir():
        return []
    with alone(_lock_file(settings)):
        return _stop(settings)


def _stop(settings: Settings) -> list[str]:
    try:
        stack = Stack.model_validate_json(_state_file(settings).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return []
    stopped = [service.name for service in reversed(stack.services) if service.end()]
    end_marked(stack.mark)
    _end_containers(settings)
    _state_file(settings).unlink(missing_ok=True)
    return stopped


def _end_containers(settings: Settings) -> None:
    """End the containers of this home's, also where the broker did not live to do so."""
    if (settings.sandbox_folder / "identity").exists():
        owner = identity(settings.sandbox_folder)
        remove_containers({HANDS: owner, BRAIN: owner})


def _prepared(
    settings: Settings,
    project: Path,
    port: int | None,
    extra: Mapping[str, str],
    inherited: Mapping[str, str] | None = None,
) -> tuple[Stack, dict[str, str]]:
    if (stack := remembered(settings)) is not None:
        dead = [service for service in stack.services if service.process() is None]
        if stack.is_whole and not dead:
            raise ConfigurationError(f"already up at {stack.ui_url}; `triptych down` stops it")
        said = ", ".join(f"the {service.name} is dead ({service.log})" for service in dead) or "`up` was cut short"
        raise ConfigurationError(
            f"only a part is up at {stack.ui_url}: {said}. `triptych down`, then `triptych up` again: "
            "what is under way goes on from its last checkpoint"
        )
    if port is not None and not is_free(port):
        raise ConfigurationError(f"port {port} is taken; give another with --port, or stop what listens there")
    folder = settings.folder
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    prefect_home = folder / "prefect"
    prefect_home.mkdir(exist_ok=True)
    api_url = f"http://127.0.0.1:{port or free_port()}/api"
    env = {
        **OPTIONS,
        **(os.environ if inherited is None else inherited),
        **environment(api_url, prefect_home),
        "TRIPTYCH_HOME": str(folder),
        "PREFECT_WORKER_QUERY_SECONDS": "2",
        # The signs of life that the recovery loop listens for.
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
        **extra,
    }
    return Stack(api_url=api_url, prefect_home=prefect_home, project=project, mark=uuid.uuid4().hex), env


def _add_server(settings: Settings, stack: Stack, env: Mapping[str, str]) -> Stack:
    port = stack.ui_url.rpartition(":")[2]
    command = [sys.executable, "-m", "triptych.runtime.prefect_server", "start", "--host", "127.0.0.1", "--port", port]
    stack = _add(settings, stack, "server", command, env)
    _wait_for_server(stack)
    return stack


def _add_broker(settings: Settings, stack: Stack, env: Mapping[str, str], say: Say) -> Stack:
    """Start the sandbox's broker, where there is a Docker for it."""
    folder = settings.sandbox_folder
    if missing := broker_lacks(folder):
        say(f"no sandbox: {missing}")
        return stack
    say("starting the sandbox's broker")
    ports = [stack.ui_url.rpartition(":")[2], *map(str, settings.brain.ports)]
    stack = _add(
        settings, stack, "broker", [sys.executable, "-m", "triptych.sandbox.serving", str(folder), *ports], env
    )
    _wait("the sandbox's broker", lambda: answers(folder), stack, "broker")
    return stack


def brains_lack(settings: Settings) -> str | None:
    """Return what containers for loops lack here, and how to get it; None where they lack nothing."""
    if missing := broker_lacks(settings.sandbox_folder):
        return f"there is no sandbox: {missing}"
    if importlib.util.find_spec("prefect_docker") is None:
        return "its packages are not installed: pip install 'triptych[sandbox]'"
    return image_lacks(settings.brain.image, HOW_TO_BUILD)


def _prefect() -> list[str]:
    # By module, so that it is the Prefect of this very environment.
    return [sys.executable, "-m", "prefect"]


def _add(settings: Settings, stack: Stack, name: str, command: list[str], env: Mapping[str, str]) -> Stack:
    log = settings.folder / "logs" / f"{name}.log"
    service = launch(name, command, folder=stack.project, log=log, mark=stack.mark, env=env)
    stack = stack.model_copy(update={"services": (*stack.services, service)})
    _remember(settings, stack)
    return stack


def _run_all(commands: Mapping[str, list[str]], project: Path, env: Mapping[str, str]) -> None:
    """Run commands side by side; each spends most of its time importing."""
    running = {
        what: subprocess.Popen(
            command,
            cwd=project,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for what, command in commands.items()
    }
    failures: list[str] = []
    for what, process in running.items():
        said, _ = process.communicate()
        if process.returncode != 0:
            failures.append(f"{what} failed:\n{said.strip()}")
    if failures:
        raise ConfigurationError("\n".join(failures))


def _wait(what: str, ready: Callable[[], bool], stack: Stack, service: str) -> None:
    watched = next(item for item in stack.services if item.name == service)
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if ready():
                return
        if watched.process() is None:
            break
        time.sleep(0.2)
    lines = watched.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
    raise ConfigurationError(f"{what} did not come up; the end of {watched.log}:\n" + "\n".join(lines))


def _wait_for_server(stack: Stack) -> None:
    _wait(
        "the Prefect server",
        lambda: ask("GET", f"{stack.api_url}/health", timeout=5).status_code == 200,
        stack,
        "server",
    )


def _wait_for_worker(stack: Stack) -> None:
    def online() -> bool:
        answer = ask("POST", f"{stack.api_url}/work_pools/{POOL}/workers/filter", {}, timeout=5)
        return answer.status_code == 200 and any(worker["status"] == "ONLINE" for worker in answer.json())

    _wait("the worker", online, stack, "worker")

"""A run's loop in a container of its own: what it reaches, what it does not, and how it ends."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.components.sandbox import CANARY, KIND, build
from tests.e2e.hands.boxes import Tried, docker
from tests.e2e.hands.brain_runs import (
    REQUESTS,
    container,
    inside,
    inspect,
    nothing_is_left,
    paid_again,
    requests,
    start,
)
from tests.e2e.stack import Home, Up
from tests.e2e.waiting_runs import BIG, effects, resume

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone", "hands_image")]

PASSWORD = f"admin:{CANARY}"


@pytest.fixture(scope="module")
def up(docker_alone: None, brain_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """A stack whose worker knows secrets, and whose brains have no network but forwarded ports."""
    folder = tmp_path_factory.mktemp("h")
    settings = {
        "TRIPTYCH_BRAIN__NETWORK": "none",
        "TRIPTYCH_BRAIN__IMAGE": brain_image,
        "TRIPTYCH_SCRIPTED__FIRST_TOKEN_SECONDS": "1.5",
        "TRIPTYCH_STORE__KEY": "mia",
        "TRIPTYCH_STORE__SECRET": CANARY,
        "PREFECT_SERVER_API_AUTH_STRING": PASSWORD,
        "PREFECT_API_AUTH_STRING": PASSWORD,
        "PREFECT_CLIENT_CUSTOM_HEADERS": f'{{"X-Canary": "{CANARY}"}}',
        "TRIPTYCH_REQUEST_TIMEOUT_SECONDS": "66",
        "CREDENTIAL": CANARY,
    }
    home = Home(folder, settings)
    secrets = folder / "brain" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "OPERATORS_OWN").write_text("a secret")
    # Before what `up` gives.
    (secrets / "TRIPTYCH_REQUEST_TIMEOUT_SECONDS").write_text("77")
    started = home.json("up")
    assert [service["name"] for service in started["services"]][-1] == "brain-worker"
    yield Up(folder=folder, settings=settings, api_url=started["api_url"])
    home.run("down")
    assert docker("ps", "--all", "--quiet", "--filter", "label=triptych.brain") == []


@pytest.fixture(scope="module")
def cancelled(up: Up) -> str:
    """A run that was cancelled while its container does not listen; its end takes a minute."""
    run = start(up)
    docker("pause", container(up, run))
    up.post(f"flow_runs/{run}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
    return run


@pytest.fixture(scope="module")
def alive(up: Up, cancelled: str) -> str:
    """A run that lives for long enough to be looked at."""
    return start(up, lookups=10)


def test_a_container_is_hardened(up: Up, alive: str, tried: Tried) -> None:
    found = inspect(container(up, alive))
    host, config = found["HostConfig"], found["Config"]
    assert (host["CapDrop"], host["SecurityOpt"], host["ReadonlyRootfs"]) == (["ALL"], ["no-new-privileges"], True)
    assert (host["NetworkMode"], host["Privileged"], host["AutoRemove"]) == ("none", False, True)
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (1024 * 2**20, 1024 * 2**20, 512)
    assert (host["IpcMode"], host["CgroupnsMode"]) == ("private", "private")
    assert config["User"] == f"{os.getuid()}:{os.getgid()}"
    assert not [bind for bind in host["Binds"] if "docker.sock" in bind]
    # The server's password, which the loop needs, is in a file, and nowhere that Docker shows.
    assert CANARY not in str(found)
    tried("a secret of the worker in a brain's container, by docker inspect")


LOOKS = """
    import errno, glob, json, os, socket, sys

    canary, hosts, ports = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    reached, sockets = [], []
    for host in hosts:
        for port in ports:
            with socket.socket() as caller:
                caller.settimeout(2)
                if caller.connect_ex((host, port)) == 0:
                    reached.append([host, port])
    for folder, _, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            continue
        for name in names:
            path = os.path.join(folder, name)
            try:
                if os.path.exists(path) and (os.stat(path).st_mode & 0o170000) == 0o140000:
                    sockets.append(path)
            except OSError:
                pass
    held = {name: value for name, value in os.environ.items() if canary in value}
    others = []
    for path in glob.glob("/proc/[0-9]*/environ"):
        try:
            if canary in open(path, errors="replace").read():
                others.append(path)
        except OSError:
            pass
    cards = os.listdir("/sys/class/net")
    own = {name: os.environ.get(name) for name in ("OPERATORS_OWN", "TRIPTYCH_REQUEST_TIMEOUT_SECONDS")}
    print(json.dumps({"reached": reached, "sockets": sockets, "held": sorted(held), "cards": cards, "own": own}))
"""


def test_it_reaches_forwarded_ports_and_nothing_else_of_this_machine(up: Up, alive: str, tried: Tried) -> None:
    found = container(up, alive)
    own = sorted({each.address for cards in psutil.net_if_addrs().values() for each in cards if each.family == 2})
    forwarded = int(up.api_url.split(":")[2].partition("/")[0])
    listening = sorted(
        {each.laddr.port for each in psutil.net_connections("tcp4") if each.laddr and each.status == "LISTEN"}
    )
    assert forwarded in listening
    seen = inside(found, LOOKS, CANARY, json.dumps(own), json.dumps(listening))
    assert seen["reached"] == [["127.0.0.1", forwarded]]
    assert seen["cards"] == ["lo"]
    assert {path.rpartition("/")[2] for path in seen["sockets"]} == {"broker.sock", f"{forwarded}.sock"}
    # It has the server's password, and none of the worker's other secrets.
    assert seen["held"] == ["PREFECT_API_AUTH_STRING"]
    assert seen["own"] == {"OPERATORS_OWN": "a secret", "TRIPTYCH_REQUEST_TIMEOUT_SECONDS": "77"}
    tried(
        f"from a brain: {len(own)} addresses of this machine at {len(listening)} ports, sockets, the worker's secrets"
    )


RESUMES = """
    import json, sys, urllib.request
    told = []
    for host in json.loads(sys.argv[1]):
        url = f"http://{host}:{sys.argv[2]}/api/flow_runs/{sys.argv[3]}/resume"
        try:
            told.append(urllib.request.urlopen(urllib.request.Request(url, b"{}"), timeout=5).status)
        except OSError as error:
            told.append(str(error))
    print(json.dumps(told))
"""
BOXES = """
    import asyncio, json, sys
    from triptych.sandbox.box import Sandbox
    from triptych.settings import Settings

    async def main():
        kind, *program = sys.argv[1:]
        async with Sandbox.create(kind, folder=Settings().sandbox_folder, owner="mia") as box:
            done = await box.run("echo from a box; env", shell=True)
            tried = await box.run(["python3", "-c", *program])
            print(json.dumps([done.stdout, json.loads(tried.stdout)]))

    asyncio.run(main())
"""


def test_it_has_hands_that_resume_no_run(up: Up, alive: str, tried: Tried) -> None:
    found = container(up, alive)
    own = sorted({each.address for cards in psutil.net_if_addrs().values() for each in cards if each.family == 2})
    port = up.api_url.split(":")[2].partition("/")[0]
    said, told = inside(found, BOXES, KIND, textwrap.dedent(RESUMES), json.dumps(own), port, alive)
    assert said.startswith("from a box\n")
    assert CANARY not in said
    assert len(told) == len(own)
    assert all("refused" in each or "unreachable" in each for each in told), told
    tried("resuming its own run, from a box, at every address of this machine and the real server's port")


def test_what_it_was_for_is_done_and_it_is_gone(up: Up, alive: str) -> None:
    assert up.wait_for(alive, "Completed", "Failed")["state_name"] == "Completed"
    assert requests(up, alive) == 10 + 2
    nothing_is_left(alive)


WIDER = {
    "privileged": True,
    "volumes": ["/var/run/docker.sock:/var/run/docker.sock", "/:/host"],
    "network_mode": "host",
    "networks": ["bridge"],
    "image": "triptych-hands",
    "command": "sleep 600",
    "mem_limit": "16g",
    "auto_remove": False,
    "labels": {"triptych.brain": "somebody", "triptych.hands": "somebody"},
    "container_create_kwargs": {"user": "0", "cap_add": ["ALL"], "entrypoint": ["sleep", "600"]},
    "env": {
        "LD_PRELOAD": "/evil.so",
        "TRIPTYCH_MODEL": "anthropic:evil",
        "PREFECT_API_URL": "http://192.0.2.1/api",
        "PYTHONPATH": "/evil",
        "X": "{{ $CREDENTIAL }}",
    },
    "env.Y": "{{ $PREFECT_API_AUTH_STRING }}",
}


def secret_block(up: Up) -> str:
    """Save a block that could take the place of a whole environment; return its id."""
    kind = up.get("block_types/slug/secret")
    (schema,) = up.post("block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [kind["id"]]}}})
    body = {"name": "wider", "block_type_id": kind["id"], "block_schema_id": schema["id"], "data": {"value": "x"}}
    return up.post("block_documents/", body)["id"]


def test_neither_a_run_nor_a_deployment_widens_it(up: Up, tried: Tried) -> None:
    deployment = up.get("deployments/name/handle-ticket/handle-ticket-in-docker")
    block = {"$ref": {"block_document_id": secret_block(up)}}
    runs = [start(up, job_variables=WIDER), start(up, job_variables={"env": block})]
    up.patch(f"deployments/{deployment['id']}", {"job_variables": WIDER})
    try:
        runs.append(start(up))
        seen = [inspect(container(up, run)) for run in runs]
    finally:
        up.patch(f"deployments/{deployment['id']}", {"job_variables": {}})
    runs.append(start(up))
    expected = inspect(container(up, runs[-1]))
    for found in seen:
        assert found["HostConfig"] == expected["HostConfig"]
        for each in ("Image", "Cmd", "Entrypoint", "User"):
            assert found["Config"][each] == expected["Config"][each]
        assert found["Config"]["Labels"]["triptych.brain"] == expected["Config"]["Labels"]["triptych.brain"]
        assert "triptych.hands" not in found["Config"]["Labels"]
        # What the image has, and what Prefect's worker says of the run.
        names = {line.partition("=")[0] for line in found["Config"]["Env"]}
        assert {name for name in names if not name.startswith("PREFECT__")} == {"PATH"}
        assert CANARY not in str(found)
    for run in runs:
        assert up.wait_for(run, "Completed", "Failed", "Crashed")["state_name"] == "Completed"
    tried(f"a brain's container made wider by the job variables of a run and a deployment: {', '.join(WIDER)}")
    tried("a secret of the worker in a brain's environment, by {{ $NAME }} and by a block in the environment's place")


def test_an_approval_is_waited_for_without_a_container(up: Up) -> None:
    run = start(up, ticket=BIG)
    assert up.wait_for(run, "Suspended", "Failed", "Completed")["state_name"] == "Suspended"
    nothing_is_left(run)
    assert resume(up, run, {"approve": True, "name": "Mia"})["status"] == "ACCEPT"
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert len(effects(up, run)) == 1
    assert paid_again(up, run) == 0
    nothing_is_left(run)


def test_a_container_that_is_killed_is_replaced_and_nothing_is_paid_again(up: Up) -> None:
    run = start(up)
    killed = container(up, run, asked=4)
    docker("kill", killed)
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert up.get(f"flow_runs/{run}")["run_count"] == 2
    assert paid_again(up, run) == 0
    # The witness would have seen it: the request that was cut short was begun twice.
    assert requests(up, run) == REQUESTS + 1
    nothing_is_left(run)


def test_the_end_of_a_container_that_was_replaced_is_no_crash_of_its_run(up: Up) -> None:
    """Or each container would be taken for dead when the one before it is ended, until the run is given up."""
    run = start(up)
    replaced = container(up, run)
    docker("pause", replaced)  # so that it ends by being ended
    up.post(f"flow_runs/{run}/set_state", {"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": True})
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    assert "CRASHED" not in [state["type"] for state in up.get(f"flow_run_states/?flow_run_id={run}")]
    nothing_is_left(run)


def test_a_cancelled_run_whose_container_does_not_listen_is_ended(up: Up, cancelled: str) -> None:
    assert up.wait_for(cancelled, "Cancelled", "Crashed", "Completed")["state_name"] == "Cancelled"
    nothing_is_left(cancelled)
    assert requests(up, cancelled, "request.finished") < REQUESTS


@pytest.fixture
def broken_image(up: Up, brain_image: str, docker_engine: Path, tmp_path: Path) -> Iterator[None]:
    """Brains that end before they have begun."""
    (tmp_path / "Dockerfile").write_text(f"FROM {brain_image}\nENTRYPOINT []\nRUN rm /opt/venv/bin/prefect\n")
    build(docker_engine, "triptych-brain-broken", tmp_path)
    up.run("pool", TRIPTYCH_BRAIN__IMAGE="triptych-brain-broken", PREFECT_API_URL=up.api_url)
    yield
    up.run("pool", PREFECT_API_URL=up.api_url)
    docker("rmi", "triptych-brain-broken")


@pytest.mark.usefixtures("broken_image")
def test_a_run_whose_container_ends_before_it_began_fails_and_says_so(up: Up) -> None:
    run = start(up)
    ended = up.wait_for(run, "Failed", "Completed", "Cancelled")
    assert ended["state_name"] == "Failed"
    assert "Given up after 5 executions" in ended["state"]["message"]
    nothing_is_left(run)
    assert requests(up, run) == 0


def test_a_worker_and_a_broker_that_are_killed_leave_nothing(up: Up) -> None:
    run = start(up)
    container(up, run)
    kill(up, "triptych.runtime.brain_worker")
    # The container goes on by itself.
    assert up.wait_for(run, "Completed", "Failed")["state_name"] == "Completed"
    nothing_is_left(run)


def test_going_down_ends_what_a_dead_broker_cannot(up: Up) -> None:
    # Last: the fixture's end sees whether something is left.
    owner = (up.folder / "sandbox" / "identity").read_text()
    docker("run", "--detach", "--label", f"triptych.brain={owner}", "triptych-hands", "sleep", "600")
    kill(up, "triptych.sandbox.serving")


def kill(up: Up, module: str) -> None:
    """Kill a service so that it can clear nothing away."""
    remembered = json.loads((up.folder / "up.json").read_text())
    services = [psutil.Process(each["pid"]) for each in remembered["services"] if psutil.pid_exists(each["pid"])]
    (found,) = [each for each in services if module in each.cmdline()]
    found.kill()

"""A pydantic-ai agent made durable by pydantic-ai's own `PrefectDurability`, deployed to a Prefect server and a worker.

Every model request and tool call is a Prefect task, whose persisted result is what a run that is executed again reads.
What brings a run back are two of Prefect's automations.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from openai import AsyncOpenAI
from prefect import flow
from prefect.automations import Automation
from prefect.client.schemas.objects import State, StateType
from prefect.events.actions import ActionTypes, ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.flow_runs import asuspend_flow_run
from prefect.input import RunInput
from prefect.runtime import flow_run
from prefect.states import Completed
from pydantic_ai import (
    Agent,
    ApprovalRequired,
    DeferredToolRequests,
    DeferredToolResults,
    FunctionToolset,
    RunContext,
    Tool,
    ToolDenied,
)
from pydantic_ai.durable_exec.prefect import PrefectDurability, TaskConfig
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

from benchmarks import code, shop
from benchmarks.contract import APPROVAL_ABOVE_USD, MODEL

A_WEEK = 7 * 24 * 3600
NO_LIMIT = UsageLimits(request_limit=500)
DEPLOYMENT = """\
name: support
deployments:
  - name: handle
    entrypoint: flows/handle.py:handle
    work_pool:
      name: agents
"""


class Approval(RunInput):
    """What a person fills in."""

    approve: bool = False


def make_tool(spec: shop.ToolSpec) -> Tool[str]:
    """Make a tool of the shop's, of which a large refund needs a person, or the one that runs code."""

    async def call(ctx: RunContext[str], **arguments: Any) -> str:
        if spec.name == code.NAME:
            folder = Path(os.environ["WORKSPACES"], str(flow_run.get_name()))
            return await asyncio.to_thread(code.run_here, arguments["code"], folder)
        is_large = spec.name == "refund" and arguments["amount"] > APPROVAL_ABOVE_USD
        if is_large and not ctx.tool_call_approved:
            raise ApprovalRequired
        key = f"{flow_run.get_id()}:{ctx.tool_call_id}"
        try:
            return await shop.acall(ctx.deps, spec.name, arguments, idempotency_key=key, timeout_seconds=2.0)
        except shop.ShopRefused as refusal:
            return f"Error: {refusal}"

    return Tool[str].from_schema(call, spec.name, spec.description, spec.parameters, takes_ctx=True)


async def watch(_ctx: RunContext[str], events: AsyncIterable[AgentStreamEvent]) -> None:
    """Take the model's events as they come: with a handler, requests are streamed."""
    async for _ in events:
        pass


def build_agent() -> Agent[str, str | DeferredToolRequests]:
    """Build the agent inside the flow, from the project's files."""
    client = AsyncOpenAI(
        base_url=os.environ["MODEL_URL"], api_key=os.environ["OPENAI_API_KEY"], timeout=30, max_retries=0
    )
    return Agent(
        OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)),
        name="support",
        deps_type=str,
        output_type=[str, DeferredToolRequests],
        instructions=Path("instructions.md").read_text(encoding="utf-8"),
        toolsets=[FunctionToolset([make_tool(each) for each in shop.tools(Path("tools.json"))], id="shop")],
        capabilities=[
            PrefectDurability(
                event_stream_handler=watch,
                model_task_config=TaskConfig(retries=2, retry_delay_seconds=[1.0, 2.0]),
                tool_task_config=TaskConfig(retries=2, retry_delay_seconds=[0.5, 1.0]),
            )
        ],
    )


@flow(name="handle", flow_run_name="{id}", persist_result=True)
async def handle(id: str, instruction: str, shop_url: str) -> State[Any]:
    """Handle a ticket; where a person is needed, let go of the process until they have answered."""
    agent = build_agent()
    result = await agent.run(instruction, deps=shop_url, usage_limits=NO_LIMIT)
    while isinstance(result.output, DeferredToolRequests):
        said = DeferredToolResults()
        for call in result.output.approvals:
            asks = f"{call.tool_name}({json.dumps(call.args_as_dict(), sort_keys=True)})"
            answer = await asuspend_flow_run(
                wait_for_input=Approval.with_initial_data(description=asks),
                # A key takes lower-case letters and digits only.
                key=hashlib.sha256(call.tool_call_id.encode()).hexdigest()[:16],
                timeout=A_WEEK,
            )
            said.approvals[call.tool_call_id] = answer.approve or ToolDenied("A person declined this call.")
        result = await agent.run(
            message_history=result.all_messages(),
            deferred_tool_results=said,
            deps=shop_url,
            usage=result.usage,
            usage_limits=NO_LIMIT,
        )
    return Completed(message=result.output)


def automations() -> list[Automation]:
    """Say that a run whose heartbeats stop has crashed, and that one that crashed is scheduled again."""
    runs = ResourceSpecification({"prefect.resource.id": ["prefect.flow-run.*"]})
    zombies = EventTrigger(
        after={"prefect.flow-run.heartbeat"},
        expect={"prefect.flow-run.*"},
        match=runs,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=90),
    )
    # Not at once: the worker reports a crash twice, and the second report would end the run that has begun again.
    crashed = EventTrigger(
        after={"prefect.flow-run.Crashed"},
        expect={"prefect.flow-run.*"},
        match=runs,
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=timedelta(seconds=45),
    )
    to_crashed: ActionTypes = ChangeFlowRunState(
        name=None, state=StateType.CRASHED, message="No heartbeat for 90 s.", force=False
    )
    to_scheduled: ActionTypes = ChangeFlowRunState(
        name="Rescheduled", state=StateType.SCHEDULED, message=None, force=False
    )
    return [
        Automation(name="zombies have crashed", trigger=zombies, actions=[to_crashed]),
        Automation(name="what crashed is scheduled again", trigger=crashed, actions=[to_scheduled]),
    ]


async def create_automations() -> None:
    """Save them on the server."""
    for each in automations():
        await each.acreate()


if __name__ == "__main__":
    asyncio.run(create_automations())
    # What follows is not the project's.
    raise SystemExit

# -- What the harness needs; no user of this architecture writes it. --

import contextlib  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from collections.abc import Generator, Mapping  # noqa: E402

import httpx  # noqa: E402
from prefect.client.schemas.objects import FlowRun  # noqa: E402

from benchmarks.arms.processes import Supervised, environment, free_port, kill_marked, wait_until  # noqa: E402
from benchmarks.arms.protocol import Job, Look, Place, Served  # noqa: E402
from benchmarks.arms.runs import Api, Runs  # noqa: E402

SOURCES = ("prefect_durability.py",)
TUNED_BY = (
    "Durable Execution with Prefect - Pydantic AI, ai.pydantic.dev/durable_execution/prefect: retries in tasks, none "
    "in the provider's client, the agent built inside the flow, a handler of events for streaming, a deployment.",
    "Pause and resume - Prefect, docs.prefect.io/v3/develop/pause-resume: suspend_flow_run with an input and a key, "
    "results persisted so that a resumed run reads them.",
    "Detect zombie flows - Prefect, docs.prefect.io/v3/advanced/detect-zombie-flows: heartbeats every 30 s, and the "
    "automation that calls a silent run crashed after 90 s. That a crashed run is then scheduled again is an "
    "automation that no page describes (`prefect flow-run retry` is by hand); without it none would ever end.",
    "As `layered`: a process pool of four places, and a worker that looks every two seconds (the default is ten).",
)
CONCURRENCY = 4


class Deployed:
    """A server and a worker, watched over by a supervisor, and the deployment on them."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._project = place.folder / "project"
        self._storage = place.folder / "state" / "storage"
        self._port = free_port()
        self._api_url = f"http://127.0.0.1:{self._port}/api"
        home = place.folder / "state" / "prefect"
        home.mkdir(parents=True, exist_ok=True)
        self._extra = {
            "PREFECT_API_URL": self._api_url,
            "PREFECT_HOME": str(home),
            "PREFECT_PROFILES_PATH": str(home / "profiles.toml"),
            "PREFECT_LOCAL_STORAGE_PATH": str(self._storage),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",
            "PREFECT_WORKER_QUERY_SECONDS": "2",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(place.project), os.environ.get("PYTHONPATH", "")])),
            "MODEL_URL": place.model_url,
            "OPENAI_API_KEY": "any",
            "WORKSPACES": str(place.folder / "workspaces"),
        }
        prefect = [place.python, "-m", "prefect"]
        server = [*prefect, "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        worker = [*prefect, "worker", "start", "--pool", "agents", "--type", "process", "--name", "worker"]
        self._server = Supervised("server", server, place, self._extra)
        self._worker = Supervised("worker", worker, place, self._extra)
        self._runs = Runs(_Ways())

    def start(self) -> None:
        """Bring everything up, with the first version deployed."""
        self._make()
        self._server.start()
        self._until_up()
        self._runs.connect(self._api_url)
        pool = {"name": "agents", "type": "process", "concurrency_limit": CONCURRENCY}
        httpx.post(f"{self._api_url}/work_pools/", json=pool, timeout=60).raise_for_status()
        self._run([self._place.python, "-m", __name__])
        self.deploy()
        self._worker.start()

    def submit(self, job: Job) -> None:
        """Have the deployment run for it."""
        self._runs.submit(job)

    def look(self, job: Job) -> Look:
        """Say how the item's run stands."""
        return self._runs.look(job)

    def decide(self, job: Job, approve: bool) -> None:
        """Resume the item's run with the form filled in."""
        self._runs.decide(job, approve)

    def deploy(self) -> dict[str, float]:
        """Put the instructions into the project, and deploy it."""
        began = time.perf_counter()
        (self._project / "instructions.md").write_bytes(self._place.instructions.read_bytes())
        self._run([self._place.python, "-m", "prefect", "--no-prompt", "deploy", "--all"])
        return {"deploy": time.perf_counter() - began}

    def restart(self) -> dict[str, float]:
        """Kill everything, and start it again."""
        began = time.perf_counter()
        self._server.kill()
        self._worker.kill()
        kill_marked(self._place.mark)
        killed = time.perf_counter()
        self._server.start()
        self._until_up()
        self._worker.start()
        return {"kill": killed - began, "start": time.perf_counter() - killed}

    def store_outage(self, seconds: float) -> None:
        """Unmount the results' folder. Prefect makes another in its place: what is written there is gone afterwards."""
        away, beneath = (
            self._storage.with_name(f"storage.{each}") for each in ("unmounted", f"beneath-{time.time_ns()}")
        )
        self._storage.rename(away)
        try:
            time.sleep(seconds)
        finally:
            if self._storage.exists():
                self._storage.rename(beneath)
            away.rename(self._storage)

    def close(self) -> None:
        """End everything."""
        self._runs.close()
        self._worker.kill()
        self._server.kill()
        kill_marked(self._place.mark)

    def _make(self) -> None:
        self._storage.mkdir()
        tools = httpx.get(f"{self._place.model_url.removesuffix('/v1')}/shop/tools.json", timeout=30)
        files = {
            "prefect.yaml": DEPLOYMENT,
            "flows/handle.py": f"from {__name__} import handle as handle\n",
            "tools.json": tools.raise_for_status().text,
        }
        for name, text in files.items():
            path = self._project / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def _until_up(self) -> None:
        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(f"{self._api_url}/health", timeout=5).is_success
            return False

        wait_until(answers, "the server's first answer")

    def _run(self, command: list[str]) -> None:
        env = environment(self._place, self._extra)
        done = subprocess.run(command, cwd=self._project, env=env, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr).strip()[-3000:]}")


class _Ways:
    """How the flow asks a person, and which runs the automations bring back."""

    def asks(self, run: FlowRun, api: Api) -> str | None:
        """Read the description of the form."""
        keys = (run.state and run.state.state_details.run_input_keyset) or {}
        if "description" not in keys:
            return None
        try:
            return str(api.ask("GET", f"/flow_runs/{run.id}/input/{keys['description']}"))
        except httpx.HTTPStatusError:
            return None  # it is written after the run is suspended

    def is_brought_back(self, run: FlowRun) -> bool:
        """Whatever crashed."""
        return run.state is not None and run.state.is_crashed()

    def form(self, approve: bool) -> Mapping[str, Any]:
        """Its one field."""
        return {"approve": approve}


@contextlib.contextmanager
def serve(place: Place) -> Generator[Served]:
    """Bring server, worker and deployment up."""
    deployed = Deployed(place)
    try:
        deployed.start()
        yield deployed
    finally:
        deployed.close()

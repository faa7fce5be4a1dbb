"""A pydantic-ai agent made durable by DBOS, in one long-lived server which keeps its steps in SQLite.

A ticket is a workflow of that id. DBOS checkpoints model requests by itself, and tools where they are marked as steps;
when the server starts it goes on with every workflow that was pending.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import Any

import uvicorn
from dbos import DBOS, DBOSConfig, SetWorkflowID
from openai import AsyncOpenAI
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
from pydantic_ai.durable_exec.dbos import DBOSDurability, StepConfig
from pydantic_ai.messages import AgentStreamEvent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks import code, shop
from benchmarks.contract import APPROVAL_ABOVE_USD, MODEL

ASKS = "asks"
"""The event of a workflow that says what it waits for."""
A_WEEK = 7 * 24 * 3600.0
NO_LIMIT = UsageLimits(request_limit=500)


def _is_passing(error: BaseException) -> bool:
    return isinstance(error, shop.ShopUnavailable)


@DBOS.step(retries_allowed=True, max_attempts=3, interval_seconds=0.5, should_retry=_is_passing)
async def call_shop(shop_url: str, name: str, arguments: dict[str, Any], key: str) -> str:
    """Call a tool; what the shop refuses the model is told."""
    try:
        return await shop.acall(shop_url, name, arguments, idempotency_key=key, timeout_seconds=2.0)
    except shop.ShopRefused as refusal:
        return f"Error: {refusal}"


@DBOS.step()
async def run_code(program: str, ticket: str) -> str:
    """Run code in the ticket's folder."""
    return await asyncio.to_thread(code.run_here, program, Path(os.environ["WORKSPACES"], ticket))


def make_tool(spec: shop.ToolSpec) -> Tool[str]:
    """Make a tool of the shop's, of which a large refund needs a person, or the one that runs code."""

    async def call(ctx: RunContext[str], **arguments: Any) -> str:
        if spec.name == code.NAME:
            return await run_code(arguments["code"], str(DBOS.workflow_id))
        is_large = spec.name == "refund" and arguments["amount"] > APPROVAL_ABOVE_USD
        if is_large and not ctx.tool_call_approved:
            raise ApprovalRequired
        return await call_shop(ctx.deps, spec.name, arguments, f"{DBOS.workflow_id}:{ctx.tool_call_id}")

    return Tool[str].from_schema(call, spec.name, spec.description, spec.parameters, takes_ctx=True)


async def watch(_ctx: RunContext[str], events: AsyncIterable[AgentStreamEvent]) -> None:
    """Take the model's events as they come: with a handler, requests are streamed."""
    async for _ in events:
        pass


def build_agent(instructions: str, specs: list[shop.ToolSpec]) -> Agent[str, str | DeferredToolRequests]:
    """Build the agent, before `DBOS.launch()`."""
    client = AsyncOpenAI(
        base_url=os.environ["MODEL_URL"], api_key=os.environ["OPENAI_API_KEY"], timeout=30, max_retries=0
    )
    retries = StepConfig(retries_allowed=True, max_attempts=3, interval_seconds=1.0, backoff_rate=2.0)
    return Agent(
        OpenAIChatModel(MODEL, provider=OpenAIProvider(openai_client=client)),
        name="support",
        deps_type=str,
        output_type=[str, DeferredToolRequests],
        instructions=instructions,
        toolsets=[FunctionToolset([make_tool(each) for each in specs], id="shop")],
        capabilities=[DBOSDurability(event_stream_handler=watch, model_step_config=retries)],
    )


agents: dict[str, Agent[str, str | DeferredToolRequests]] = {}


@DBOS.workflow()
async def handle(instruction: str, shop_url: str) -> str:
    """Handle a ticket; where a person is needed, say so, and wait for what they say."""
    agent = agents["support"]
    result = await agent.run(instruction, deps=shop_url, usage_limits=NO_LIMIT)
    while isinstance(result.output, DeferredToolRequests):
        said = DeferredToolResults()
        for call in result.output.approvals:
            asks = {"id": call.tool_call_id, "tool": call.tool_name, "arguments": call.args_as_dict()}
            await DBOS.set_event_async(ASKS, asks)
            approve = await DBOS.recv_async(call.tool_call_id, timeout_seconds=A_WEEK)
            await DBOS.set_event_async(ASKS, None)
            said.approvals[call.tool_call_id] = bool(approve) or ToolDenied("A person declined this call.")
        result = await agent.run(
            message_history=result.all_messages(),
            deferred_tool_results=said,
            deps=shop_url,
            usage=result.usage,
            usage_limits=NO_LIMIT,
        )
    return result.output


async def submit(request: Request) -> JSONResponse:
    """Start a ticket's workflow; one that is there already is left as it is."""
    wanted = await request.json()
    with SetWorkflowID(request.path_params["id"]):
        await DBOS.start_workflow_async(handle, wanted["instruction"], wanted["shop_url"])
    return JSONResponse({}, 202)


async def decide(request: Request) -> JSONResponse:
    """Hand a person's decision to the workflow that waits for it."""
    said = await request.json()
    await DBOS.send_async(request.path_params["id"], said["approve"], said["asks"], idempotency_key=said["asks"])
    return JSONResponse({})


async def look(request: Request) -> JSONResponse:
    """Say how tickets stand: `?id=a&id=b`."""
    found: dict[str, Any] = {}
    ids = request.query_params.getlist("id")
    for each in await DBOS.list_workflows_async(workflow_ids=ids, load_input=False) if ids else ():
        is_open = each.status in ("PENDING", "ENQUEUED", "DELAYED")
        events = await DBOS.get_all_events_async(each.workflow_id) if is_open else {}
        found[each.workflow_id] = {
            "status": each.status,
            "answer": each.output,
            "error": str(each.error) if each.error else None,
            "asks": events.get(ASKS),
        }
    return JSONResponse(found)


@contextlib.asynccontextmanager
async def running(_app: Starlette) -> AsyncGenerator[None]:
    """Have DBOS run, and go on with what was pending, for as long as the server does."""
    specs = shop.tools(os.environ["SHOP_URL"])
    agents["support"] = build_agent(Path(os.environ["INSTRUCTIONS"]).read_text(encoding="utf-8"), specs)
    DBOS.launch()
    yield
    DBOS.destroy()


def main() -> None:
    """Serve until SIGTERM."""
    DBOS(config=DBOSConfig(name="support", system_database_url=os.environ["SYSTEM_DATABASE_URL"]))
    routes = [
        Route("/tickets", look),
        Route("/tickets/{id}", submit, methods=["POST"]),
        Route("/tickets/{id}/decision", decide, methods=["POST"]),
    ]
    uvicorn.run(Starlette(routes=routes, lifespan=running), port=int(os.environ["PORT"]), access_log=False)


if __name__ == "__main__":
    main()
    # What follows is not the server's.
    raise SystemExit

# -- What the harness needs; no user of this architecture writes it. --

import sqlite3  # noqa: E402
import time  # noqa: E402
from collections.abc import Generator  # noqa: E402

import httpx  # noqa: E402
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed  # noqa: E402

from benchmarks.arms.processes import Supervised, free_port, kill_marked, wait_until  # noqa: E402
from benchmarks.arms.protocol import Job, Look, Place, Served  # noqa: E402

SOURCES = ("dbos_durability.py",)
TUNED_BY = (
    "Durable Execution with DBOS - Pydantic AI, ai.pydantic.dev/durable_execution/dbos: tools marked with @DBOS.step, "
    "retries in steps and none in the provider's client, a handler of events for streaming.",
    "Human-in-the-Loop - DBOS, docs.dbos.dev/python/examples/agent-inbox: DBOS.set_event for what is asked, DBOS.recv "
    "for the answer.",
    "Self-Hosting - DBOS, docs.dbos.dev/self-hosting: on a single server a restart recovers all pending workflows; "
    "its database is SQLite, DBOS's default, where for production it advises Postgres.",
)
FRESH_SECONDS = 0.25
"""What was heard of an item is asked for again after so long."""
PATIENCE_SECONDS = 120.0


class Workflows:
    """The server, watched over by a supervisor, and a client of it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._database = place.folder / "state" / "dbos.sqlite"
        self._database.parent.mkdir(parents=True, exist_ok=True)
        port = free_port()
        extra = {
            "PORT": str(port),
            "MODEL_URL": place.model_url,
            "OPENAI_API_KEY": "any",
            "SHOP_URL": f"{place.model_url.removesuffix('/v1')}/shop",
            "INSTRUCTIONS": str(place.instructions),
            "SYSTEM_DATABASE_URL": f"sqlite:///{self._database}",
            "WORKSPACES": str(place.folder / "workspaces"),
        }
        self._server = Supervised("server", [place.python, "-m", __name__], place, extra)
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        self._open: set[str] = set()
        self._told: dict[str, dict[str, Any]] = {}
        self._told_at = 0.0

    def start(self) -> None:
        """Bring the server up."""
        self._server.start()
        self._until_up()

    def submit(self, job: Job) -> None:
        """Start the item's workflow."""
        self._ask("POST", f"/tickets/{job.id}", {"instruction": job.instruction, "shop_url": job.shop_url})
        self._open.add(job.id)

    def look(self, job: Job) -> Look:
        """Say how the item's workflow stands, as of a moment ago."""
        if job.id in self._open and time.monotonic() - self._told_at > FRESH_SECONDS:
            self._told |= self._ask("GET", "/tickets", params={"id": sorted(self._open)})
            self._told_at = time.monotonic()
        told = self._told.get(job.id)
        if told is None:
            return Look("running" if job.id in self._open else "unknown")
        if told["status"] in ("PENDING", "ENQUEUED", "DELAYED"):
            if told["asks"] is None:
                return Look("running")
            arguments = json.dumps(told["asks"]["arguments"], sort_keys=True)
            return Look("waiting", asks=f"{told['asks']['tool']}({arguments})")
        self._open.discard(job.id)
        if told["status"] == "SUCCESS":
            return Look("done", answer=told["answer"])
        return Look("failed", reason=f"{told['status']}: {told['error']}")

    def decide(self, job: Job, approve: bool) -> None:
        """Send the decision to the item's workflow."""
        asks = self._told[job.id]["asks"]["id"]
        self._ask("POST", f"/tickets/{job.id}/decision", {"asks": asks, "approve": approve})
        self._told_at = 0.0

    def deploy(self) -> dict[str, float]:
        """Stop the server, which takes the new instructions when it starts, and goes on with what was pending."""
        began = time.perf_counter()
        self._server.stop()
        stopped = time.perf_counter()
        self.start()
        return {"stop": stopped - began, "start": time.perf_counter() - stopped}

    def restart(self) -> dict[str, float]:
        """Kill the server, and start it again."""
        began = time.perf_counter()
        self._server.kill()
        kill_marked(self._place.mark)
        killed = time.perf_counter()
        self.start()
        return {"kill": killed - began, "start": time.perf_counter() - killed}

    def store_outage(self, seconds: float) -> None:
        """Hold the database's lock, so that no step can be written."""
        with contextlib.closing(sqlite3.connect(self._database, isolation_level=None, timeout=30)) as database:
            database.execute("BEGIN EXCLUSIVE")
            time.sleep(seconds)
            database.execute("ROLLBACK")

    def close(self) -> None:
        """End everything."""
        self._http.close()
        self._server.kill()
        kill_marked(self._place.mark)

    def _until_up(self) -> None:
        self._told_at = 0.0

        def answers() -> bool:
            with contextlib.suppress(httpx.TransportError):
                return self._http.get("/tickets", timeout=5).is_success
            return False

        wait_until(answers, "the server's first answer")

    def _ask(self, method: str, path: str, body: Any = None, params: Any = None) -> Any:
        trying = Retrying(
            # As a client of it would: the server is started again when it dies, and may be at its start just now.
            retry=retry_if_exception(lambda error: not isinstance(error, httpx.InvalidURL)),
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_fixed(0.25),
            reraise=True,
        )
        return trying(self._send, method, path, body, params)

    def _send(self, method: str, path: str, body: Any, params: Any) -> Any:
        response = self._http.request(method, path, json=body, params=params)
        return response.raise_for_status().json()


@contextlib.contextmanager
def serve(place: Place) -> Generator[Served]:
    """Bring the server up."""
    workflows = Workflows(place)
    try:
        workflows.start()
        yield workflows
    finally:
        workflows.close()

"""Triptych as shipped: a pydantic-ai agent in a Prefect flow, every step of it a checkpoint, runs brought back.

What the user writes is the agent, a flow of a few lines around it, and the three declarations of a project: its
deployment, its blocks, its tools. `triptych up` runs it; a new version is a commit that `triptych deploy` puts in
force.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.blocks.core import Block
from prefect.client.schemas.objects import State
from pydantic_ai import Agent, DeferredToolRequests, FunctionToolset, ModelRetry, RunContext, Tool
from pydantic_ai.capabilities import AgentCapability
from pydantic_ai.models import Model
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential_jitter

from benchmarks import shop
from benchmarks.code import NAME as RUN_PYTHON
from benchmarks.code import told
from benchmarks.contract import APPROVAL_ABOVE_USD
from triptych.loop.approvals import APPROVAL, above_threshold, asking
from triptych.loop.idempotency import idempotency_key
from triptych.loop.limits import Limits
from triptych.loop.models import resolve_model
from triptych.loop.tools.execution import SIDE_EFFECTS, reading_tool
from triptych.records import Resolution
from triptych.runtime.agents import build_durable, run_durable
from triptych.runtime.approval.policy import ApprovalPolicy, load_policy
from triptych.runtime.results import PLAIN_JSON, ended
from triptych.runtime.sandboxes import SandboxPolicy
from triptych.runtime.store import CheckpointStore, store_slug
from triptych.runtime.workspace_files import durable_workspace
from triptych.settings import Settings

NAME = "support"
LIMITS = Limits(steps=500, tokens=100_000_000, cost_usd=100)
DEPLOYMENT = """\
name: support
deployments:
  - name: handle
    entrypoint: flows/handle.py:handle
    tags: [triptych]
    work_pool:
      name: triptych
"""


def build_agent(
    model: Model | str, *, capabilities: Sequence[AgentCapability[str]] = ()
) -> Agent[str, str | DeferredToolRequests]:
    """Build the agent from the files of the version of the project that the run is executed with.

    Args:
        model: What answers.
        capabilities: What the runtime adds.
    """
    return Agent(
        model,
        name=NAME,
        deps_type=str,
        output_type=[str, DeferredToolRequests],
        instructions=Path("instructions.md").read_text(encoding="utf-8"),
        toolsets=[FunctionToolset([_tool(each) for each in shop.tools(Path("tools.json"))], id="shop")],
        capabilities=capabilities,
    )


def _tool(spec: shop.ToolSpec) -> Tool[str]:
    if spec.name == RUN_PYTHON:
        return reading_tool(run_python, description=spec.description)

    @retry(
        retry=retry_if_exception_type(shop.ShopUnavailable),
        stop=stop_after_attempt(3),
        wait=wait_exponential_jitter(initial=0.5, max=5),
        reraise=True,
    )
    async def call(ctx: RunContext[str], **arguments: Any) -> str:
        try:
            return await shop.acall(ctx.deps, spec.name, arguments, idempotency_key=idempotency_key(ctx))
        except shop.ShopRefused as refusal:
            raise ModelRetry(str(refusal)) from refusal

    needs_person = spec.name == "refund"
    tool = Tool[str].from_schema(
        asking(call, above_threshold(_amount)) if needs_person else call,
        spec.name,
        spec.description,
        spec.parameters,
        takes_ctx=True,
        sequential=spec.changes,
    )
    tool.metadata = {SIDE_EFFECTS: spec.changes, APPROVAL: needs_person}
    return tool


async def run_python(ctx: RunContext[str], code: str) -> str:
    """Run code in the run's box."""
    done = await ctx.workspace.run(["python3", "-c", code], timeout=30)
    return told(done.exit_code, done.stdout, done.stderr)


def _amount(_ctx: RunContext[Any], arguments: Mapping[str, Any]) -> float:
    return float(arguments["amount"])


@flow(
    name="handle",
    flow_run_name="{id}",
    persist_result=True,
    result_storage=store_slug(),
    result_serializer=PLAIN_JSON,
)
async def handle(id: str, instruction: str, shop_url: str) -> State[dict[str, Any]]:
    """Handle one ticket, durably. What is told the customer is the run's result, and stands beside its state."""
    settings = Settings()
    model = resolve_model(settings.model, request_timeout_seconds=settings.request_timeout_seconds)
    runs_code = any(each.name == RUN_PYTHON for each in shop.tools(Path("tools.json")))
    more = [durable_workspace(settings)] if runs_code else []
    agent = build_durable(build_agent, model, LIMITS, more=more)
    done = await run_durable(agent, instruction, deps=shop_url, limits=LIMITS, policy=await load_policy(settings))
    return await ended(Resolution(outcome="resolved", answer=done.output), message=done.output)


def documents(settings: Settings) -> dict[str, Block]:
    """Return the blocks that `triptych blocks` saves: where checkpoints lie, what needs a person, where code runs."""
    store = settings.store
    return {
        settings.store_block: CheckpointStore(
            location=store.location or str(settings.folder / "checkpoints"),
            endpoint_url=store.endpoint_url,
            key=store.key,
            secret=store.secret,
            region=store.region,
        ),
        settings.policy_block: ApprovalPolicy(threshold_usd=APPROVAL_ABOVE_USD),
        "coding-agent-python": SandboxPolicy(image="triptych-hands"),
    }


# -- What the harness needs; no user of this architecture writes it. --

from collections.abc import Generator  # noqa: E402
from contextlib import contextmanager  # noqa: E402

from benchmarks.arms.protocol import Place, Served  # noqa: E402
from benchmarks.arms.stacks import FolderStore, serve_project  # noqa: E402

SOURCES = ("layered.py",)
TUNED_BY = (
    "Your own agent - README.md#your-own-agent",
    "A person decides - README.md#a-person-decides",
    "A deploy amid runs - README.md#a-deploy-amid-runs: versions are deployed by `triptych deploy`, and a run finishes "
    "with the version that it began with (TRIPTYCH_WHEN_CODE_CHANGES=finish)",
    "What it holds - README.md#what-it-holds: a supervisor starts again what dies of server, worker and recovery loop",
    "Take no more panels than you need - README.md: no sandbox (`triptych up --no-sandbox`) but where code runs",
    "Code that a model wrote - README.md#code-that-a-model-wrote: in a box, its files kept with the run's steps",
)


@contextmanager
def serve(place: Place) -> Generator[Served]:
    """Bring the stack up on a project in the place's folder, with its checkpoints in a folder beside the database."""
    with serve_project(
        place, FolderStore(place.folder / "state" / "checkpoints"), "benchmarks.arms.layered", DEPLOYMENT
    ) as served:
        yield served

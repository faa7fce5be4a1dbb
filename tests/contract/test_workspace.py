"""A box of the broker's is a workspace as pydantic-ai wants one, in every point."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from pydantic_ai.workspaces import WorkspaceBackend, WorkspaceRef
from pydantic_ai.workspaces.conformance import WorkspaceBackendSuite

from tests.components.sandbox import KIND, Broker
from triptych.sandbox.client import Client
from triptych.sandbox.workspace import HandsBackend

pytestmark = [pytest.mark.timeout(900), pytest.mark.usefixtures("docker_alone")]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def client(broker: Broker) -> AsyncIterator[Client]:
    client = Client(broker.socket, owner="conformance")
    yield client
    for box in await client.boxes():
        await client.destroy(box["id"])
    await client.close()


class TestABoxOfTheBrokers(WorkspaceBackendSuite):
    @pytest.fixture
    def backend(self, client: Client) -> WorkspaceBackend:
        return HandsBackend(client, template=KIND)

    @pytest.fixture
    def fresh_backend(self, client: Client) -> Callable[[], WorkspaceBackend]:
        return lambda: HandsBackend(client, template=KIND)

    @pytest.fixture
    def attach_backend(self, client: Client) -> Callable[[WorkspaceRef], WorkspaceBackend]:
        return lambda ref: HandsBackend(client, ref=ref)

    @pytest.fixture
    def destroy_environment(self, client: Client) -> Callable[[WorkspaceBackend], Awaitable[None]]:
        async def destroy(backend: WorkspaceBackend) -> None:
            assert backend.ref is not None
            await client.destroy(backend.ref.id)

        return destroy

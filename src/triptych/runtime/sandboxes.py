"""The templates of the sandbox as Prefect blocks, and how they come into force: layer 3 knows nothing of Prefect."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from prefect.blocks.core import Block
from prefect.client.orchestration import PrefectClient, get_client
from pydantic import Field, ValidationError

from triptych.sandbox.folder import templates_path
from triptych.sandbox.policy import Egress, Template, load, save
from triptych.settings import Settings

LOOK_SECONDS = 5.0


class SandboxPolicy(Block):
    """One kind of box, by the name of its document. Edited in the UI, in force for boxes that are made afterwards."""

    _block_type_name = "Sandbox Policy"
    _block_type_slug = "sandbox-policy"
    _description = "Image and limits of the boxes in which code runs that a model wrote."
    _documentation_url = None  # pyright: ignore[reportAssignmentType]

    image: str = Field(description="An image of the Docker host, with python3 and without volumes. None is pulled.")
    memory_mib: int = Field(default=512, description="Of the processes.")
    disk_mib: int = Field(default=512, description="Of the files in the working directory, which are kept in memory.")
    tmp_mib: int = Field(default=128, description="Of the files in /tmp, which are kept in memory.")
    cpus: float = Field(default=1.0, description="Cores.")
    pids: int = Field(default=256, description="Processes and threads at once.")
    lifetime_seconds: float = Field(default=3600.0, description="A box ends after this, whatever its owner does.")
    lease_seconds: float = Field(default=60.0, description="A box ends this long after its owner's last sign of life.")
    output_mib: int = Field(default=10, description="Of one command's output.")
    boxes: int = Field(default=10, description="So many of this kind at once.")
    env: dict[str, str] = Field(default_factory=dict, description="Of every command. No secret belongs here.")
    egress: list[Egress] = Field(
        default_factory=list[Egress],
        description="What a box may reach, through a proxy that sets the credentials. By default nothing at all.",
    )

    def template(self) -> Template:
        """Return it as the broker takes it.

        Raises:
            ValidationError: a value is out of its bounds.
        """
        return Template.model_validate({name: getattr(self, name) for name in Template.model_fields})


async def keep_in_force(settings: Settings, say: Callable[[str], None]) -> None:
    """Hand the saved policies to the broker of this home, and again whenever they have changed, until cancelled.

    What cannot be used is told once and left out: boxes of that kind are refused meanwhile. A server that does not
    answer changes nothing.

    Args:
        settings: `home` is where the broker has its folder.
        say: Called with a line for each policy that cannot be used.
    """
    said: list[str] = []
    while True:
        # A transport raises what it likes; the recovery loop beside this says so.
        with contextlib.suppress(Exception):
            problems = await put_in_force(settings)
            for problem in problems:
                if problem not in said:
                    say(problem)
            said = problems
        await asyncio.sleep(LOOK_SECONDS)


async def put_in_force(settings: Settings) -> list[str]:
    """Hand the saved policies to the broker of this home; return a sentence for each that cannot be used."""
    async with get_client() as client:
        templates, problems = await _read_templates(client)
    path = templates_path(settings.sandbox_folder)
    if not path.exists() or load(path) != templates:
        save(path, templates)
    return problems


async def _read_templates(client: PrefectClient) -> tuple[dict[str, Template], list[str]]:
    templates: dict[str, Template] = {}
    problems: list[str] = []
    slug = SandboxPolicy.get_block_type_slug()
    for document in await client.read_block_documents_by_type(slug):
        name = document.name or ""
        try:
            templates[name] = SandboxPolicy.model_validate(document.data).template()
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            problems.append(f"the block {slug}/{name} cannot be used, and no box of it is made: {wrong}")
    return templates, problems

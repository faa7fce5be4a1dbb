"""Prompts are Markdown files in this folder; a prompt's name is its file's."""

from __future__ import annotations

from importlib import resources

from triptych.errors import ConfigurationError
from triptych.fixes import FixTask
from triptych.records import Ticket


def load_prompt(name: str) -> str:
    """The text of a prompt.

    Args:
        name: Of a file in this folder, without `.md`.

    Raises:
        ConfigurationError: There is no such prompt. Whoever builds the agent must act.
    """
    folder = resources.files(__name__)
    file = folder / f"{name}.md"
    if not name.isidentifier() or not file.is_file():
        files = sorted(each.name for each in folder.iterdir() if each.name.endswith(".md"))
        raise ConfigurationError(f"there is no prompt {name!r} among {', '.join(files)}")
    return file.read_text(encoding="utf-8").strip()


def ticket_prompt(ticket: Ticket) -> str:
    """What an agent is asked: who writes, and the customer's own words. Never the recorded plan or its outputs.

    Args:
        ticket: The customer's request.
    """
    sender = "unknown" if ticket.user_id is None else ticket.user_id
    return f"Ticket {ticket.id}. Customer id given with it: {sender}.\n\n{ticket.instruction}"


def fix_prompt(task: FixTask) -> str:
    """What a coding agent is asked, ours or yours: the instruction, and how the tests are run. Never the recorded plan.

    Args:
        task: The change that is wanted.
    """
    return f"{task.instruction.strip()}\n\nThe tests are run with:\n\n    {task.test.strip()}"

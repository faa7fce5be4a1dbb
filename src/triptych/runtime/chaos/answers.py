"""What the person answered, in an append-only file of their own: a book that is not our checkpoints."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Answer(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(frozen=True)

    at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    event: Literal["sent", "taken", "lost"]
    """`sent`: the server is about to be told. `taken`: it says that it was. `lost`: it was not, and the run does not
    wait for this answer any more."""
    flow_run_id: str
    request_id: str
    pause_key: str
    """Which asking of the request."""
    fingerprint: str
    arguments: dict[str, Any]
    approve: bool

    def then(self, event: Literal["sent", "taken", "lost"]) -> Answer:
        """Return the line that says what became of this answer."""
        return self.model_copy(update={"event": event, "at": datetime.now(UTC)})


def write(file: Path, answer: Answer) -> None:
    """Append one line, which then outlives a kill of this process."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.write(descriptor, answer.model_dump_json().encode() + b"\n")
    finally:
        os.close(descriptor)


def read(file: Path) -> list[Answer]:
    """Return the lines so far; none where the file does not exist yet."""
    if not file.exists():
        return []
    return [Answer.model_validate_json(line) for line in file.read_bytes().split(b"\n") if line]


def unsettled(answers: Iterable[Answer]) -> list[Answer]:
    """Return those that were sent, and of which it is not known yet whether they were taken."""
    left: dict[str, Answer] = {}
    for answer in answers:
        key = f"{answer.flow_run_id} {answer.pause_key}"
        if answer.event == "sent":
            left[key] = answer
        else:
            left.pop(key, None)
    return list(left.values())

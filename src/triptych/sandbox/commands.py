"""A coding agent of the operator's own: any command-line program, run in a box, its output told as it comes.

It reaches what its box's template lets it reach, and nothing else: the rule for its model is one of `egress`, and so
is the credential, which never comes into the box.
"""

from __future__ import annotations

import codecs
import re
import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple, TypeAlias

from triptych.errors import ConfigurationError
from triptych.fixes import CommandAgent
from triptych.sandbox.workspace import HandsBackend

MAX_LINE_CHARACTERS = 4000
"""A longer line is told in pieces."""
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


EndedBy: TypeAlias = Literal["itself", "idle", "total", "output"]
_ENDED_BY: Mapping[str, EndedBy] = {"idle": "idle", "timeout": "total", "output": "output"}


class CommandEnded(NamedTuple):
    """How a command agent ended. Whether it did what it was asked is for the tests to say."""

    exit_code: int
    """128 and the signal's number where it was ended."""
    ended_by: EndedBy
    """`idle`: it printed nothing for `idle_seconds`. `total`: it lasted longer than `total_seconds`. `output`: it
    printed more than the template's `output_mib`."""
    seconds: float
    """How long it ran."""
    lines: int
    """How many were told."""


async def run_command_agent(
    backend: HandsBackend,
    command: CommandAgent,
    instruction: str,
    *,
    environment: Mapping[str, str],
    on_line: Callable[[str], None],
) -> CommandEnded:
    """Run a command agent to its end, in the working directory of a box.

    It and all that it started are gone when this returns, or is cancelled, but for what it left running on purpose when
    it ended by itself.

    Args:
        backend: The box.
        command: What is run.
        instruction: What it is told.
        environment: Where the variables come from that the command may be given.
        on_line: Called with each line as it is printed, of stdout and stderr alike, without the line's end. What a
            terminal would obey (colours, cursor, direction of writing) is taken out. An error of its own ends the
            command.

    Raises:
        ConfigurationError: a variable is not there, or command and instruction are too long. Nothing has been run.
        SandboxUnavailable: the broker does not answer, or the box had no room to start it; a later attempt may succeed.
        WorkspaceUnavailableError: the box is gone.
    """
    if missing := [name for name in command.env if name not in environment]:
        raise ConfigurationError(f"the command agent is to be given {', '.join(missing)}: not set where the task runs")
    streams = {1: Lines(on_line), 2: Lines(on_line)}
    began = time.monotonic()
    ended = await backend.stream(
        command.words(instruction),
        env={name: environment[name] for name in command.env},
        timeout=command.total_seconds,
        idle_timeout=command.idle_seconds,
        hear=lambda stream, data: streams[stream].feed(data),
    )
    for each in streams.values():
        each.end()
    told = sum(each.told for each in streams.values())
    return CommandEnded(ended.exit_code, _ENDED_BY.get(ended.ended_by, "itself"), time.monotonic() - began, told)


class Lines:
    """Makes lines of what comes in pieces.

    Args:
        on_line: Called with each line.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._begun = ""
        self.told = 0

    def feed(self, data: bytes) -> None:
        """Take what came, and tell the lines that are whole now."""
        self._take(self._decoder.decode(data))

    def end(self) -> None:
        """Tell what is left."""
        self._take(self._decoder.decode(b"", final=True))
        if self._begun:
            self._tell(self._begun)
        self._begun = ""

    def _take(self, text: str) -> None:
        *whole, self._begun = (self._begun + text).split("\n")
        for line in whole:
            self._tell(line)
        while len(self._begun) > MAX_LINE_CHARACTERS:
            self._tell(self._begun[:MAX_LINE_CHARACTERS])
            self._begun = self._begun[MAX_LINE_CHARACTERS:]

    def _tell(self, line: str) -> None:
        plain = _UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", _ESCAPE.sub("", line.rstrip("\r")))
        for start in range(0, max(len(plain), 1), MAX_LINE_CHARACTERS):
            self._on_line(plain[start : start + MAX_LINE_CHARACTERS])
            self.told += 1

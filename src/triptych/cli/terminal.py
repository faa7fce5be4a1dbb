"""What commands share: where they print, and which server they ask."""

from __future__ import annotations

import json
import logging
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from triptych.errors import ConfigurationError
from triptych.settings import Settings

out = Console(emoji=False)
progress = Console(stderr=True, emoji=False)
"""What a command is doing; standard output is for what it found."""
_WIDE = out.options.update(width=100_000)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def say(line: str) -> None:
    """Tell what a command is doing."""
    progress.print(line, style="dim", markup=False, highlight=False, soft_wrap=True)


def show_log(name: str) -> None:
    """Say what a logger of ours tells while it works."""
    handler = RichHandler(console=progress, show_time=False, show_level=False, show_path=False)
    logger = logging.getLogger(name)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False


def note(line: str) -> None:
    """Tell what a person should look at."""
    out.print(line, style="yellow", markup=False, highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Print what a command found, for a program."""
    print(json.dumps(value, indent=1, default=str))


def table(title: str, columns: list[str], rows: list[list[object]]) -> None:
    """Print what a command found, for a person."""
    shown = Table(title=title, title_justify="left", title_style="bold")
    for number, column in enumerate(columns):
        cells = [line for row in rows for line in str(row[number] or "").splitlines()]
        # What a reader copies stands whole; in a narrow window the rest is folded.
        shown.add_column(column, overflow="fold", min_width=max(map(len, cells), default=0) if number == 0 else None)
    for row in rows:
        shown.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    # A file or a pipe has no width of its own: nothing is folded for it.
    width = None if out.is_terminal else max(out.width, Measurement.get(out, _WIDE, shown).maximum)
    out.print(shown, width=width, crop=False)


def connected(settings: Settings) -> str:
    """Settle which Prefect server is asked, before Prefect is imported; returns its address.

    Raises:
        ConfigurationError: there is none.
    """
    from triptych.runtime.stack import connect

    api_url = connect(settings)
    if api_url is None:
        raise ConfigurationError("no Prefect server: start one with `triptych up`, or name one in PREFECT_API_URL")
    return api_url

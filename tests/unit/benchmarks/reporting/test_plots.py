"""The plots are drawn from what is there, and the same way every time."""

from __future__ import annotations

import struct

import pandas as pd
import pytest

from benchmarks.reporting.document import Plot
from benchmarks.reporting.styles import style_of
from benchmarks.reporting.timeline import timeline
from tests.components import require
from tests.unit.benchmarks.reporting import made

ARMS = ("while_loop", "layered")


@pytest.fixture(autouse=True)
def _rivals() -> None:  # pyright: ignore[reportUnusedFunction]
    """What draws is installed with them."""
    require("rivals")


def frames() -> dict[str, pd.DataFrame]:
    return {**made.frames(arms=ARMS, rounds=1)._asdict(), "timeline": timeline(made.trials(arms=ARMS))}


def drawn(of: dict[str, pd.DataFrame]) -> dict[str, Plot]:
    from benchmarks.reporting.plots import draw_all

    return {plot.name: plot for plot in draw_all(of)}


def test_all_of_them_and_the_same_every_time() -> None:
    of = frames()
    first, again = drawn(of), drawn(of)
    assert list(first) == ["persistence", "cost", "checkpoints", "recovery", "first_token"]
    for name, plot in first.items():
        assert plot.png is not None
        width, height = struct.unpack(">II", plot.png[16:24])
        assert (plot.png[:8], width > 1000, height > 300) == (b"\x89PNG\r\n\x1a\n", True, True)
        assert plot.png == again[name].png


def test_what_has_no_data_is_left_out() -> None:
    assert [plot.png for plot in drawn({}).values()] == [None] * 5
    of = frames()
    of["checkpoints"] = of["checkpoints"].iloc[:0]
    del of["timeline"]
    assert [name for name, plot in drawn(of).items() if plot.png is None] == ["checkpoints", "recovery"]


def test_without_a_crash_there_is_nothing_to_hold_persistence_against() -> None:
    of = frames()
    of["items"] = of["items"].assign(crashes=0.0)
    assert drawn(of)["persistence"].png is None


def test_arms_are_told_apart_without_colour() -> None:
    styles = [style_of(arm) for arm in made.ARMS]
    assert len({style.marker for style in styles}) == len(made.ARMS)
    assert style_of("an arm of another version") == style_of("an arm of another version")

"""The plots, by matplotlib's Agg alone: no window, no network, and the same picture from the same frames."""

# matplotlib gives its functions types, but not their keyword arguments.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, cast

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.reporting import curves
from benchmarks.reporting.document import Plot
from benchmarks.reporting.measured import Frames, in_order, records
from benchmarks.reporting.styles import RC, style_of

INCHES = (7.6, 4.4)


class _Kind(NamedTuple):
    name: str
    title: str
    note: str
    draw: Callable[[Frames], Figure | None]


def draw_all(frames: Frames) -> tuple[Plot, ...]:
    """Draw all plots whose data is there.

    Args:
        frames: By name; `timeline` is `timeline.timeline`'s.
    """
    drawn: list[Plot] = []
    for kind in _KINDS:
        with matplotlib.rc_context(cast(Any, RC)):
            figure = kind.draw(frames)
            drawn.append(Plot(kind.name, kind.title, kind.note, None if figure is None else _png(figure)))
    return tuple(drawn)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    # No version of matplotlib in the file: it would differ where the picture does not.
    FigureCanvasAgg(figure).print_png(out, metadata={"Software": None})
    return out.getvalue()


def _whole(value: float, _: int | None) -> str:
    return f"{value:,.0f}"


def _axes(inches: tuple[float, float] = INCHES) -> tuple[Figure, Axes]:
    figure = Figure(figsize=inches, layout="constrained")
    return figure, figure.add_subplot()


def _lines(axes: Axes, of: curves.Curves, *, dodge: float = 0.0) -> None:
    """Draw a curve for each arm, with its marker, and bars where rounds differ.

    Args:
        axes: Where.
        of: The curves.
        dodge: How far two arms' points are moved apart, so that equal ones are both seen.
    """
    arms = in_order(of)
    for number, arm in enumerate(arms):
        style = style_of(arm)
        shift = dodge * (number - (len(arms) - 1) / 2)
        x = [point.x + shift for point in of[arm]]
        y = [point.y for point in of[arm]]
        bars = [[point.y - point.low for point in of[arm]], [point.high - point.y for point in of[arm]]]
        common: dict[str, Any] = {"color": style.color, "zorder": 3 + number}
        axes.plot(
            x, y, linestyle=style.line, linewidth=style.width, marker=style.marker, markersize=style.size, **common
        )
        if any(map(any, bars)):
            axes.errorbar(x, y, yerr=bars, fmt="none", elinewidth=1.0, capsize=2.5, **common)


def _legend(figure: Figure, arms: Sequence[str]) -> None:
    handles = [
        Line2D([], [], color=of.color, marker=of.marker, linestyle=of.line, linewidth=of.width, markersize=of.size)
        for of in map(style_of, arms)
    ]
    figure.legend(handles, arms, loc="outside right center", handlelength=3.2, labelspacing=0.9)


def _persistence(frames: Frames) -> Figure | None:
    of = curves.persistence(frames)
    most = max((point.x for points in of.values() for point in points), default=0.0)
    if most == 0:
        return None
    figure, axes = _axes()
    _lines(axes, of, dodge=most / 120)
    axes.set_ylim(0, 104)
    axes.set_xlim(-most * 0.05, most * 1.07)
    axes.set_xlabel("crashes per 100 runs")
    axes.set_ylabel("completed steps kept (%)")
    _legend(figure, in_order(of))
    return figure


def _cost(frames: Frames) -> Figure | None:
    of = curves.cost(frames)
    if not of:
        return None
    figure, axes = _axes()
    _lines(axes, of)
    axes.set_ylim(bottom=0)
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(FixedLocator(list(curves.HOURS)))
    axes.yaxis.set_major_formatter(FuncFormatter(_whole))
    axes.set_xlabel("hours until a person answers")
    axes.set_ylabel("cost of 10,000 runs (US dollars)")
    _legend(figure, in_order(of))
    return figure


def _checkpoints(frames: Frames) -> Figure | None:
    of = curves.checkpoints(frames)
    if not of:
        return None
    figure, axes = _axes()
    _lines(axes, of)
    lengths = sorted({point.x for points in of.values() for point in points})
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(lengths))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(_whole))
    lowest = min(point.low for points in of.values() for point in points)
    axes.set_ylim(bottom=min(0.0, lowest * 1.1))
    if lowest < 0:
        axes.axhline(0, color="#666666", linewidth=1.0)
    axes.set_xlabel("steps of the run (logarithmic)")
    axes.set_ylabel("over a bare step (ms)")
    _legend(figure, in_order(of))
    return figure


_EVENTS = {
    "submitted": ("|", "black", "submitted", 12.0),
    "started": ("o", "white", "a step begins", 6.0),
    "finished": ("o", "black", "it is done and paid", 6.0),
    "failed": ("s", "white", "it fails", 6.0),
    "applied": ("D", "#e69f00", "an effect is made", 8.0),
    "killed": ("X", "#d55e00", "SIGKILL", 11.0),
    "ended": ("*", "black", "ended", 12.0),
}
"""Marker, face, what it means, size."""


def _recovery(frames: Frames) -> Figure | None:
    events: dict[str, list[dict[str, Any]]] = {}
    for row in records(frames, "timeline"):
        events.setdefault(row["arm"], []).append(row)
    if not events:
        return None
    arms = in_order(events)
    figure, axes = _axes((INCHES[0], 1.7 + 0.55 * len(arms)))
    for number, arm in enumerate(arms):
        last = max(row["seconds"] for row in events[arm])
        axes.plot([0, last], [number, number], color="#999999", linewidth=1.2, zorder=1)
        for row in events[arm]:
            if row["event"] in _EVENTS:
                marker, face, _, size = _EVENTS[row["event"]]
                # Requests lie above the line and tool calls below it, so that a step's two ends are not covered.
                height = {"request": -0.16, "call": 0.16}.get(row["kind"], 0.0)
                height = 0.0 if row["event"] == "killed" else height
                axes.plot(
                    [row["seconds"]],
                    [number + height],
                    marker=marker,
                    markersize=size,
                    markerfacecolor=face,
                    markeredgecolor="black",
                    markeredgewidth=0.9,
                    linestyle="none",
                    zorder=4 if row["event"] in ("killed", "applied") else 3,
                )
    axes.set_yticks(range(len(arms)), arms)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.set_xlim(left=0 - 0.02 * axes.get_xlim()[1])
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("seconds since it was submitted; model requests above the line, tool calls below")
    seen = {row["event"] for rows in events.values() for row in rows}
    shown = [of for name, of in _EVENTS.items() if name in seen]
    handles = [
        Line2D([], [], linestyle="none", marker=marker, markersize=size, markerfacecolor=face, markeredgecolor="black")
        for marker, face, _, size in shown
    ]
    figure.legend(
        handles, [of[2] for of in shown], loc="outside upper center", ncols=4, fontsize=9.5, columnspacing=1.4
    )
    return figure


def _first_tokens(frames: Frames) -> Figure | None:
    of = curves.first_tokens(frames)
    if not of:
        return None
    arms = in_order(of)
    figure, axes = _axes((INCHES[0], 1.5 + 0.5 * len(arms)))
    for number, arm in enumerate(arms):
        style, taken = style_of(arm), of[arm]
        # Spread over the row by their rank: nothing random, so the same picture every time. They lie above the bars,
        # which would hide the few of a short result.
        heights = [number - 0.12 + 0.28 * ((rank * 0.618034) % 1 - 0.5) for rank in range(len(taken))]
        axes.plot(
            taken,
            heights,
            linestyle="none",
            marker=style.marker,
            markersize=4.5,
            color=style.color,
            alpha=0.55,
            zorder=3,
        )
        for share, width in ((0.5, 3.0), (0.95, 1.4)):
            at = _quantile(taken, share)
            axes.vlines(at, number + 0.14, number + 0.4, color="black", linewidth=width, zorder=4)
    axes.set_yticks(range(len(arms)), arms)
    axes.set_ylim(len(arms) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    most, least = max(map(max, of.values())), min(map(min, of.values()))
    if most > 20 * least > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(_whole))
        axes.set_xlabel("from hand-in to the first token (ms, logarithmic); thick bar: median, thin bar: 95 %")
    else:
        axes.set_xlim(0, most * 1.05)
        axes.xaxis.set_major_formatter(FuncFormatter(_whole))
        axes.set_xlabel("from hand-in to the first token (ms); thick bar: median, thin bar: 95 %")
    return figure


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The quantile of sorted figures, between two of them in proportion."""
    at = share * (len(ordered) - 1)
    below = int(at)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (at - below) * (ordered[above] - ordered[below])


_KINDS = (
    _Kind(
        "persistence",
        "State persistence against crash rate",
        "Of all completed steps of `retail`, how many were neither lost, nor executed again, nor corrupted: a point a "
        "fault plan, over all rounds; bars span the "
        "single rounds. Points that would cover each other stand side by side. A restart strikes all runs at once and "
        "counts as one crash, and in an arm of one process a kill strikes the runs beside its own as well; lines join "
        "plans, and are no trend.",
        _persistence,
    ),
    _Kind(
        "cost",
        "Cost against the hours that a person takes",
        "What 10,000 runs of `approvals` cost: tokens, compute at work, and what the arm holds and uses while all "
        "its runs wait, as measured, at the rates below. The few runs of the trial share that; an arm that keeps a "
        "server pays the same for it however many wait.",
        _cost,
    ),
    _Kind(
        "checkpoints",
        "Cost of a checkpointed step against the length of the run",
        "What a step (a model request and a tool call) takes over the same step of `while_loop`, which keeps nothing: "
        "median; bars span the single runs. A line that rises means that a step costs more the longer the run is.",
        _checkpoints,
    ),
    _Kind(
        "recovery",
        "One killed item in each arm",
        "What the world saw of one item whose process was killed. Work that is done twice shows as more black circles "
        "after the kill than were missing. The functions are back far sooner than on a real platform, which waits for "
        "a minute or two.",
        _recovery,
    ),
    _Kind(
        "first_token",
        "Time to the first token",
        "Every run of `retail` without faults, from the item's hand-in to the first chunk of the first response: "
        "starts of processes and queues included.",
        _first_tokens,
    ),
)

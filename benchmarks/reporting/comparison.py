"""What changed between two results: beyond the noise, inside it, and what cannot be compared at all."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from rich.console import Group
from rich.table import Table as RichTable
from rich.text import Text

from benchmarks.reporting.about import About, read_about
from benchmarks.reporting.document import Block, Document, Paragraph, Section, Table, section
from benchmarks.reporting.folder import measured, read_frames
from benchmarks.reporting.measured import Frames, Key, Measured, Results, records
from benchmarks.reporting.numbers import NEVER, Figure, with_interval
from benchmarks.reporting.wins import between, where
from benchmarks.scoring.summing_up import difference, measure

Verdict: TypeAlias = Literal[
    "worse", "better", "inside the noise", "no interval", "not comparable", "only in A", "only in B"
]
"""Of B against A."""
ORDER: tuple[Verdict, ...] = (
    "worse",
    "better",
    "inside the noise",
    "no interval",
    "not comparable",
    "only in A",
    "only in B",
)
ELSEWHERE_THE_SAME = frozenset(
    {
        "state_persistence_rate",
        "unavoidable_loss_rate",
        "runs_done_rate",
        "runs_lost_per_deploy",
        "tool_call_success_rate",
        "cost_tokens_per_10k_runs",
        "duplicate_effects_per_100_crashes",
        "silent_failures_per_100_faults",
        "credentials_taken_per_100_runs",
        "unasked_effects_per_100_approvals",
        "approvals_asked_again",
        "checkpoint_bytes",
        "containers_left",
        "user_code_lines",
    }
)
"""Measures that count. A slower machine does not change them, as it does times, memory, and what these cost."""
WHEREVER = frozenset({"user_code_lines"})
"""Measures of no run: whichever was chosen, they can be compared."""


class Circumstance(NamedTuple):
    """What differs between two results, apart from the figures."""

    what: str
    a: str
    b: str
    means: str
    """What follows for the comparison."""


class Change(NamedTuple):
    """One measure of one arm in both results."""

    arm: str
    key: Key
    unit: str
    a: Figure
    b: Figure
    difference: Figure
    """B less A; without a value where they cannot be compared."""
    verdict: Verdict
    why: str = ""
    """Why it is not comparable."""


class Comparison(NamedTuple):
    """Two results, held against each other."""

    a: str
    b: str
    circumstances: tuple[Circumstance, ...]
    changes: tuple[Change, ...]
    """The worse ones first."""

    def records(self) -> list[dict[str, Any]]:
        """Return the changes as what JSON can hold. What never came is `never`, what is not known is None."""
        return [
            {
                "arm": change.arm,
                **change.key._asdict(),
                "unit": change.unit,
                **{
                    f"{name}{end}": _plain(number)
                    for name, figure in (("a", change.a), ("b", change.b), ("difference", change.difference))
                    for end, number in zip(("", "_low", "_high"), figure, strict=True)
                },
                "verdict": change.verdict,
                "why": change.why or None,
            }
            for change in self.changes
        ]

    def as_json(self) -> dict[str, Any]:
        """Return all of it as what JSON can hold."""
        return {
            "a": self.a,
            "b": self.b,
            "circumstances": [each._asdict() for each in self.circumstances],
            "changes": self.records(),
        }

    def table(self) -> Group:
        """Return what a terminal shows: what else differs, what changed beyond the noise, and how many did not."""
        lines = [f"{each.what}: {each.a} / {each.b}: {each.means}" for each in self.circumstances]
        content = self.content("worse", "better")
        shown = RichTable(*content.head, title="Changed beyond the noise", title_justify="left")
        for row in content.rows:
            shown.add_row(*(Text(cell.replace("`", "")) for cell in row))
        counts = {verdict: sum(change.verdict == verdict for change in self.changes) for verdict in ORDER[2:]}
        rest = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        changed = shown if content.rows else Text("Nothing changed beyond the noise.")
        return Group(*map(Text, lines), changed, Text(f"Not listed: {rest}." if rest else ""), Text(self._chance()))

    def content(self, *verdicts: Verdict) -> Table:
        """Return the changes with one of these verdicts; with all if none is named."""
        rows = [
            (
                f"`{change.arm}`",
                f"`{change.key.measure}` ({change.unit})",
                where(change.key),
                with_interval(change.a),
                with_interval(change.b),
                "" if change.difference.value is None else between(change.difference),
                change.verdict + (f": {change.why}" if change.why else ""),
            )
            for change in self.changes
            if not verdicts or change.verdict in verdicts
        ]
        return Table(("arm", "measure (unit)", "workload, plan", "A", "B", "B less A", "B is"), tuple(rows))

    def document(self) -> Document:
        """Return all of it as a report, for `markdown.render`."""
        same = Paragraph("Version of the benchmark, machine, seed, profile, rounds, packages and commit are the same.")
        rows = tuple((each.what, each.a, each.b, each.means) for each in self.circumstances)
        around: Block = Table(("what", "A", "B", "so"), rows) if rows else same
        return Document(
            title="What changed between two results",
            subtitle=f"A is {self.a}, B is {self.b}.",
            sections=(
                section("What else differs", around),
                self._section("Changed beyond the noise", "worse", "better", note=self._chance()),
                self._section("Not changed by more than the noise", "inside the noise"),
                self._section("Not known: too few rounds for an interval", "no interval"),
                self._section("Not to be compared", "not comparable", "only in A", "only in B"),
            ),
        )

    def _chance(self) -> str:
        compared = sum(change.verdict in ("worse", "better", "inside the noise") for change in self.changes)
        if not compared:
            return "Nothing has an interval of its difference, so nothing is called better or worse."
        return (
            f"{compared} differences have an interval. Where nothing differs, about one in twenty comes out as changed "
            "all the same."
        )

    def _section(self, title: str, *verdicts: Verdict, note: str = "") -> Section:
        content = self.content(*verdicts)
        return section(title, content if content.rows else Paragraph("Nothing."), [Paragraph(note)] if note else [])


def compare(a: Path, b: Path) -> Comparison:
    """Hold a result against another one.

    Two results' rounds have nothing to do with each other, so both are drawn anew for the interval of a difference.

    Args:
        a: The folder of the earlier result.
        b: The folder of the later one: it is this that is called better or worse.

    Raises:
        ConfigurationError: one of them is no result, or not a whole one.
    """
    about_a, about_b = read_about(a), read_about(b)
    around = tuple(_circumstances(about_a, about_b))
    if about_a.benchmark_version != about_b.benchmark_version:
        return Comparison(str(a), str(b), around, ())
    frames_a, frames_b = read_frames(a), read_frames(b)
    changes = list(_changes(frames_a, frames_b, about_a, about_b))
    changes.sort(key=lambda change: ORDER.index(change.verdict))
    return Comparison(str(a), str(b), around, tuple(changes))


def _circumstances(a: About, b: About) -> Iterator[Circumstance]:
    counted = "nothing that takes time, memory or compute is compared"
    strict: tuple[tuple[str, object, object, str], ...] = (
        ("version of the benchmark", a.benchmark_version, b.benchmark_version, "nothing is compared"),
        ("machine", _machine(a), _machine(b), counted),
        ("seed", a.seed, b.seed, "other items and other faults: no run is compared"),
        ("tickets", a.said_of_tickets, b.said_of_tickets, "other items: no run is compared"),
        ("profile", a.profile, b.profile, "other trials: no run is compared"),
        ("time scale", f"{a.time_scale:g}", f"{b.time_scale:g}", "where a person is waited for, nothing is compared"),
        ("the model's pace", a.said_of_pace, b.said_of_pace, "no run is compared"),
        ("rates", a.said_of_rates, b.said_of_rates, "no cost is compared"),
        ("rounds", a.rounds, b.rounds, "compared: the intervals know of it"),
        ("commit", _commit(a), _commit(b), "compared: it may be what changed something"),
    )
    for what, of_a, of_b, means in strict:
        if of_a != of_b:
            yield Circumstance(what, str(of_a), str(of_b), means)
    for name in sorted(a.versions.keys() | b.versions.keys()):
        of_a, of_b = (each.versions.get(name) or "none" for each in (a, b))
        if of_a != of_b:
            yield Circumstance(f"version of {name}", of_a, of_b, "compared: it may be what changed something")


def _machine(about: About) -> str:
    of = about.machine
    return f"{of.cpu}, {of.cores} cores, {of.memory_gib:.1f} GiB, {of.system}"


def _commit(about: About) -> str:
    return f"{about.commit or 'none'}{' with changes' if not about.is_clean else ''}"


def _changes(frames_a: Frames, frames_b: Frames, about_a: About, about_b: About) -> Iterator[Change]:
    results_a, results_b = (_results(frames) for frames in (frames_a, frames_b))
    between_results: dict[tuple[str, Key], dict[str, Any]] = {}
    for arm in results_b.arms:
        if arm in results_a.arms:
            held = difference(measured(frames_b), arm, arm, against=measured(frames_a))
            for row in records({"differences": held}, "differences"):
                between_results[arm, Key(row["measure"], row["workload"], row["plan"])] = row
    keys = dict.fromkeys((*results_a.shown, *results_b.shown))
    for key in keys:
        for arm in dict.fromkeys((*results_a.arms, *results_b.arms)):
            of_a, of_b = results_a.of(arm, key), results_b.of(arm, key)
            either = of_b or of_a
            if either is not None:
                why = _not_comparable(key, about_a, about_b)
                yield _change(either, of_a, of_b, between_results.get((arm, key)), why)


def _results(frames: Frames) -> Results:
    """The measures of a result: those that were written, or, where they were not, computed again."""
    if "measures" in frames:
        return Results(frames)
    return Results({**frames, "measures": measure(measured(frames))})


def _change(
    either: Measured, a: Measured | None, b: Measured | None, row: Mapping[str, Any] | None, why: str
) -> Change:
    nothing = Figure(None)
    of_a, of_b = (nothing if each is None else each.figure for each in (a, b))
    common = (either.arm, either.key, either.unit, of_a, of_b)
    if a is None or b is None:
        return Change(*common, nothing, "only in B" if a is None else "only in A")
    if why or row is None:
        return Change(*common, nothing, "not comparable", why or "nothing to hold them against each other by")
    return Change(*common, Figure(row["difference"], row["low"], row["high"]), row["verdict"])


def _not_comparable(key: Key, a: About, b: About) -> str:
    """Why a measure of two results says nothing about what changed; empty if it does."""
    reasons: list[str] = []
    if key.measure not in WHEREVER:
        for name in ("seed", "profile", "pace"):
            if getattr(a, name) != getattr(b, name):
                reasons.append(f"{name}s differ")
        if a.said_of_tickets != b.said_of_tickets:
            reasons.append("tickets differ")
    if key.measure.startswith("cost_") and a.rates != b.rates:
        reasons.append("rates differ")
    if key.measure not in ELSEWHERE_THE_SAME and a.machine != b.machine:
        reasons.append("machines differ")
    if key.workload == "approvals" and a.time_scale != b.time_scale:
        reasons.append("time scales differ")
    return ", ".join(reasons)


def _plain(number: float | None) -> float | str | None:
    if number is None or not math.isinf(number):
        return number
    return NEVER if number > 0 else f"-{NEVER}"

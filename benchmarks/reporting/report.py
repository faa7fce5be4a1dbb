"""The report: what is said, in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median

from benchmarks.reporting import published
from benchmarks.reporting.about import About
from benchmarks.reporting.claims import CANNOT_SAY, claims
from benchmarks.reporting.document import (
    Block,
    Bullets,
    Code,
    Document,
    Heading,
    Paragraph,
    Picture,
    Plot,
    Section,
    Table,
    section,
)
from benchmarks.reporting.measured import ALL_FAULTS, NO_INTERVAL, NOISE, US, Frames, Results, in_order, records
from benchmarks.reporting.numbers import NOT_MEASURED, with_interval
from benchmarks.reporting.wins import of_wins, where
from benchmarks.scoring import given
from benchmarks.scoring.measures import MEASURES

TITLE = "What each architecture costs and saves"
BUSY_CORES = 0.5
"""So much use of the machine by all else, world and harness included, is more than they need."""
NOTES = {
    "recovery_p50": "Of `while_loop` and `while_loop_keyed` it is far too good: the platform here waits one and two "
    "seconds before the second and the third try, and AWS Lambda one and two minutes.",
}
"""What has to be known beside a measure's formula."""


def report(frames: Frames, about: About, plots: Sequence[Plot]) -> Document:
    """Return the report of a result.

    Args:
        frames: By name, `measures` and `differences` among them.
        about: Where, when and how they were measured.
        plots: As they were drawn, those that could not be included.
    """
    results = Results(frames)
    return Document(
        title=TITLE,
        subtitle=_subtitle(about),
        sections=(
            of_wins(results),
            _published(results),
            _claims(results),
            _given(results),
            _measures(results, plots),
            _tuning(results, about),
            _circumstances(frames, about, plots),
        ),
    )


def _published(results: Results) -> Section:
    said = [text for text in (published.left_out(results), published.note(results)) if text]
    return section("The published table, and ours", published.table(results), [Paragraph(text) for text in said])


def _given(results: Results) -> Section:
    def in_words(of: Mapping[str, str], used: Iterable[str]) -> tuple[str, ...]:
        return tuple(f"`{name}`: {of[name]}." for name in of if name.partition("<")[0].rstrip("-") in used)

    workloads = {re.sub(r"-\d+$", "", key.workload) for key in results.keys}
    pooled = [f"{name}: {', '.join(plans)}" for name in _workloads(results) if len(plans := results.plans_of(name)) > 1]
    blocks: list[Block] = [
        Heading("Workloads"),
        Bullets(in_words(given.WORKLOADS, workloads)),
        Heading("Fault plans"),
        Bullets(in_words(given.PLANS, {key.plan for key in results.keys})),
    ]
    if pooled:
        blocks.append(Paragraph(f"What `{ALL_FAULTS}` pools here, of each workload: {'; '.join(pooled)}."))
    return section("What the arms were given to do, and what struck them", blocks)


def _workloads(results: Results) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key.workload for key in results.keys))


def _subtitle(about: About) -> str:
    rounds = "1 round" if about.rounds == 1 else f"{about.rounds} rounds"
    return (
        f"Profile {about.profile}, {rounds}, seed {about.seed}, measured on {about.began_at:%d %B %Y} on "
        f"{about.machine.cpu} ({about.machine.cores} cores), commit {_commit(about)}. "
        "Where another arm is better than the layered one comes first."
    )


def _commit(about: About) -> str:
    if about.commit is None:
        return "unknown: not in a git repository"
    return f"`{about.commit[:12]}`{', with changed files' if not about.is_clean else ''}"


def _claims(results: Results) -> Section:
    rows = tuple((each.claim, each.verdict, each.figures) for each in claims(results))
    return section(
        "The four claims",
        Table(("claim", "here it", "figures"), rows),
        Paragraph(
            "The third claim is two. A share that one arm is less than another has the widest interval that both of "
            "their intervals allow. A claim whose bound lies inside the interval is inside the noise; without an "
            "interval it is said which way the figure points, and no more."
        ),
        Heading("What this benchmark cannot say"),
        Bullets(CANNOT_SAY),
    )


def _measures(results: Results, plots: Sequence[Plot]) -> Section:
    blocks: list[Block] = [
        Paragraph(
            "In brackets the 95% interval. Better and worse: than "
            f"`{US}`, in the same rounds and beyond the noise; {NOISE}: the interval of the difference holds 0; "
            f"{NO_INTERVAL}: there were too few rounds for one. n: runs, trials or deploys behind a figure, of the arm "
            "that has the fewest to that which has the most. What each measure is made of stands in "
            "`benchmarks/README.md`."
        )
    ]
    blocks += [
        block
        for plot in plots
        if plot.png is not None
        for block in (Heading(plot.title), Picture(f"plots/{plot.name}.png", plot.title, plot.note))
    ]
    for measure in MEASURES:
        keys = [key for key in results.shown if key.measure == measure.name]
        heading = Heading(f"`{measure.name}` ({measure.unit}, {measure.better} is better)")
        if not keys:
            blocks += [heading, Paragraph(f"{_begun(measure.formula)}. It was {NOT_MEASURED}.")]
            continue
        rows = tuple(_row(results, key) for key in keys)
        head = ("workload, plan", *(f"`{arm}`" for arm in results.arms), "n")
        said = f"{_begun(measure.formula)}. {NOTES.get(measure.name, '')}".rstrip()
        blocks += [heading, Paragraph(said), Table(head, rows)]
    return section("All measures by arm", blocks)


def _row(results: Results, key: published.Key) -> tuple[str, ...]:
    return where(key), *(_cell(results, arm, key) for arm in results.arms), _n(results, key)


def _n(results: Results, key: published.Key) -> str:
    counts = sorted({of.n for arm in results.arms if (of := results.of(arm, key)) is not None})
    return f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _begun(sentence: str) -> str:
    return sentence[0].upper() + sentence[1:]


def _cell(results: Results, arm: str, key: published.Key) -> str:
    figure = with_interval(results.figure(arm, key))
    difference = results.against_us(arm, key)
    if difference is None:
        return figure
    if difference.verdict == NO_INTERVAL:
        return figure if figure.endswith(f"({NO_INTERVAL})") else f"{figure}, too few rounds to compare"
    return f"{figure}, {difference.verdict}"


def _tuning(results: Results, about: About) -> Section:
    blocks: list[Block] = [
        Paragraph(
            "Every arm is set up as its own documentation advises, but for `while_loop`, which leaves out one advice "
            "on purpose: its effects have no keys made of the event. `while_loop_keyed` has them. What each follows, "
            "with the source:"
        )
    ]
    for arm in in_order({*results.arms, *about.arms}):
        followed = about.arms[arm].tuned_by if arm in about.arms else ()
        blocks.append(Heading(f"`{arm}`"))
        blocks.append(Bullets(followed) if followed else Paragraph("It names no source."))
    return section("How the arms were tuned", blocks)


def _circumstances(frames: Frames, about: About, plots: Sequence[Plot]) -> Section:
    machine = about.machine
    facts = (
        ("machine", f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib:.1f} GiB of memory"),
        ("system", machine.system),
        ("commit", _commit(about)),
        ("seed", str(about.seed)),
        ("tickets", about.said_of_tickets),
        ("profile", about.profile),
        ("rounds", str(about.rounds)),
        ("time scale", f"{about.time_scale:g}: so many seconds of a person's time pass in one second"),
        ("begun", f"{about.began_at:%Y-%m-%d %H:%M %Z}".strip()),
        *(("gone on with", f"{each:%Y-%m-%d %H:%M %Z}".strip()) for each in about.resumed_at),
        ("version of the benchmark", str(about.benchmark_version)),
        ("the model's pace", about.said_of_pace),
        ("rates", about.said_of_rates),
        *_others(frames),
    )
    versions = tuple((name, version or "not installed") for name, version in sorted(about.versions.items()))
    blocks: list[Block] = [Table(("what", "here"), facts)]
    blocks += [Heading("Versions"), Table(("package", "version"), versions)] if versions else []
    blocks += _failures(frames)
    blocks += [Heading("What was left out, and why"), *_left_out(frames, about, plots)]
    blocks += [Heading("How to measure it again"), Code(about.command)]
    return section("Where, when and how it was measured", blocks)


def _others(frames: Frames) -> Iterator[tuple[str, str]]:
    cores = [row["other_cores"] for row in records(frames, "use") if row["other_cores"] is not None]
    if cores:
        usual = median(cores)
        warning = ". That is much: the machine was busy with something else, and times are not to be trusted"
        said = f"{usual:.2f} cores in the median trial{warning if usual > BUSY_CORES else ''}"
        yield "used by all else meanwhile, world and harness included", said


def _failures(frames: Frames) -> list[Block]:
    rows = tuple(
        (f"`{row['arm']}`", f"{row['workload']}, {row['plan']}, round {row['round']}", row["what"])
        for row in records(frames, "arm_failures")
    )
    if not rows:
        return []
    note = "An arm failed in these at what it was asked for. They count: what had not ended by then has not ended."
    return [Heading("What an arm could not do"), Paragraph(note), Table(("arm", "trial", "what"), rows)]


def _left_out(frames: Frames, about: About, plots: Sequence[Plot]) -> list[Block]:
    items = [*about.left_out]
    items += [f"The plot “{plot.title}”: its data is not there." for plot in plots if plot.png is None]
    items += [
        f"The frame `{name}`: it was not handed over." for name in ("measures", "differences") if name not in frames
    ]
    blocks: list[Block] = [Bullets(tuple(items))] if items else []
    rows = tuple(
        (
            f"`{row['arm']}`",
            f"{row['workload']}, {row['plan']}, round {row['round']}",
            row["item"] or f"all {row['items']}",
            row["reason"],
        )
        for row in records(frames, "left_out")
    )
    if rows:
        note = (
            "The harness failed in these, or what was to strike did not. That says nothing about the arm, so they are "
            "in no measure:"
        )
        blocks += [Paragraph(note), Table(("arm", "trial", "items", "reason"), rows)]
    return blocks or [Paragraph("Nothing.")]

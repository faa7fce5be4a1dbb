"""A workload's advice: the rows of the matrix that hold for it, and what speaks for them and against them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from triptych.advice.matrix import ALL, CALL, LONG_MINUTES, LOOP, MATRIX, RECOMMENDATIONS, RUNTIME, Recommendation
from triptych.advice.measures import Figure, Measures
from triptych.advice.quoting import COST, KEYED, LAYERED, LOOPS, SILENT, Quoted, is_ours, quote
from triptych.advice.sums import Arithmetic, Missing, difference, when_it_pays, work_out
from triptych.advice.telling import told
from triptych.advice.workload import Workload, contradictions
from triptych.errors import ConfigurationError


class Advice(BaseModel):
    """What a workload needs, and why."""

    model_config = ConfigDict(frozen=True)

    recommendation: Recommendation
    rows: tuple[str, ...]
    """The names of the rows that decided."""
    reason: str
    start_with: tuple[str, ...]
    """Modules and commands of Triptych, the first one first."""
    against: tuple[str, ...]
    """What speaks against it, or for fewer panels; first, if it has the runtime, where another arm was measured to be
    better than that."""
    source: str | None
    """Where the figures are from; None: there is no result."""
    figures: tuple[Figure, ...]
    unmeasured: tuple[str, ...]
    """What would matter here too and is not in that result."""
    arithmetic: Arithmetic | None
    no_arithmetic: str | None
    """Why there is none, though a price or a number of crashes was said."""


def advise(workload: Workload, measures: Measures | None = None) -> Advice:
    """Return what a workload needs: no more panels than the rows of the matrix ask for that hold.

    Args:
        workload: What is to be run.
        measures: What a benchmark measured. None: nothing is quoted.

    Raises:
        ConfigurationError: the workload contradicts itself.
    """
    if found := contradictions(workload):
        raise ConfigurationError("\n".join(f"{', '.join(each.keys)}: {each.what}; mend: {each.mend}" for each in found))
    worked_out = work_out(workload, measures)
    sums = None if isinstance(worked_out, Missing) else worked_out
    quoted = Quoted((), (), ()) if measures is None else quote(workload, measures)
    holding = [row for row in MATRIX if row.applies(workload, sums)]
    most = RECOMMENDATIONS[max(RECOMMENDATIONS.index(row.recommendation) for row in holding)]
    deciding = [row for row in holding if row.recommendation == most]
    return Advice(
        recommendation=most,
        rows=tuple(row.name for row in deciding),
        reason=" ".join(row.reason for row in deciding),
        start_with=_start_with(workload, most),
        against=(
            # Where the runtime is not advised, its defeats speak for what is.
            *(quoted.lost if most in (RUNTIME, ALL) else ()),
            *_against(workload, most, {row.name for row in holding}, quoted),
            *_by_the_sums(most, sums),
        ),
        source=None if measures is None else measures.source,
        figures=quoted.figures,
        unmeasured=quoted.unmeasured,
        arithmetic=sums,
        no_arithmetic=worked_out.why if isinstance(worked_out, Missing) else None,
    )


def _start_with(workload: Workload, what: Recommendation) -> tuple[str, ...]:
    if what == CALL:
        return ("a copy of triptych.loop.triage: one structured answer, no tools, no retry",)
    agent = "an agent's module like triptych.loop.agents.orders"
    if what == LOOP:
        return (f"{agent}, called from your own process: neither server nor worker",)
    durable = "`triptych up`, and triptych.runtime.durability.Durability among the agent's capabilities"
    if workload.code == "repository":
        return (
            "`triptych up` where a Docker Engine is, then `triptych fix TASKS.yaml`",
            "triptych.loop.agents.coding for an agent of your own",
        )
    first = "a copy of triptych.loop.triage" if workload.steps == 1 and what == RUNTIME else agent
    start = [first, durable]
    if workload.pauses:
        start.append(
            "an approval rule for the tool (triptych.loop.approvals); `triptych approvals` lists what is asked"
        )
    if what == ALL:
        start.append("triptych.runtime.workspace_files.durable_workspace: a box whose files are kept with the steps")
    elif workload.outlives_deploys:
        start.append("`triptych deploy --ref TAG` and `triptych rollback`")
    return tuple(start)


def _against(it: Workload, what: Recommendation, rows: set[str], quoted: Quoted) -> list[str]:
    said: list[str] = []
    asks_for_runtime = rows & {"several steps", "pauses", "outlives deploys", "long", "dear failures"}
    if what == RUNTIME and asks_for_runtime == {"several steps"}:
        said.append(
            "nothing waits and no deploy is to be outlived: if a run that dies may begin anew (it changes nothing "
            "outside, and may be paid twice), say so, and the loop alone will do"
        )
    if what == RUNTIME and it.steps == 1 and it.pauses:
        said.append(
            "if the person reads the answer once the run has ended, that is no pause of it, and one plain call will do"
        )
    if what == RUNTIME and it.steps == 1 and it.outlives_deploys:
        said.append(
            "one request keeps nothing half-way: where a queue sends it again, one plain call outlives a deploy too"
        )
    if what == ALL and not asks_for_runtime and it.code == "snippets":
        said.append(
            "it is the model's code that asks for a box, and nothing here asks for the runtime: no level has the loop "
            "and the sandbox alone, but a box can be used without the runtime (triptych.sandbox.box.Sandbox.create), "
            "and of `triptych up` it needs the broker alone"
        )
    if what == ALL:
        said.append("it needs a Docker Engine and an image of hands")
    if what in (RUNTIME, ALL):
        said.append("somebody has to keep a Prefect server, a worker and the recovery loop running")
    if what == LOOP and not it.begins_anew:
        said.append(
            "a run that dies half-way has done what it did: make the idempotency key of what was asked, not of the "
            f"attempt, or beginning anew does it twice{_with_keys(quoted)}"
        )
    if what == LOOP and it.parallel > 1:
        said.append(f"{it.parallel} at once share one process, and one crash ends all of them")
    if it.minutes is not None and it.minutes > LONG_MINUTES and what in (CALL, LOOP):
        said.append(
            f"{it.minutes:g} minutes are more than a function-as-a-service gives: it needs a process of its own"
        )
    if it.runs_per_day is not None and it.minutes is not None:
        at_once = it.runs_per_day * it.minutes / (24 * 60)
        if at_once > it.parallel:
            said.append(
                f"{it.runs_per_day:g} runs a day of {it.minutes:g} minutes are {at_once:.1f} at once on the average, "
                f"and {it.parallel} was said to be the most"
            )
    return said


def _with_keys(quoted: Quoted) -> str:
    """Say what such a loop was measured to cost and to lose, if it was."""
    priced = [each for each in quoted.figures if each.arm == KEYED and each.measure in (COST, SILENT)]
    if not priced:
        return ""
    figures = "; ".join(f"{each.measure} {told(each)} ({each.workload}, {each.plan})" for each in priced)
    return f". With keys ({KEYED}): {figures}"


def _by_the_sums(what: Recommendation, sums: Arithmetic | None) -> list[str]:
    if sums is None:
        return []
    found = sums.against_loops if what == LOOP else sums.against_all
    if found is not None and sums.crashes_per_10k is None:
        costs = difference(found.runtime_usd)
        return [
            f"how many runs meet a crash was not said; beside {found.beside} the runtime costs {costs}, and "
            f"{when_it_pays(found)}"
        ]
    said: list[str] = []
    if what == LOOP and found is not None and found.within_noise:
        said.append("a loop and the runtime differ by less than the measurement does: the arithmetic decides nothing")
    total = {each.arm: f"${each.total_usd:,.2f}" for each in sums.arms}
    cheapest = sums.arms[0].arm
    if what == LOOP and cheapest not in LOOPS and not is_ours(cheapest):
        said.append(f"as measured, with what crashes cost, {cheapest} comes to less than any loop: {total[cheapest]}")
    if what != LOOP and found is not None and found.pays is not True:
        as_much = "as much, within the noise" if found.within_noise else "less"
        said.append(
            f"with what crashes cost, {found.beside} comes to {as_much}: {total[found.beside]} against "
            f"{total[LAYERED]} of {LAYERED}"
        )
    return said

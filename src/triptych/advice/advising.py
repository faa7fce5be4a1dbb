"""A workload's advice: the rows of the matrix that hold for it, and what speaks for them and against them."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from triptych.advice.matrix import ALL, CALL, LONG_MINUTES, LOOP, MATRIX, RECOMMENDATIONS, RUNTIME, Recommendation
from triptych.advice.measures import Figure, Measures
from triptych.advice.sums import Arithmetic, Quoted, crashes_can_cost, plain, quote, work_out
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
    """What speaks against it, or for fewer panels; first, where another arm was measured to be better."""
    source: str | None
    """Where the figures are from; None: there is no result."""
    figures: tuple[Figure, ...]
    unmeasured: tuple[str, ...]
    """What would matter here too and is not in that result."""
    arithmetic: Arithmetic | None


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
    sums = None if measures is None else work_out(workload, measures)
    quoted = Quoted((), (), ()) if measures is None else quote(workload, measures)
    holding = [row for row in MATRIX if row.applies(workload, sums)]
    most = RECOMMENDATIONS[max(RECOMMENDATIONS.index(row.recommendation) for row in holding)]
    deciding = [row for row in holding if row.recommendation == most]
    return Advice(
        recommendation=most,
        rows=tuple(row.name for row in deciding),
        reason=" ".join(row.reason for row in deciding),
        start_with=_start_with(workload, most),
        against=(*quoted.lost, *_against(workload, most, {row.name for row in holding}), *_by_the_sums(most, sums)),
        source=None if measures is None else measures.source,
        figures=quoted.figures,
        unmeasured=(*quoted.unmeasured, *_missing_for_the_sums(workload, measures, sums)),
        arithmetic=sums,
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


def _against(it: Workload, what: Recommendation, rows: set[str]) -> list[str]:
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
            "nothing here asks for the runtime itself: a box beside a plain loop will do "
            "(triptych.sandbox.box.Sandbox), and of `triptych up` it needs the broker alone"
        )
    if what == ALL:
        said.append("it needs a Docker Engine and an image of hands")
    if what in (RUNTIME, ALL):
        said.append("somebody has to keep a Prefect server, a worker and the recovery loop running")
    if what == LOOP and not it.begins_anew:
        said.append(
            "a run that dies half-way has done what it did: make the idempotency key of what was asked, not of the "
            "attempt, or beginning anew does it twice"
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


def _missing_for_the_sums(it: Workload, measures: Measures | None, sums: Arithmetic | None) -> tuple[str, ...]:
    if measures is None or sums is not None or it.failure_cost_usd is None or not crashes_can_cost(it):
        return ()
    return ("what a crash makes of a run, by arm (the plan `kills`, which the full profile has)",)


def _by_the_sums(what: Recommendation, sums: Arithmetic | None) -> list[str]:
    if sums is None:
        return []
    if sums.within_noise:
        return ["the arms' failures differ by less than the measurement does, so the arithmetic decides nothing"]
    if what in (RUNTIME, ALL) and sums.pays is False:
        return ["at these figures and this price, the runtime costs more than the failures that it spares"]
    if sums.pays is None and sums.break_even_crashes_per_10k is not None:
        return [
            "how many runs meet a crash was not said: the runtime has paid for itself from "
            f"{plain(sums.break_even_crashes_per_10k)} in 10,000 on"
        ]
    return []

"""`triptych advise`: which panels a workload needs, and what of it was measured."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from triptych.cli.terminal import Json, note, out, print_json, table
from triptych.errors import ConfigurationError

if TYPE_CHECKING:
    from triptych.advice import Advice, Measures, Workload
    from triptych.advice.sums import Arithmetic

RESULT = "benchmarks/results/architectures/measures.csv"
"""Below a project's folder: the published result."""
OWN_RESULTS, TRIALS = "bench-results", "trials.jsonl"
"""Where `triptych bench` puts results, and the file of one that is about architectures."""
_MEND = {
    "missing": "say how many model requests a run makes, the answer included",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "float_type": "write a number",
    "literal_error": "write one of these",
    "less_than_equal": "write no more than that",
}


class Task(StrEnum):
    """What kind of task it is."""

    agent = "agent"
    routing = "routing"
    extraction = "extraction"
    classification = "classification"


class Code(StrEnum):
    """What of a model's code is run."""

    none = "none"
    snippets = "snippets"
    repository = "repository"


def advise(
    steps: Annotated[
        int | None, typer.Option(min=1, help="Model requests of a run, the answer included. Of a single answer 1.")
    ] = None,
    task: Annotated[
        Task | None, typer.Option(help="routing hands a request on; extraction and classification are one answer.")
    ] = None,
    pauses: Annotated[
        int | None, typer.Option(min=0, help="How often a run waits for a person or an event outside.")
    ] = None,
    pause_hours: Annotated[float | None, typer.Option(help="How long such a pause lasts.")] = None,
    code: Annotated[Code | None, typer.Option(help="Code that a model wrote and that is run.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Runs at once, at most.")] = None,
    minutes: Annotated[float | None, typer.Option(help="How long a run works, pauses left out.")] = None,
    outlives_deploys: Annotated[
        bool, typer.Option("--outlives-deploys", help="A run under way at a deploy has to end all the same.")
    ] = False,
    begins_anew: Annotated[
        bool,
        typer.Option("--begins-anew", help="One that dies may begin anew: it changes nothing, and may be paid twice."),
    ] = False,
    failure_cost_usd: Annotated[
        float | None, typer.Option(help="What a run costs that ends with an effect wrong, lost or done twice.")
    ] = None,
    crashes_per_10k: Annotated[
        float | None, typer.Option(help="Of 10,000 runs, how many meet the death of their process.")
    ] = None,
    runs_per_day: Annotated[float | None, typer.Option(help="How many runs a day.")] = None,
    file: Annotated[Path | None, typer.Option(help="A YAML file that says the same, a line each: `steps: 6`.")] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            help=f"A measures.csv, or its folder; by default the project's {RESULT}, or the newest in {OWN_RESULTS}."
        ),
    ] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="Print the rows that decide, and nothing else.")] = False,
    as_json: Json = False,
) -> None:
    """Say whether a workload needs one plain model call, the loop, the runtime or all three, and why."""
    from triptych.advice import advise as decide

    if matrix:
        _print_matrix(as_json=as_json)
        return
    said: dict[str, Any] = {
        "steps": steps,
        "task": task and task.value,
        "pauses": pauses,
        "pause_hours": pause_hours,
        "code": code and code.value,
        "parallel": parallel,
        "minutes": minutes,
        "outlives_deploys": outlives_deploys or None,
        "begins_anew": begins_anew or None,
        "failure_cost_usd": failure_cost_usd,
        "crashes_per_10k": crashes_per_10k,
        "runs_per_day": runs_per_day,
    }
    given = {key: value for key, value in said.items() if value is not None}
    if file is not None and given:
        raise ConfigurationError(
            f"{', '.join(map(_flag, given))}: the file says it; mend: write it there, or leave --file out"
        )
    workload = _workload_of(given) if file is None else load_workload(file)
    advice = decide(workload, _measures(results))
    if as_json:
        print_json({"workload": workload.model_dump(mode="json"), **json.loads(advice.model_dump_json())})
    else:
        _print(advice)


def load_workload(path: Path) -> Workload:
    """Read a workload from a YAML file: the keys of `Workload`, nothing nested.

    Raises:
        ConfigurationError: it cannot be used. All its problems are told, a line each, with how to mend them.
    """
    from triptych.advice import Workload, contradictions
    from triptych.yaml_file import Reading, Value, own_fields, read_content

    class WorkloadReading(Reading):
        EMPTY = "write `steps: 6`, and what else is known, a line each"
        DEEP = "write `key: value` lines, nothing below them"
        MEND = _MEND

    reading = WorkloadReading()
    root = reading.compose(read_content(path, "workload file"))
    fields: dict[str, Value] = {}
    workload: Workload | None = None
    if root is not None:
        fields = reading.fields(root, own_fields(Workload), "a workload's keys")
    if root is not None and (fields or not reading.problems):
        try:
            workload = Workload.model_validate({key: reading.data(value, key) for key, value in fields.items()})
        except ValidationError as error:
            for each in error.errors():
                reading.take(each, root, fields)
    if workload is not None:
        for each in contradictions(workload):
            key = next(key for key in each.keys if key in fields)
            reading.say(fields[key], each.what, each.mend)
    if workload is None or reading.problems:
        raise reading.refuse(path.name)
    return workload


def _workload_of(given: dict[str, Any]) -> Workload:
    from triptych.advice import Workload, contradictions

    try:
        workload = Workload.model_validate(given)
    except ValidationError as error:
        lines = [
            f"{_flag(str(each['loc'][0]))}: {each['msg']}; mend: {_MEND.get(each['type'], 'change it')}"
            for each in error.errors()
        ]
        raise ConfigurationError("\n".join(lines)) from error
    if found := contradictions(workload):
        raise ConfigurationError(
            "\n".join(f"{', '.join(map(_flag, each.keys))}: {each.what}; mend: {each.mend}" for each in found)
        )
    return workload


def _flag(key: str) -> str:
    return f"--{key.replace('_', '-')}"


def _measures(given: Path | None) -> Measures | None:
    from triptych.advice import parse_measures
    from triptych.runtime.project import find_project

    path = given
    if path is None:
        try:
            path = _result_of(find_project())
        except ConfigurationError:
            return None
        if path is None:
            return None
    if path.is_dir():
        path /= Path(RESULT).name
    try:
        content = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: it is no text; mend: name the measures.csv of a result") from error
    except OSError as error:
        raise ConfigurationError(f"the result {path} cannot be read: {error.strerror}") from error
    return parse_measures(content, str(path))


def _result_of(project: Path) -> Path | None:
    """Return the published result, or the newest that was measured here and is scored."""
    published = project / RESULT
    if published.is_file():
        return published
    trials = [each for each in (project / OWN_RESULTS).rglob(TRIALS) if each.with_name(published.name).is_file()]
    newest = max(trials, key=lambda each: each.stat().st_mtime, default=None)
    return newest and newest.with_name(published.name)


def _print(advice: Advice) -> None:
    _line(f"Take: {advice.recommendation}", style="bold")
    _line(f"Why: {advice.reason} ({', '.join(advice.rows)})")
    for title, lines in (("Start with", advice.start_with), ("Against it", advice.against)):
        _line(f"{title}:" if lines else f"{title}: nothing.")
        for each in lines:
            _line(f"  - {each}")
    if advice.source is None:
        note("No figure stands behind this: none was measured here. `make bench` measures, --results names a result.")
    else:
        _print_figures(advice)
    if advice.arithmetic is not None:
        _print_sums(advice.arithmetic)
    if advice.no_arithmetic is not None:
        note(f"No arithmetic: {advice.no_arithmetic}")


def _print_figures(advice: Advice) -> None:
    from triptych.advice.telling import told

    _line(
        f"Measured, with 95% intervals ({advice.source}):"
        if advice.figures
        else f"Measured ({advice.source}): nothing."
    )
    by_measure: dict[str, list[str]] = {}
    for each in advice.figures:
        title = f"{each.measure} ({each.workload}, {each.plan})"
        by_measure.setdefault(title, []).append(f"{each.arm} {told(each)}")
    for title, values in by_measure.items():
        _line(f"  - {title}: {'; '.join(values)}")
    if advice.unmeasured:
        note(f"Not measured in {advice.source}: {', '.join(advice.unmeasured)}")


def _print_sums(sums: Arithmetic) -> None:
    from triptych.advice.quoting import LAYERED
    from triptych.advice.sums import difference, when_it_pays

    crashes = sums.crashes_per_10k
    table(
        f"10,000 runs, {'' if crashes is None else f'{crashes:g} crashes, '}${sums.failure_cost_usd:,.2f} a failure "
        f"(failures: {sums.failures_measured}; running them: {sums.cost_measured})",
        ["arm", "failures per 100 crashes", "running them", "failures", "together"],
        [
            [
                each.arm,
                f"{each.failures_per_100_crashes:.1f}",
                f"${each.cost_usd:,.2f}",
                None if each.failures_usd is None else f"${each.failures_usd:,.2f}",
                None if each.total_usd is None else f"${each.total_usd:,.2f}",
            ]
            for each in sums.arms
        ],
    )
    if sums.left_out:
        note(f"Not measured for it: {', '.join(sums.left_out)}")
    least = sums.arms[0]
    together = f"${least.cost_usd:,.2f} without a crash" if least.total_usd is None else f"${least.total_usd:,.2f}"
    _line(f"The least, as measured: {least.arm}, {together}.")
    compared = {"the best loop": sums.against_loops, "the best of all others": sums.against_all}
    for what, each in compared.items():
        if each is not None:
            _line(
                f"Beside {each.beside}, {what}, {LAYERED} costs {difference(each.runtime_usd)} to run; "
                f"{when_it_pays(each)}."
            )


def _print_matrix(*, as_json: bool) -> None:
    from triptych.advice.matrix import MATRIX

    if as_json:
        keys = ("name", "condition", "recommendation", "reason")
        print_json({"matrix": [{key: getattr(row, key) for key in keys} for row in MATRIX]})
        return
    table(
        "Of the rows that hold, those that ask for the most decide",
        ["row", "a run", "asks for", "because"],
        [[row.name, row.condition, row.recommendation, row.reason] for row in MATRIX],
    )


def _line(text: str, style: str | None = None) -> None:
    out.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

"""What each architecture costs and saves: the benchmark that `triptych bench` runs by default.

`triptych bench` runs a profile; `triptych bench compare A B` tells what changed between two results, and
`triptych bench report DIR` draws one anew from its trials. How it measures, and what: `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks.contract import Trial
from benchmarks.harness import PROJECT
from benchmarks.harness.about import about
from benchmarks.harness.kept import TRIALS, go_on_with, missing, read_trials, require_this_version
from benchmarks.harness.profiles import PROFILES, Profile, with_workloads
from benchmarks.harness.rounds import planned_trials, require, run_rounds
from benchmarks.harness.surroundings import forget_settings
from triptych.errors import ConfigurationError

ABOUT = "about.json"


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Run the benchmark, or say something of earlier results.

    Args:
        arguments: `--profile smoke` (the default: at most five minutes) or `full`; `--arms a,b`; `--workloads a,b`:
            those alone of the profile's; `--rounds N`; `--seed N` (default 1); `--out DIR` (default
            `bench-results/<profile>-<seed>`); `--tau DIR`: tickets in the public tau-bench format in place of the
            samples; `--resume`: go on with the result that is in the folder, one that was cut short, or that is to have
            more rounds. Or `compare A B`, or `report DIR`.
        as_json: Print one JSON object: `folder`, `measures` (rows of that frame) and `left_out`; of `compare`, `rows`
            and what else differs.

    Raises:
        ConfigurationError: a package is missing, there is no such arm or workload, a folder holds no result, or one
            that cannot be read, or one of other circumstances that cannot be gone on with. Nothing was run.
        SystemExit: an option is none, or is not what it should be; 2, once that is said.
    """
    command = next(iter(arguments), "")
    if command == "compare":
        _compare(arguments[1:], as_json=as_json)
    elif command == "report":
        parser = argparse.ArgumentParser(prog="triptych bench report")
        parser.add_argument("folder", type=Path)
        _finish(parser.parse_args(arguments[1:]).folder, as_json=as_json)
    else:
        _finish(_measure(_options(arguments)), as_json=as_json)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych bench")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--arms", type=_names)
    parser.add_argument("--workloads", type=_names)
    parser.add_argument("--rounds", type=_at_least(1))
    parser.add_argument("--seed", type=_at_least(0), default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tau", type=Path)
    parser.add_argument("--resume", action="store_true")
    return parser.parse_args(arguments)


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value} is too small: give {least} or more")
        return value

    return number


def _names(text: str) -> tuple[str, ...]:
    names = tuple(each.strip() for each in text.split(",") if each.strip())
    if not names:
        raise argparse.ArgumentTypeError(f"{text!r} names none: give names with commas between them, or leave it out")
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise argparse.ArgumentTypeError(f"{', '.join(twice)} stands in it more than once: name each once")
    return names


def _command(options: argparse.Namespace) -> str:
    """Return what repeats this run."""
    told = {
        "--profile": options.profile,
        "--seed": options.seed,
        "--arms": ",".join(options.arms or ()) or None,
        "--workloads": ",".join(options.workloads or ()) or None,
        "--rounds": options.rounds,
        "--tau": options.tau,
    }
    return "triptych bench " + " ".join(f"{name} {value}" for name, value in told.items() if value is not None)


def _measure(options: argparse.Namespace) -> Path:
    profile: Profile = PROFILES[options.profile]
    if options.arms:
        profile = profile._replace(arms=options.arms)
    if options.rounds is not None:
        profile = profile._replace(rounds=options.rounds)
    if options.workloads:
        profile = with_workloads(profile, options.workloads)
    require(profile)
    forget_settings()
    description = about(profile, options.profile, options.seed, PROJECT, _command(options), tau=options.tau)
    out: Path = options.out or Path("bench-results") / f"{options.profile}-{options.seed}"
    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    there: list[Trial] = []
    if options.resume:
        # It takes pandas along, which takes a second to import.
        from benchmarks.reporting.about import About, read_about

        before = read_about(out)
        planned_now = planned_trials(profile, options.seed, options.tau)
        there = go_on_with(out, before, About.model_validate(description), planned_now, say)
        resumed = [*(each.isoformat() for each in before.resumed_at), description["began_at"]]
        is_clean = before.is_clean and description["is_clean"]
        description |= {"began_at": before.began_at.isoformat(), "resumed_at": resumed, "is_clean": is_clean}
    else:
        _make(out)
    rounds, planned = profile.rounds, sum(profile.planned().values())
    say(
        f"profile {options.profile}, seed {options.seed}: {', '.join(profile.arms)}; {planned} trials in {rounds} "
        f"round{'s' if rounds > 1 else ''}"
    )
    # However this is ended, the arms go with it. What nohup has this ignore stays ignored.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    (out / ABOUT).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    kept = len(there)
    with (out / TRIALS).open("a", encoding="utf-8") as file:
        try:
            for trial in run_rounds(profile, options.seed, say, tau=options.tau, there=there):
                file.write(trial.model_dump_json() + "\n")
                file.flush()
                kept += 1
        except KeyboardInterrupt:
            if kept:
                say(
                    f"{kept} of {planned} trials are kept: `triptych bench report {out}` makes a report of them, "
                    "and the same command with --resume goes on"
                )
            raise
    return out


def _make(out: Path) -> None:
    """Make a result's folder.

    Raises:
        ConfigurationError: it cannot be made, or holds trials already.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        has_trials = (out / TRIALS).exists() and (out / TRIALS).stat().st_size > 0
    except OSError as error:
        raise ConfigurationError(
            f"{out} cannot be made a result's folder ({error.strerror}): give another one with --out"
        ) from error
    if has_trials:
        raise ConfigurationError(
            f"{out} holds a result already: go on with it by --resume, give another folder with --out, or remove it"
        )


def _finish(folder: Path, *, as_json: bool) -> None:
    """Score a result and write its report."""
    # They draw in pandas and matplotlib, which take a second to import.
    from benchmarks.reporting import summary_markdown, write
    from benchmarks.reporting.about import read_about
    from benchmarks.scoring import score

    console = Console(stderr=True)

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    description = read_about(folder)
    require_this_version(description, folder)
    trials = read_trials(folder, say)
    lacks = missing(description, trials)
    if lacks is not None:
        say(lacks)
    description = description.model_copy(update={"left_out": () if lacks is None else (lacks,)})
    frames = score(trials, seed=description.seed)
    written = write(frames, description, folder, trials=trials)
    if as_json:
        print(
            json.dumps(
                {
                    "folder": str(folder),
                    "measures": json.loads(frames.measures.to_json(orient="records")),
                    "left_out": json.loads(frames.left_out.to_json(orient="records")),
                }
            )
        )
    else:
        shown = Console()
        shown.print(Markdown(summary_markdown(written, description)))
        shown.print(f"The report: {folder / 'report.html'}", highlight=False)


def _compare(arguments: Sequence[str], *, as_json: bool) -> None:
    from benchmarks.reporting import compare

    parser = argparse.ArgumentParser(prog="triptych bench compare")
    parser.add_argument("before", type=Path)
    parser.add_argument("after", type=Path)
    options = parser.parse_args(arguments)
    found = compare(options.before, options.after)
    if as_json:
        print(json.dumps(found.as_json()))
    else:
        Console().print(found.table())

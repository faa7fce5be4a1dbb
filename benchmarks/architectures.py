"""What each architecture costs and saves: the benchmark that `triptych bench` runs by default.

`triptych bench` runs a profile; `triptych bench compare A B` tells what changed between two results, and
`triptych bench report DIR` draws one anew from its trials. How it measures, and what: `benchmarks/README.md`.
"""

from __future__ import annotations

import argparse
import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from rich.console import Console
from rich.markdown import Markdown

from benchmarks.contract import Trial
from benchmarks.harness.about import about
from benchmarks.harness.profiles import PROFILES, Profile, with_workloads
from benchmarks.harness.rounds import PROJECT, require, run_rounds
from triptych.errors import ConfigurationError

TRIALS = "trials.jsonl"
"""The raw record of a result: a `Trial` a line, written as soon as it is over."""
ABOUT = "about.json"
_TRIAL = TypeAdapter(Trial)


def run(*, arguments: Sequence[str], as_json: bool) -> None:
    """Run the benchmark, or say something of earlier results.

    Args:
        arguments: `--profile smoke` (the default: at most five minutes) or `full`; `--arms a,b`; `--workloads a,b`:
            those alone of the profile's; `--rounds N`; `--seed N` (default 1); `--out DIR` (default
            `bench-results/<profile>-<seed>`); `--tau DIR`: tickets in the public tau-bench format in place of the
            samples. Or `compare A B`, or `report DIR`.
        as_json: Print one JSON object: `folder`, `measures` (rows of that frame) and `left_out`; of `compare`, `rows`
            and what else differs.

    Raises:
        ConfigurationError: a package is missing, there is no such arm or profile, or a folder holds no result. Nothing
            was run.
    """
    if arguments[:1] == ["compare"]:
        _compare(arguments[1:], as_json=as_json)
    elif arguments[:1] == ["report"]:
        parser = argparse.ArgumentParser(prog="triptych bench report")
        parser.add_argument("folder", type=Path)
        _finish(_existing(parser.parse_args(arguments[1:]).folder), as_json=as_json)
    else:
        _finish(_measure(_options(arguments)), as_json=as_json)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="triptych bench")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="smoke")
    parser.add_argument("--arms", type=_names)
    parser.add_argument("--workloads", type=_names)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tau", type=Path)
    return parser.parse_args(arguments)


def _names(text: str) -> tuple[str, ...]:
    return tuple(each for each in text.split(",") if each)


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
    # However this is ended, the arms go with it.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    out: Path = options.out or Path("bench-results") / f"{options.profile}-{options.seed}"
    if (out / TRIALS).exists():
        raise ConfigurationError(f"{out} holds a result already: give another folder with --out, or remove it")
    out.mkdir(parents=True, exist_ok=True)
    console = Console(stderr=True)
    console.print(
        f"profile {options.profile}, seed {options.seed}: {', '.join(profile.arms)}; {profile.rounds} rounds of "
        f"{len(profile.specs)} trials an arm",
        highlight=False,
    )

    def say(line: str) -> None:
        console.print(line, highlight=False, markup=False)

    trials = run_rounds(profile, options.seed, say, tau=options.tau)
    description = about(profile, options.profile, options.seed, PROJECT, _command(options))
    (out / ABOUT).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    with (out / TRIALS).open("w", encoding="utf-8") as file:
        for trial in trials:
            # What is over is kept, also where the rest is cut short.
            file.write(trial.model_dump_json() + "\n")
            file.flush()
    return out


def _finish(folder: Path, *, as_json: bool) -> None:
    """Score a result and write its report."""
    # Both draw in pandas and matplotlib, which take a second to import.
    from benchmarks.reporting import summary_markdown, write
    from benchmarks.scoring import score

    description: dict[str, Any] = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    lines = (folder / TRIALS).read_text(encoding="utf-8").splitlines()
    trials = [_TRIAL.validate_json(line) for line in lines]
    frames = score(trials, seed=description["seed"])
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
        console = Console()
        console.print(Markdown(summary_markdown(written, description)))
        console.print(f"The report: {folder / 'report.html'}", highlight=False)


def _existing(folder: Path) -> Path:
    if not ((folder / TRIALS).is_file() and (folder / ABOUT).is_file()):
        raise ConfigurationError(f"{folder} is no result of this benchmark: it lacks {TRIALS} or {ABOUT}")
    return folder


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

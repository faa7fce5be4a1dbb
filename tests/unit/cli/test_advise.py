"""`triptych advise`, as a person types it."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.unit.advice.results import DBOS, HEAD, KEYED, ROWS
from triptych.advice import Workload
from triptych.advice.matrix import MATRIX
from triptych.cli import main
from triptych.cli.advise import RESULT, Code, Task


class Done(NamedTuple):
    code: int
    out: str
    err: str


class Typed:
    """Types `triptych advise` in an empty folder."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._monkeypatch = monkeypatch
        self._capsys = capsys
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str) -> Done:
        self._monkeypatch.setattr("sys.argv", ["triptych", "advise", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Done(ended.value.code, said.out, said.err)

    def json(self, *arguments: str) -> Any:
        done = self(*arguments, "--json")
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out)

    def write(self, name: str, content: str) -> str:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        return str(file)


@pytest.fixture
def typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(tmp_path, monkeypatch, capsys)


def test_without_a_result_it_says_so_and_names_no_figure(typed: Typed) -> None:
    done = typed("--steps", "6", "--pauses", "1", "--outlives-deploys")
    assert (done.code, done.err) == (0, "")
    first, why, *rest = done.out.splitlines()
    assert first == "Take: loop + runtime"
    assert why.startswith("Why: Each step that is done")
    assert why.endswith("(several steps, pauses, outlives deploys)")
    assert rest[-1].startswith("No figure stands behind this: none was measured here. `make bench`")
    assert "$" not in done.out
    assert "ms" not in done.out.split()


def test_every_flag_is_a_key_of_the_workload(typed: Typed) -> None:
    said = {
        "steps": 4, "task": "agent", "pauses": 1, "pause_hours": 2.5, "code": "snippets", "parallel": 3, "minutes": 4.0,
        "outlives_deploys": True, "begins_anew": False, "failure_cost_usd": 9.5, "crashes_per_10k": 8.0,
        "runs_per_day": 100.0,
    }  # fmt: skip
    assert said.keys() == Workload.model_fields.keys()
    flags = [f"--{key.replace('_', '-')}={value}" for key, value in said.items() if not isinstance(value, bool)]
    assert typed.json(*flags, "--outlives-deploys")["workload"] == said
    file = typed.write("workload.yaml", "".join(f"{key}: {json.dumps(value)}\n" for key, value in said.items()))
    assert typed.json("--file", file)["workload"] == said
    assert typed.json("--steps=4", "--begins-anew")["workload"]["begins_anew"] is True


def test_the_choices_are_those_of_the_workload() -> None:
    schema = Workload.model_json_schema()["properties"]
    assert [each.value for each in Task] == schema["task"]["enum"]
    assert [each.value for each in Code] == schema["code"]["enum"]


def test_a_result_is_quoted_with_the_arithmetic(typed: Typed) -> None:
    file = typed.write("measures.csv", HEAD + ROWS)
    arguments = ["--steps", "2", "--failure-cost-usd", "20", "--crashes-per-10k", "3", "--results"]
    done = typed(*arguments, file)
    assert done.code == 0
    assert done.out.startswith("Take: loop + runtime\nWhy: With what crashes make of 10,000 runs, every loop")
    line = "state_persistence_rate (retail, kills): while_loop 62.0% (58.0 to 66.0); layered 99.8% (99.0 to 100.0)"
    assert f"  - {line}\n" in done.out
    assert "The least, as measured: layered, $19.80." in done.out
    beside = "Beside while_loop, the best loop, layered costs $5.60 more to run; it pays for itself at 0.56 or more"
    assert beside in done.out
    told = typed.json(*arguments, file)
    assert told["source"] == file
    assert [each["total_usd"] for each in told["arithmetic"]["arms"]] == [pytest.approx(19.8), pytest.approx(44.2)]
    assert {**typed.json(*arguments, str(typed.folder)), "source": ""} == {**told, "source": ""}


def test_the_projects_own_result_is_found(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    typed.write("prefect.yaml", "")
    assert typed.json("--steps", "2")["source"] is None
    typed.write(RESULT, HEAD + ROWS)
    (typed.folder / "deeper").mkdir()
    monkeypatch.chdir(typed.folder / "deeper")
    assert typed.json("--steps", "2")["source"] == str(typed.folder / RESULT)


def test_else_the_newest_that_was_measured_here(typed: Typed) -> None:
    typed.write("prefect.yaml", "")
    # Of another benchmark, and one that is not over.
    typed.write("bench-results/checkpoints/measures.csv", HEAD + ROWS)
    typed.write("bench-results/now/trials.jsonl", "")
    assert typed.json("--steps", "2")["source"] is None
    for age, name in enumerate(("full-1", "deeper/smoke-1", "smoke-2")):
        typed.write(f"bench-results/{name}/measures.csv", HEAD + ROWS)
        trials = Path(typed.write(f"bench-results/{name}/trials.jsonl", ""))
        os.utime(trials, (1000 - age, 1000 - age))
    newest = typed.folder / "bench-results/full-1/measures.csv"
    assert f"Measured, with 95% intervals ({newest}):" in typed("--steps", "2").out
    os.utime(typed.folder / "bench-results/deeper/smoke-1/trials.jsonl", (2000, 2000))
    assert "deeper/smoke-1" in typed.json("--steps", "2")["source"]
    typed.write(RESULT, HEAD + ROWS)
    assert typed.json("--steps", "2")["source"] == str(typed.folder / RESULT)


def test_a_byte_order_mark_is_no_column(typed: Typed) -> None:
    file = typed.write("measures.csv", "\ufeff" + HEAD + ROWS)
    assert typed.json("--steps", "2", "--results", file)["figures"]


def test_why_there_is_no_arithmetic_is_said(typed: Typed) -> None:
    file = typed.write("measures.csv", HEAD + ROWS)
    crashes = ["--steps", "6", "--crashes-per-10k", "3"]
    assert "No arithmetic: what a failure costs was not said (failure_cost_usd)" in typed(*crashes).out
    assert "No arithmetic: a run that may begin anew" in typed(*crashes, "--begins-anew", "--results", file).out
    assert "`triptych bench --profile full --arms" in typed(*crashes, "--failure-cost-usd", "5").out


def test_within_the_noise_no_border_is_printed(typed: Typed) -> None:
    wide = ROWS.replace("runs,lower,0,0,1,40,0,20", "runs,lower,0,0,40,40,0,20")
    done = typed("--steps=2", "--failure-cost-usd=20", "--results", typed.write("measures.csv", HEAD + wide))
    assert "layered costs $5.60 more to run; whether it ever pays for itself is within the noise." in done.out
    assert "0.56" not in done.out


def test_every_arm_is_in_the_table(typed: Typed) -> None:
    file = typed.write("measures.csv", HEAD + ROWS + KEYED + DBOS)
    out = typed("--steps=2", "--failure-cost-usd=20", "--results", file).out
    assert [line.split()[1] for line in out.splitlines() if line.startswith("│")] == [
        "while_loop_keyed", "while_loop", "dbos", "layered",
    ]  # fmt: skip
    assert "Not measured for it: monolith" in out
    assert "The least, as measured: while_loop_keyed, $10.00 without a crash." in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--steps: Field required; mend: say how many model requests a run makes"),
        (["--task", "routing"], "--steps: Field required"),
        (["--steps", "0"], "Invalid value for '--steps'"),
        (["--steps", "many"], "Invalid value for '--steps'"),
        (["--code", "some", "--steps", "2"], "Invalid value for '--code'"),
        (["--steps", "2", "--minutes", "nan"], "--minutes: Input should be a finite number"),
        (
            ["--steps", "2", "--failure-cost-usd", "-1"],
            "--failure-cost-usd: Input should be greater",
        ),
        (
            ["--steps", "2", "--failure-cost-usd", "1e308"],
            "--failure-cost-usd: Input should be less than or equal to 1000000000; mend: write no more than that",
        ),
        (["--steps", "2", "--failure-cost-usd", "inf"], "--failure-cost-usd: Input should be a finite number"),
        (
            ["--steps", "2", "--crashes-per-10k", "10001"],
            "--crashes-per-10k: Input should be less than or equal to 10000",
        ),
        (["--task", "extraction", "--steps", "4"], "--steps, --task: extraction is one structured answer"),
        (["--steps", "4", "--begins-anew", "--pauses", "1"], "--begins-anew, --pauses: a run that begins anew"),
        (["--steps", "4", "--file", "x.yaml"], "--steps: the file says it; mend:"),
        (["--file", "x.yaml"], "the workload file x.yaml cannot be read: No such file"),
        (["--steps", "2", "--results", "x.csv"], "the result x.csv cannot be read: No such file"),
        (["--steps", "2", "--results", "."], "the result measures.csv cannot be read"),
    ],
)
def test_wrong_input_is_said_clearly(typed: Typed, arguments: list[str], said: str) -> None:
    done = typed(*arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "Traceback" not in done.err


def test_a_file_is_refused_whole_with_lines(typed: Typed) -> None:
    file = typed.write("w.yaml", 'steps: "6"\npausess: 1\ncode: everything\nminutes: -2\n')
    assert typed("--file", file).err.splitlines() == [
        "w.yaml:1: steps: Input should be a valid integer; mend: write a whole number",
        "w.yaml:2: pausess: there is no such key; mend: write `pauses`",
        "w.yaml:3: code: Input should be 'none', 'snippets' or 'repository'; mend: write one of these",
        "w.yaml:4: minutes: Input should be greater than 0; mend: change it",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "w.yaml:1: it is empty; mend: write `steps: 6`"),
        ("- steps: 6\n", "w.yaml:1: a mapping with a workload's keys belongs here"),
        ("pauses: 1\n", "w.yaml:1: steps: Field required; mend: say how many model requests"),
        ("task: extraction\n\nsteps: 3\n", "w.yaml:3: steps: extraction is one structured answer"),
        ("task: extraction\ncode: repository\n", "w.yaml:2: code: extraction runs no code"),
        (
            "steps: 4\npause_hours: 1\n",
            "w.yaml:2: pause_hours: pauses have a length, and there are none; mend: say",
        ),
        (
            "steps: 4\nfailure_cost_usd: 1.0e+308\n",
            "w.yaml:2: failure_cost_usd: Input should be less than or equal to 1",
        ),
        ("steps: [4]\n", "w.yaml:1: steps: Input should be a valid integer"),
        ("steps: 4\noutlives_deploys: 1\n", "w.yaml:2: outlives_deploys: Input should be a valid boolean"),
    ],
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(typed: Typed, content: str, said: str) -> None:
    done = typed("--file", typed.write("w.yaml", content))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert "; mend: " in done.err


def test_a_single_answer_needs_no_more_than_its_name(typed: Typed) -> None:
    assert typed.json("--task", "extraction")["recommendation"] == "one plain model call"
    assert typed.json("--file", typed.write("w.yaml", "task: classification\n"))["rows"] == ["single call"]


def test_the_matrix_can_be_read(typed: Typed) -> None:
    assert [row["name"] for row in typed.json("--matrix")["matrix"]] == [row.name for row in MATRIX]
    shown = typed("--matrix")
    assert shown.code == 0
    assert "single call" in shown.out

"""The commands, as a person types them: what they say, and that wrong input gets a clear error and no traceback."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.stack import PROJECT, Home, Up
from triptych import __version__
from triptych.loop.witness import read

pytestmark = pytest.mark.timeout(300)


def test_version(home: Home) -> None:
    assert home.run("--version").stdout.strip() == __version__


@pytest.mark.parametrize(
    ("arguments", "env", "said"),
    [
        (["inbox", "tickets.jsonl"], {}, "no Prefect server: start one with `triptych up`"),
        (["blocks"], {}, "no Prefect server"),
        (["inbox", "x.jsonl", "--project", "/"], {}, "holds no prefect.yaml"),
        (["bench", "--suite", "nothing"], {}, "there is no suite 'nothing'"),
        (["inbox", "x.jsonl"], {"TRIPTYCH_STORE": "/a/folder"}, "TRIPTYCH_STORE__..."),
        (["up"], {"TRIPTYCH_HOME": "/dev/null"}, "TRIPTYCH_HOME names another folder"),
        (["down"], {"TRIPTYCH_SCRIPTED__CHUNK_CHARACTERS": "0"}, "TRIPTYCH_SCRIPTED__CHUNK_CHARACTERS"),
    ],
)
def test_wrong_input_is_said_clearly(home: Home, arguments: list[str], env: dict[str, str], said: str) -> None:
    done = home.run(*arguments, code=2, **env)
    assert said in done.stderr


def test_a_server_that_is_gone_is_said_so(home: Home) -> None:
    gone = home.run("approvals", code=1, PREFECT_API_URL="http://127.0.0.1:9/api", PREFECT_CLIENT_MAX_RETRIES="0")
    assert "unset it to use what `triptych up` started" in gone.stderr


def test_a_port_that_is_taken_starts_nothing(home: Home) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port {port} is taken" in home.run("up", "--port", str(port), code=2).stderr
    assert home.json("down")["stopped"] == []


def test_up_says_that_it_is_up(up: Up) -> None:
    assert "already up at" in up.run("up", code=2).stderr


def test_an_inbox_that_is_not_there(up: Up) -> None:
    assert "does not exist" in up.run("inbox", "/nowhere/tickets.jsonl", code=2).stderr


def test_a_ticket_without_a_plan_fails_before_anything_is_spent(up: Up, tmp_path: Path) -> None:
    file = tmp_path / "tickets.jsonl"
    file.write_text(json.dumps({"id": "no-plan", "instruction": "Where is my parcel?"}))
    report = up.json("inbox", str(file), code=1)
    (row,) = report["rows"]
    assert row["status"] == "failed"
    assert "TRIPTYCH_MODEL" in row["outcome"]
    assert not [line for line in read(up.witness) if line.run.startswith(row["flow_run_id"])]


def test_blocks_keep_what_a_person_edited(up: Up) -> None:
    def document() -> dict[str, Any]:
        return up.get("block_types/slug/checkpoint-store/block_documents/name/triptych")

    rows = up.json("blocks")["blocks"]
    names = ("checkpoint-store/triptych", "approval-policy/approvals", "budget/budget")
    blocks = (*names, "sandbox-policy/coding-agent-python")
    assert rows == [{"block": block, "action": "kept"} for block in blocks]
    before = document()
    edited = {**before["data"], "timeout_seconds": 33.0}
    _edit(up, str(before["id"]), edited)
    up.json("blocks")
    assert document()["data"]["timeout_seconds"] == 33.0
    assert {row["action"] for row in up.json("blocks", "--overwrite")["blocks"]} == {"overwritten"}
    assert document()["data"]["timeout_seconds"] == 20.0


def _edit(up: Up, document_id: str, data: dict[str, Any]) -> None:
    body = {"data": data, "merge_existing_data": False}
    up.patch(f"block_documents/{document_id}", body)


def test_the_project_is_found_from_below(up: Up) -> None:
    assert (PROJECT / "prefect.yaml").is_file()
    assert up.json("blocks", "--project", str(PROJECT))["blocks"]

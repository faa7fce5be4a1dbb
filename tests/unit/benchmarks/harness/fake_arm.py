"""An arm without any architecture: a thread an item, in this very process. It is what the harness is tested with."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx

from benchmarks.arms.protocol import Job, Look, Place
from benchmarks.contract import APPROVAL_ABOVE_USD, MODEL, told

RESTART_SECONDS, KILL_SECONDS = 0.8, 0.5
"""How long a restart takes, and the part of it in which the old processes are killed."""


class FakeArm:
    """Plays items by hand, once each; what it is told to lose it loses."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._instructions = place.instructions.read_text()
        self._looks: dict[str, Look] = {}
        self._answers: dict[str, tuple[threading.Event, list[bool]]] = {}
        self.restarts = 0
        self.outages: list[float] = []

    def submit(self, job: Job) -> None:
        self._looks[job.id] = Look("running")
        self._answers[job.id] = (threading.Event(), [])
        threading.Thread(target=self._play, args=[job], daemon=True).start()

    def look(self, job: Job) -> Look:
        return self._looks[job.id]

    def decide(self, job: Job, approve: bool) -> None:
        self._looks[job.id] = Look("running")
        event, answers = self._answers[job.id]
        answers.append(approve)
        event.set()

    def deploy(self) -> dict[str, float]:
        self._instructions = self._place.instructions.read_text()
        return {"read": 0.0}

    def restart(self) -> dict[str, float]:
        self.restarts += 1
        time.sleep(RESTART_SECONDS)
        return {"kill": KILL_SECONDS, "start": RESTART_SECONDS - KILL_SECONDS}

    def store_outage(self, seconds: float) -> None:
        self.outages.append(seconds)

    def _play(self, job: Job) -> None:
        try:
            self._looks[job.id] = Look("done", answer=self._answer(job))
        except httpx.HTTPError as error:
            self._looks[job.id] = Look("failed", reason=repr(error))

    def _answer(self, job: Job) -> str:
        (self._place.folder / "state" / job.id).write_bytes(bytes(1000))
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": self._instructions},
            {"role": "user", "content": job.instruction},
        ]
        with httpx.Client(timeout=30) as client:
            tools = [
                {"type": "function", "function": {name: tool[name] for name in ("name", "description", "parameters")}}
                for tool in client.get(f"{job.shop_url}/tools.json").json()
            ]
            while True:
                body = {"model": MODEL, "messages": messages, "tools": tools}
                answer = client.post(f"{self._place.model_url}/chat/completions", json=body).raise_for_status().json()
                message = answer["choices"][0]["message"]
                if not message.get("tool_calls"):
                    return message["content"]
                messages.append(message)
                for call in message["tool_calls"]:
                    content = self._call(client, job, call)
                    messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})

    def _call(self, client: httpx.Client, job: Job, call: dict[str, Any]) -> str:
        name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
        if name == "refund" and arguments["amount"] > APPROVAL_ABOVE_USD:
            event, answers = self._answers[job.id]
            self._looks[job.id] = Look("waiting", asks=told(name, arguments))
            event.wait()
            if not answers[-1]:
                return "A person denied it."
        return client.post(f"{job.shop_url}/{name}", json=arguments).raise_for_status().json()["result"]

"""What was asked and what became of it, in the checkpoint store: `approvals/<flow run>/<request>/`."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

from triptych.errors import CheckpointTorn
from triptych.records import ApprovalDecision, ApprovalRequest, Record
from triptych.runtime.store import CheckpointStore

RecordT = TypeVar("RecordT", bound=Record)

ROOT = "approvals"


class Ledger(NamedTuple):
    """The ledger in one store."""

    store: CheckpointStore

    async def request(self, flow_run_id: str, request_id: str) -> ApprovalRequest | None:
        """Return what was asked, or None where nothing was."""
        return await self._read(flow_run_id, request_id, "request", ApprovalRequest)

    async def decision(self, flow_run_id: str, request_id: str) -> ApprovalDecision | None:
        """Return what became of it, or None while nothing has."""
        return await self._read(flow_run_id, request_id, "decision", ApprovalDecision)

    async def write_request(self, request: ApprovalRequest) -> None:
        """Record what is about to be asked."""
        await self._write(request.flow_run_id, request.id, "request", request)

    async def write_decision(self, request: ApprovalRequest, decision: ApprovalDecision) -> None:
        """Record what is about to be acted upon."""
        await self._write(request.flow_run_id, request.id, "decision", decision)

    async def ids(self, flow_run_id: str | None = None) -> list[tuple[str, str]]:
        """Return flow run and request of every entry, or of those of one run."""
        below = ROOT if flow_run_id is None else f"{ROOT}/{flow_run_id}"
        parts = [key.split("/") for key in await self.store.keys(below)]
        return [(part[1], part[2]) for part in parts if len(part) == 4 and part[3] == "request.json"]

    async def _read(self, flow_run_id: str, request_id: str, what: str, record: type[RecordT]) -> RecordT | None:
        key = _key(flow_run_id, request_id, what)
        content = await self.store.read(key)
        try:
            return None if content is None else record.model_validate_json(content)
        except ValueError as error:
            raise CheckpointTorn(
                f"{key} is not whole, or of another version of Triptych; nothing was decided"
            ) from error

    async def _write(self, flow_run_id: str, request_id: str, what: str, record: Record) -> None:
        await self.store.write(_key(flow_run_id, request_id, what), record.model_dump_json().encode())


def _key(flow_run_id: str, request_id: str, what: str) -> str:
    return f"{ROOT}/{flow_run_id}/{request_id}/{what}.json"

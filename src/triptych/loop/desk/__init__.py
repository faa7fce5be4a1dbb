"""The order desk: the shop's records, the rules by which they change, and the append-only list of what was done."""

from triptych.loop.desk.changes import Change, DeskRecord, Records
from triptych.loop.desk.source import RecordSet
from triptych.loop.desk.store import Applied, Effect, OrderDesk

__all__ = ["Applied", "Change", "DeskRecord", "Effect", "OrderDesk", "RecordSet", "Records"]

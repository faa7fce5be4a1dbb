"""Where people work, as hours east of Greenwich."""

from datetime import timedelta, timezone

ZONES = {"Oslo": timezone(timedelta(hours=1)), "Lima": timezone(timedelta(hours=-5)), "Tokyo": timezone(timedelta(hours=9))}

"""Hours by day, where they were worked."""

from datetime import datetime

from shifts.zones import ZONES


def day_of(stamp, place):
    """The day, in a place, of an ISO time with its zone."""
    return datetime.fromisoformat(stamp).date().isoformat()


def hours_by_day(shifts, place):
    found = {}
    for start, hours in shifts:
        day = day_of(start, place)
        found[day] = found.get(day, 0) + hours
    return found

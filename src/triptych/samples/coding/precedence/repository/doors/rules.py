"""Who may come in, and when."""

OPENS, CLOSES = 8, 18


def is_open(hour):
    return OPENS <= hour < CLOSES


def may_enter(person, hour):
    return person.is_staff or person.is_guest and is_open(hour) and not person.is_banned

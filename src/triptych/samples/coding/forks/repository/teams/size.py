"""How many there are."""

from teams.chart import heads


def team_size(chart, head):
    """How many work for somebody, near or far."""
    return sum(head in heads(chart, name)[:1] for name in chart)

"""Who works for whom: a mapping of each to their head."""


def heads(chart, name):
    """The heads above somebody, the nearest first."""
    found = []
    while name in chart:
        name = chart[name]
        found.append(name)
    return found

"""Weights in grams."""


def heaviest(weights, room):
    """The heaviest that still fits; None where none does."""
    return max((weight for weight in weights if weight <= room), default=None)

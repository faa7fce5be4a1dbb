"""Fills boxes, the heaviest first."""

from lots.weights import heaviest


def pack(weights, size):
    """Boxes of weights; what is too heavy for any box is left out."""
    left, boxes = sorted(weights), []
    while left:
        box = []
        while (weight := heaviest(left, size - sum(box))) is not None:
            box.append(weight)
            left.remove(weight)
        boxes.append(box)
    return boxes

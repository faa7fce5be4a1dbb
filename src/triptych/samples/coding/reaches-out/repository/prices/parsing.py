"""From text to cents."""

from prices.signs import SIGNS


def parse(text):
    """Currency and cents of a text like `€ 12.50`."""
    sign, number = text[0], text[1:].strip()
    whole, _, rest = number.partition(".")
    return SIGNS[sign], int(whole) * 100 + int(rest or 0)

"""Prices by weight and country."""

from rates.cache import remembered

ZONES = {"NO": 1, "DE": 2, "PE": 5}


@remembered
def price_cents(grams, *, country="NO", express=False):
    price = 300 + grams // 10 * ZONES[country]
    return price * 2 if express else price

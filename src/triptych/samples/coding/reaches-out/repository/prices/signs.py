"""The signs of currencies."""

SIGNS = {"$": "USD", "€": "EUR", "£": "GBP"}

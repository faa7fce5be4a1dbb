"""How long somebody has."""

FULL_DAYS, HALF_DAYS = 14, 30

"""Which share of a price is paid back."""

from refunds.days import FULL_DAYS, HALF_DAYS


def share(days):
    """All of it within 14 days, half within 30, the last day included; then nothing."""
    if days < FULL_DAYS:
        return 1.0
    return 0.5 if days < HALF_DAYS else 0.0

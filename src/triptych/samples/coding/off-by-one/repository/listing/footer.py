"""The line below a page."""

from listing.pages import page_count


def footer(rows: list, number: int, size: int) -> str:
    return f"page {number} of {page_count(len(rows), size)}"

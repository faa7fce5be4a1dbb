"""Which rows stand on which page."""


def page_count(rows: int, size: int) -> int:
    """How many pages there are; an empty list has one."""
    return max(1, rows // size)


def page(rows: list, number: int, size: int) -> list:
    """The rows of a page, counted from 1."""
    start = (number - 1) * size
    return rows[start : start + size]

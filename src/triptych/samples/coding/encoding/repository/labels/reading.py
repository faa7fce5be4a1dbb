"""Addresses from files."""


def read_addresses(path):
    """The lines of a file in UTF-8, empty ones left out."""
    with open(path, encoding="latin-1") as file:
        return [line.strip() for line in file if line.strip()]

"""Rows of a table, in the order of its columns."""


def in_order(records, columns):
    return [[str(record.get(column, "")) for column in columns] for record in records]

"""A table as comma-separated values, with lines as spreadsheets want them."""

from exports.rows import in_order


def to_csv(records, columns):
    lines = [",".join(columns)]
    lines += [",".join(row) for row in in_order(records, columns)]
    return "\r\n".join(lines) + "\r\n"

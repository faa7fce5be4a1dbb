"""Labels of a width."""


def label(address, width=20):
    text = address.upper()[:width]
    return f"|{text:<{width}}|"

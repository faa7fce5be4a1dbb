"""How large a folder is: a number stands for a file, a mapping for a folder."""


def size(node):
    if isinstance(node, dict):
        return sum(size(child) for child in node.values())
    return node


def depth(node):
    """How deep folders are nested; a file has no depth."""
    return 1 + max(depth(child) for child in node.values())

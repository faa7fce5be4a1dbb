"""A calculator that a model may be let near: numbers, `+ - * /` and parentheses, bounded, never run as code."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping

MAX_CHARACTERS = 500
"""Of an expression. No result of that many characters takes noticeable time or memory: there is no power operator."""

_ALLOWED = frozenset("0123456789+-*/(). ")

_BINARY: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.Mult: lambda left, right: left * right,
    ast.Div: lambda left, right: left / right,
}
_UNARY: Mapping[type[ast.unaryop], Callable[[float], float]] = {
    ast.UAdd: lambda operand: operand,
    ast.USub: lambda operand: -operand,
}


def calculate(expression: str) -> str:
    """Work out an expression.

    Args:
        expression: Numbers, `+ - * /`, parentheses and spaces.

    Returns:
        The value, rounded to two decimal places, always with a decimal point; or `Error: ...` and what is wrong.
    """
    if len(expression) > MAX_CHARACTERS:
        return f"Error: expression is longer than {MAX_CHARACTERS} characters"
    if not _ALLOWED.issuperset(expression):
        return "Error: invalid characters in expression"
    try:
        value = float(_value(ast.parse(expression.strip(), mode="eval").body))
    except ZeroDivisionError:
        return "Error: division by zero"
    except OverflowError:
        return "Error: number too large"
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # The parser raises the last two for what is nested too deeply.
        return "Error: invalid expression"
    return str(round(value, 2)) if math.isfinite(value) else "Error: number too large"


def _value(root: ast.expr) -> float:
    # A list instead of recursion: a long sum is a deep tree, and how deep Python may go depends on the caller.
    nodes: list[ast.expr] = []
    waiting = [root]
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        if isinstance(node, ast.BinOp):
            waiting += (node.left, node.right)
        elif isinstance(node, ast.UnaryOp):
            waiting.append(node.operand)
    values: dict[ast.expr, float] = {}
    for node in reversed(nodes):
        match node:
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                values[node] = _BINARY[type(op)](values[left], values[right])
            case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
                values[node] = _UNARY[type(op)](values[operand])
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                values[node] = number
            case _:
                raise ValueError(f"{type(node).__name__} is not arithmetic")
    return values[root]

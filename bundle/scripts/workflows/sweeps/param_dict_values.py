"""Readers of single values of a `param_dict.json`: numbers that may be written as formulas, flags, words, sizes."""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

from ...geometry import did_you_mean

_OPERATIONS: dict[type[ast.AST], Callable[..., float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def number(value: Any) -> float:
    """A number, or text such as `pi / 2` of numbers, `pi`, the four operations and parentheses.

    Raises:
        ValueError: for anything else.
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(_evaluated(ast.parse(value.strip(), mode="eval").body))
        except (SyntaxError, ZeroDivisionError, LookupError):
            pass
    raise ValueError(f"expected a number, or a formula such as 'pi / 2', got {value!r}")


def whole(value: Any) -> int:
    """A whole number of at least 1.

    Raises:
        ValueError: for anything else.
    """
    given = number(value)
    if not math.isfinite(given) or given != int(given) or given < 1:
        raise ValueError(f"expected a whole number of at least 1, got {value!r}")
    return int(given)


def positive(value: Any) -> float:
    """A number above 0.

    Raises:
        ValueError: for anything else.
    """
    if not 0 < (given := number(value)) < math.inf:
        raise ValueError(f"expected a number above 0, got {value!r}")
    return given


def flag(value: Any) -> bool:
    """True or false.

    Raises:
        ValueError: for anything else.
    """
    if not isinstance(value, bool):
        raise ValueError(f"expected true or false, got {value!r}")
    return value


def choice(value: Any, known: Mapping[str, Any]) -> Any:
    """What a word stands for.

    Raises:
        ValueError: for a word that is not known.
    """
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"expected one of {', '.join(known)}; got {value!r}{did_you_mean(str(value), known)}")
    return known[value]


def numbers(value: Any) -> list[float]:
    """A list of numbers.

    Raises:
        ValueError: for anything else, and for an empty list.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of numbers, got {value!r}")
    return [number(one) for one in value]


def whole_numbers(value: Any) -> list[int]:
    """A list of whole numbers of at least 1.

    Raises:
        ValueError: for anything else, and for an empty list.
    """
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of whole numbers, got {value!r}")
    return [whole(one) for one in value]


def _evaluated(node: ast.AST) -> float:
    """Value of a formula; `LookupError` for what is none."""
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        return node.value  # type: ignore[return-value]
    if isinstance(node, ast.Name) and node.id == "pi":
        return math.pi
    if isinstance(node, ast.UnaryOp):
        return _OPERATIONS[type(node.op)](_evaluated(node.operand))
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_evaluated(node.left), _evaluated(node.right))
    raise LookupError(type(node).__name__)

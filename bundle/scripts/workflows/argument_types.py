"""Whether a value that stands in a config can be what a component's argument is annotated as."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

_MADE = ("$", "@", "%")


def argument_fault(function: Callable[..., Any], name: str, value: Any) -> str:
    """Say what is wrong with the type of a value that is given to an argument; empty where nothing is.

    Only what a config can spell is looked at: null, numbers, text, lists and tables. What is made when it runs, by a
    reference, an expression or a component, is left out, and so are arguments without annotation.

    Args:
        function: or a class; that gets the value.
        name: of the argument.
        value: as it stands in the config.
    """
    function = _taker(function, name)
    parameter = inspect.signature(function).parameters.get(name)
    if parameter is None or is_made_when_run(value) or (value is None and parameter.default is None):
        return ""
    hint = _hint(function.__init__ if inspect.isclass(function) else function, name)
    if _fits(value, hint):
        return ""
    words = parameter.annotation if isinstance(parameter.annotation, str) else _words(hint)
    return f"'{name}' must be {words}; got {value!r}"


def _taker(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The class or one that it stands on: a class that takes any option hands on what it does not name."""
    for one in inspect.getmro(function) if inspect.isclass(function) else ():
        parameters = inspect.signature(one.__init__).parameters  # type: ignore[misc]
        if name in parameters:
            return one
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return function


def _hint(function: Any, name: str) -> Any:
    """What an argument is annotated as; `Any` where that cannot be looked up, as some of others cannot."""
    annotations = getattr(function, "__annotations__", {})
    if name not in annotations:
        return Any
    # looked up alone, since another argument's may name what is not installed
    alone = types.SimpleNamespace(__annotations__={name: annotations[name]})
    try:
        return get_type_hints(alone, getattr(inspect.unwrap(function), "__globals__", None))[name]
    except Exception:  # whatever an annotation raises
        return Any


def is_made_when_run(value: Any) -> bool:
    """Whether a value of a config is a component, a reference, an expression or a macro."""
    if isinstance(value, Mapping):
        return "_target_" in value
    return isinstance(value, str) and value.startswith(_MADE)


def _fits(value: Any, hint: Any) -> bool:
    if is_made_when_run(value) or hint is Any or isinstance(hint, TypeVar):
        return True
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    kind = origin or hint
    if value is None:
        return kind in (None, type(None), object)
    if not inspect.isclass(kind):
        return True
    if isinstance(value, (list, tuple)):
        return _list_fits(value, kind, inner)
    if isinstance(value, Mapping):
        return issubclass(dict, kind)
    if isinstance(value, str):
        return _text_fits(kind, inner)
    return issubclass(type(value), kind) or (kind in (float, complex) and isinstance(value, int))


def _text_fits(kind: type, inner: tuple[Any, ...]) -> bool:
    """Classes of others, such as `torch.device` or an enumeration, may be made from a text."""
    if kind.__module__ not in ("builtins", "collections.abc", "types", "typing"):
        return not _is_array(kind)
    return issubclass(str, kind) and (not inner or _fits("", inner[0]))


def _list_fits(value: Any, kind: type, inner: tuple[Any, ...]) -> bool:
    if kind in (str, Path) or not (issubclass(list, kind) or issubclass(kind, tuple) or _is_array(kind)):
        return False
    if len(inner) == 1 or (len(inner) == 2 and inner[1] is Ellipsis):
        return all(_fits(one, inner[0]) for one in value)
    return True


def _is_array(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("numpy", "torch") and kind.__name__ in ("ndarray", "Tensor")


def _words(hint: Any) -> str:
    return getattr(hint, "__name__", None) or str(hint)

"""The verbs of the command line: found without importing them, checked before they run."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from textwrap import fill
from typing import Any

Verb = Callable[..., Any]

_NAMES = (
    "bundle", "check", "convert", "dashboard", "datasplit", "demo", "evaluate", "export", "export-objects",
    "find-landmarks", "folds", "import-landmark-config", "import-nnunet", "import-nnunet-dataset",
    "import-task", "pack", "phantom", "plan", "points", "sweep", "view",
)  # fmt: skip

_WORKFLOWS = Path(__file__).parent / "workflows"


class UsageError(ValueError):
    """The words of a command line do not fit its verb."""


class Verbs(Mapping[str, Verb]):
    """Verbs by name; each is imported when it is asked for: torch and MONAI take seconds.

    A verb `find-landmarks` is the function `find_landmarks` of `workflows/find_landmarks.py`.
    """

    def __getitem__(self, name: str) -> Verb:
        if name not in _NAMES:
            raise KeyError(name)
        function = name.replace("-", "_")
        return getattr(importlib.import_module(f"scripts.workflows.{function}"), function)

    def __iter__(self) -> Iterator[str]:
        return iter(_NAMES)

    def __len__(self) -> int:
        return len(_NAMES)

    def __contains__(self, name: object) -> bool:
        return name in _NAMES


VERBS = Verbs()


def summary(name: str) -> str:
    """What a verb does: the first sentence of its docstring, read from the file without running it."""
    function = name.replace("-", "_")
    tree = ast.parse((_WORKFLOWS / f"{function}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")
    raise LookupError(f"{function}.py has no function {function}")


def overview() -> str:
    """All verbs with a line each, and what an exit status means."""
    indent = " " * (max(map(len, _NAMES)) + 4)
    lines = [
        fill(summary(name), 100, initial_indent=f"  {name}".ljust(len(indent)), subsequent_indent=indent)
        for name in _NAMES
    ]
    return "\n".join(
        [
            "usage: python -m scripts VERB [ARGUMENTS] [--OPTION VALUE ...]",
            "       python -m scripts VERB --help",
            "",
            *lines,
            "",
            "exit status: 0 done; 1 what was asked for is not possible, and the last line says why;",
            "             2 a verb or an option that there is not; 130 interrupted; 143 terminated.",
        ]
    )


def known_verb(name: str) -> str:
    """The name itself.

    Raises:
        UsageError: where there is no such verb.
    """
    if name not in _NAMES:
        close = get_close_matches(name, _NAMES, 1)
        raise UsageError(f"there is no verb {name}" + (f"; did you mean {close[0]}?" if close else ""))
    return name


def check_words(verb: Verb, words: Sequence[str]) -> None:
    """Make sure that a verb takes the words of a command line: Fire would run it first, and complain afterwards.

    Raises:
        UsageError: that names the option or the word too many.
    """
    parameters = inspect.signature(verb).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return
    options = [one.name for one in parameters if one.kind is not one.VAR_POSITIONAL]
    positional = {one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD}
    room = float("inf") if any(one.kind is one.VAR_POSITIONAL for one in parameters) else len(positional)
    takes_value = False
    for word in words[: list(words).index("--")] if "--" in words else words:
        if _is_option(word):
            name = _option(word, options)
            room -= name in positional
            takes_value = "=" not in word
        else:
            room -= not takes_value
            takes_value = False
            if room < 0:
                raise UsageError(f"there is no room for {word!r}: options begin with --")


def _option(word: str, options: Sequence[str]) -> str:
    """Which option a word such as `--name`, `--noname` or `-n` stands for."""
    name = word.lstrip("-").partition("=")[0].replace("-", "_")
    if len(name) == 1:
        fitting = [option for option in options if option.startswith(name)]
        name = fitting[0] if len(fitting) == 1 else name
    negated = name.removeprefix("no") if name.startswith("no") and name not in options else name
    if negated in (*options, "help", "h"):
        return negated
    shown = [option.replace("_", "-") for option in options]
    close = get_close_matches(name.replace("_", "-"), shown, 1)
    hint = f"did you mean --{close[0]}?" if close else "there are " + ", ".join(f"--{one}" for one in shown)
    raise UsageError(f"there is no option {word.partition('=')[0]}; {hint}")


def _is_option(word: str) -> bool:
    """What Fire takes for an option: `--name`, `-n`, and no negative number."""
    return word.startswith("--") or re.match(r"-[a-zA-Z]", word) is not None


def in_plain_words(verb: Verb) -> Verb:
    """The verb with types that its help can show: `path`, `number`, ... instead of Python's."""

    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        return verb(*args, **kwargs)

    signature = inspect.signature(verb)
    run.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[
            one.replace(annotation=_Words(one.annotation)) if isinstance(one.annotation, str) else one
            for one in signature.parameters.values()
        ]
    )
    return run


class _Words:
    """A type as Fire's help shows it: by `__qualname__`."""

    def __init__(self, annotation: str) -> None:
        kinds = [_one_kind(part) for part in _parts(annotation) if part != "None"]
        kinds = [kind for kind in kinds if not (kind == "text" and "path" in kinds)]
        self.__qualname__ = " or ".join(dict.fromkeys(kinds))


def _parts(annotation: str) -> list[str]:
    """Members of a union; brackets hold theirs together."""
    return [part.strip() for part in re.split(r"\|(?![^\[]*\])", annotation)]


def _one_kind(annotation: str) -> str:
    plain = {"str": "text", "Path": "path", "int": "whole number", "float": "number", "bool": "yes or no"}
    if annotation in plain:
        return plain[annotation]
    if inner := re.fullmatch(r"(?:Sequence|list|tuple)\[(.*?)(?:, \.\.\.)?\]", annotation):
        kinds = [_one_kind(part) for part in _parts(inner[1])]
        return "list of " + {"text": "names", "whole number": "whole numbers", "number": "numbers"}.get(
            kinds[-1] if kinds[0] == "text" and len(kinds) > 1 else kinds[0], "values"
        )
    return "table" if annotation.startswith(("Mapping", "dict")) else "value"

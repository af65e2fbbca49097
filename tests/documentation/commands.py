"""The commands of the pages: what they are, whether they are right, and which test runs each of them.

Run: python -m tests.documentation.commands     (in the checkout; prints every command with the test that executes it)
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import monai.bundle
from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_MLFLOW_SETTINGS
from tests.documentation.executed import EXECUTED

from scripts.command_line import VERBS, UsageError, check_words, known_verb

ROOT = Path(__file__).parents[2]
BUNDLE = ROOT / "bundle"

PLAIN = (
    *(".", "cat", "cd", "cp", "curl", "mkdir", "pip", "pip-audit", "python3", "python3.11", "source"),
    "label-venv/bin/python",
)
"""Programs that are not this project's; whether they are called rightly is not checked here."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_HERE_DOCUMENT = re.compile(r"<<'?(\w+)'?[^\n]*\n.*?^\1$", re.MULTILINE | re.DOTALL)
_RUN_OPTIONS = ("config_file", "meta_file", "logging_file", "tracking")

_KEYS_OF_FILES = {"hippocampus_inference.json": ("predictions",)}
"""Keys of files that a command before has written."""


@dataclass(frozen=True)
class Command:
    """A command of a page.

    Args:
        page: path from the checkout.
        text: as it stands there, on one line.
    """

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        """Words without variables before them, comments, and where the output goes."""
        words = shlex.split(re.sub(r"\s#\s.*$", "", self.text))
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words = words[1:]
        return words[: words.index(">")] if ">" in words else words

    @property
    def executed_by(self) -> str:
        """The test file that runs it, or why none does; empty where nothing is known of it."""
        for page, pattern, test in EXECUTED:
            if page == self.page and re.search(pattern, self.text):
                return test
        return ""


def pages() -> list[Path]:
    """README, that of the benchmarks, and every page of the bundle."""
    return [ROOT / "README.md", ROOT / "benchmarks" / "README.md", *sorted((BUNDLE / "docs").glob("*.md"))]


def commands() -> list[Command]:
    """All commands, page by page: blocks marked as bash, and lines of unmarked blocks that call this project."""
    found = []
    for page in pages():
        name = str(page.relative_to(ROOT))
        for language, block in _FENCE.findall(page.read_text()):
            if language not in ("bash", ""):
                continue
            for line in _lines(block):
                if language == "bash" or line.startswith("python -m "):
                    found.append(Command(name, line))
    return found


def faults(command: Command) -> list[str]:
    """What is wrong with a command; none where it can be run as it stands."""
    words = command.words
    if words[:1] == ["torchrun"]:
        words = ["python", *words[next(n for n, word in enumerate(words) if word == "-m") :]]
    if words[:2] == ["python", "-c"] or words == ["polytome", "--version"]:
        return []
    if words[:3] == ["python", "-m", "scripts"] or words[0] == "polytome":
        return _verb_faults(words[3 if words[0] == "python" else 1 :])
    if words[:3] == ["python", "-m", "monai.bundle"]:
        return _bundle_faults(words[3:])
    if words[:2] == ["python", "-m"]:
        path = ROOT / f"{words[2].replace('.', '/')}.py"
        return [] if path.is_file() else [f"there is no module {words[2]}"]
    if words[0] == "python":
        return [] if (ROOT / words[1]).is_file() else [f"there is no file {words[1]}"]
    if words[0] == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        return [f"there is no target {word}" for word in words[1:] if word not in targets]
    return [] if words[0] in PLAIN else [f"{words[0]} is no program that is known here"]


def _lines(block: str) -> Iterator[str]:
    """Commands of a block, each on one line; what a here-document holds is left out."""
    block = _HERE_DOCUMENT.sub(lambda found: found[0].partition("\n")[0].partition("<<")[0], block)
    for line in block.replace("\\\n", " ").splitlines():
        for part in line.split(" && "):
            text = re.sub(r"\s+", " ", part).strip()
            if text and not text.startswith("#"):
                yield text


def _verb_faults(words: Sequence[str]) -> list[str]:
    if not words or list(words) == ["--", "--completion"]:
        return []
    try:
        verb = VERBS[known_verb(words[0])]
        check_words(verb, words[1:])
    except UsageError as error:
        return [str(error)]
    parameters = inspect.signature(verb).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        return []
    given = list(words[1 : words.index("--")] if "--" in words else words[1:])
    names = [word[2:].partition("=")[0] for word in given if word.startswith("--")]
    known = {*parameters, *(name.replace("_", "-") for name in parameters)}
    return _unknown([name for name in names if name not in known], _configs(given))


def _bundle_faults(words: Sequence[str]) -> list[str]:
    function = getattr(monai.bundle, words[0], None)
    if function is None:
        return [f"MONAI has no bundle command {words[0]}"]
    options = [word[2:] for word in words if word.startswith("--")]
    known = {*_RUN_OPTIONS, *inspect.signature(function).parameters, *_tracking_keys(words)}
    known |= {key for file, keys in _KEYS_OF_FILES.items() if file in " ".join(words) for key in keys}
    named = [word for word in words[1:2] if not word.startswith("--")]
    return _unknown([*named, *(name for name in options if name not in known)], _configs(words))


def _tracking_keys(words: Sequence[str]) -> Iterator[str]:
    """Options that `--tracking` brings: MONAI's own for mlflow, or those of a file."""
    given = words[words.index("--tracking") + 1] if "--tracking" in words else ""
    if given == "mlflow":
        settings: Any = DEFAULT_MLFLOW_SETTINGS["configs"]
        yield from settings
    elif given:
        yield from json.loads((BUNDLE / given).read_text())["configs"]


def _configs(words: Sequence[str]) -> list[Path]:
    """The bundle's own configs that a command names."""
    return [
        BUNDLE / path for word in words for path in re.findall(r"configs/\w+\.json", word) if "metadata" not in path
    ]


def _unknown(names: Sequence[str], configs: Sequence[Path]) -> list[str]:
    """Names that are no id of the configs."""
    missing = [f"there is no {path.relative_to(BUNDLE)}" for path in configs if not path.is_file()]
    parser = ConfigParser()
    parser.read_config([path for path in configs if path.is_file()] or [BUNDLE / "configs" / "train.json"])
    return missing + [f"the configs have no {name}" for name in names if name not in parser]


def listing() -> str:
    """Every command with the test that executes it."""
    lines, page = [], ""
    for command in commands():
        if command.page != page:
            page = command.page
            lines += ["", page]
        lines.append(f"  {command.executed_by or 'nothing known'}: {command.text}")
    return "\n".join(lines).strip()


if __name__ == "__main__":
    print(listing())

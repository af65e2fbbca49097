"""The command line: `python -m scripts VERB`, or `polytome VERB` where the package is installed."""

from __future__ import annotations

import logging
import sys
from importlib import metadata
from pathlib import Path

import fire

from scripts.command_line import VERBS, UsageError, check_words, in_plain_words, known_verb, overview

__all__ = ["VERBS", "main"]


def main() -> None:
    """Run a verb; an error in what was asked for ends with one line and status 1, a wrong word with status 2.

    Ctrl-C ends it with 130, SIGTERM with 143.
    """
    words = sys.argv[1:]
    program = "polytome" if Path(sys.argv[0]).stem == "polytome" else "python -m scripts"
    if words[:2] == ["--", "--completion"]:
        fire.Fire({name: VERBS[name] for name in VERBS}, command=words, name="polytome")
    elif not words or words[0] in ("help", "-h", "--help"):
        print(overview())
    elif words[0] == "--version":
        print(f"polytome {metadata.version('polytome')}")
    else:
        _run(words, program)


def _run(words: list[str], program: str) -> None:
    logging.basicConfig(format="%(message)s")
    logging.getLogger("scripts").setLevel(logging.INFO)
    try:
        name = known_verb(words[0])
        verb = in_plain_words(VERBS[name])
        if {"--help", "-h"} & set(words[1:]):  # a verb that takes any option would take this one, too
            words = [name, "--", "--help"]
        check_words(verb, words[1:])
        from scripts.blockwise import orderly_exit  # imports the libraries

        with orderly_exit():
            fire.Fire({name: verb}, command=words, name=program)
    except UsageError as error:
        help_of = f"{words[0]} --help" if words[0] in VERBS else "--help"
        print(f"error: {error}\n{program} {help_of} says more", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ValueError, TypeError, OSError, ImportError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()

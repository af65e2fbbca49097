"""The command line: `python -m scripts VERB`."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import fire

from .workflows.convert import convert
from .workflows.datasplit import datasplit
from .workflows.demo import demo
from .workflows.evaluate import evaluate
from .workflows.export_objects import export_objects
from .workflows.find_landmarks import find_landmarks
from .workflows.folds import folds
from .workflows.import_landmark_config import import_landmark_config
from .workflows.import_nnunet import import_nnunet
from .workflows.import_task import import_task
from .workflows.pack import pack
from .workflows.phantom import phantom
from .workflows.plan import plan
from .workflows.points import points
from .workflows.sweep import sweep
from .workflows.view import view

VERBS: dict[str, Callable[..., Any]] = {
    "convert": convert,
    "datasplit": datasplit,
    "demo": demo,
    "evaluate": evaluate,
    "export-objects": export_objects,
    "find-landmarks": find_landmarks,
    "folds": folds,
    "import-landmark-config": import_landmark_config,
    "import-nnunet": import_nnunet,
    "import-task": import_task,
    "pack": pack,
    "phantom": phantom,
    "plan": plan,
    "points": points,
    "sweep": sweep,
    "view": view,
}


def main() -> None:
    """Run a verb; an error in what was asked for ends with one line and status 1."""
    fire.Fire({name: _plainly(verb) for name, verb in VERBS.items()}, name="scripts")


def _plainly(verb: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(verb)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except (ValueError, TypeError, OSError, ImportError) as error:
            sys.exit(f"error: {error}")

    return run


if __name__ == "__main__":
    main()

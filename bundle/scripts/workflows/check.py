"""`check CONFIG ...`: what code a config would run, before it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .config_code import CodePlace, find_code
from .config_targets import Origin
from .demo_run import require_bundle


def check(*configs: str | Sequence[str], all: bool = False) -> str:
    """List the code of a config that is neither the bundle's nor MONAI's, without running any of it.

    Expressions that stand word for word at the same key of the bundle's own configs are counted, all others listed;
    so is every `_target_`. The status is 1 where something is foreign, so that a script can refuse it.

    Args:
        configs: JSON or YAML files, in the order in which they would be merged; one word may hold several, as
            `"['configs/train.json','other.json']"`.
        all: list what is the bundle's and MONAI's, too.

    Returns:
        what was found.

    Raises:
        FileNotFoundError: for a file that does not exist.
        ValueError: for a file that cannot be read, and where there is foreign code.
    """
    files = [file for word in configs for file in _files(word)]
    if not files:
        raise ValueError("expected at least one config file, such as configs/train.json")
    require_bundle("configs/train.json")
    places = find_code(files)
    by_origin = {origin: [place for place in places if place.origin is origin] for origin in Origin}
    lines = [f"{', '.join(map(_shown, files))}: {len(by_origin[Origin.OWN])} places are the bundle's or MONAI's own"]
    if all:
        lines += _section(Origin.OWN, by_origin[Origin.OWN])
    for origin in (Origin.INSTALLED, Origin.FOREIGN):
        lines += _section(origin, by_origin[origin])
    said = "\n".join(lines)
    count = len(by_origin[Origin.FOREIGN])
    if count:
        print(said)
        raise ValueError(
            f"{count} foreign {'place' if count == 1 else 'places'}: this config runs code that is neither the "
            "bundle's nor MONAI's; run it only if you trust where it comes from, or know what each place does"
        )
    return f"{said}\nnothing foreign"


def _files(word: Any) -> list[str]:
    """Files that a word of the command line names: one, a list, or several with commas in between."""
    if isinstance(word, (list, tuple)):
        return [file for one in word for file in _files(one)]
    text = str(word)
    return text.split(",") if "," in text and not Path(text).is_file() else [text]


def _section(origin: Origin, places: Sequence[CodePlace]) -> list[str]:
    if not places:
        return []
    lines = ["", f"{origin}:"]
    for place in places:
        note = f"  ({_shown(place.note)})" if place.note else ""
        # whole, and without characters that a terminal would act on: nothing may hide
        lines.append(f"  {_shown(place.key)}: {json.dumps(str(place.text))}  [{_shown(place.file)}]{note}")
    return lines


def _shown(text: str) -> str:
    return json.dumps(str(text))[1:-1].replace('\\"', '"')

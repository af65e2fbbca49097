"""The file that a sweep is told by: Contraband's `param_dict.json`, or tables of the bundle's own keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...geometry import did_you_mean
from .experiment import (
    HEAD_CONFIGS,
    SEG_HEAD,
    SPARSE_BASELINE,
    SPARSE_HEAD,
    Combination,
    Experiment,
    Head,
    grid,
)
from .param_dict import import_param_dict, is_param_dict

CONFIGS = Path(__file__).parents[3] / "configs"
GRID = "grid"

_TABLES = ("model", "contrastive", "heads")
_HEAD_KEYS = ("config", "baseline", "volumes", "num_points", "thresholds", "has_background")
_ROW_KEYS = ("image", "labels", "split", "region")


def read_experiment(path: str | Path) -> Experiment:
    """Read the file of a sweep and expand its grids.

    In a file of its own keys the tables `model`, `contrastive` and `heads` hold ids of the configs, such as
    `learning_rate` and `targets#affinities#weight`; `{"grid": [...]}` in place of a value stands for several. `model`
    and `heads` may be lists of tables.

    Raises:
        FileNotFoundError: where there is no such file.
        ValueError: with every unknown key; for values that cannot be.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist; expected a param_dict.json")
    try:
        content = json.loads(Path(path).read_text())
        if not isinstance(content, Mapping):
            raise ValueError(f"expected a table, got {type(content).__name__}")
        return import_param_dict(content) if is_param_dict(content) else _own(content)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def config_files(names: Sequence[str]) -> list[str]:
    """Paths of configs, as the folder of the bundle sees them."""
    return [f"configs/{name}.json" for name in names]


def merged(names: Sequence[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Top level of some configs and of settings that follow them; of references the text."""
    content: dict[str, Any] = {}
    for name in names:
        content |= json.loads((CONFIGS / f"{name}.json").read_text())
    return content | dict(settings)


def _own(content: Mapping[str, Any]) -> Experiment:
    faults = [f"unknown key {key}{did_you_mean(key, _TABLES)}" for key in content if key not in _TABLES]
    tables = {name: _tables(name, content.get(name, [{}]), faults) for name in _TABLES}
    of_training = _ids("contrastive")
    for n, table in enumerate(tables["heads"]):
        faults += _unknown(table, [*_HEAD_KEYS, *_ids(*HEAD_CONFIGS, "saved_embeddings")], f"heads[{n}].")
    for name in ("model", "contrastive"):
        for table in tables[name]:
            faults += _unknown(table, of_training, f"{name}.")
    if faults:
        raise ValueError("; ".join(faults))
    if len(tables["contrastive"]) != 1 or "contrastive" not in content:
        raise ValueError('expected one table "contrastive" of settings, such as {"volumes": [{"image": PATH}]}')
    return Experiment(
        [Combination(one) for one in _expanded(tables["contrastive"][0])],
        [Combination(one) for table in tables["model"] for one in _expanded(table)],
        [_head(one, n) for n, table in enumerate(tables["heads"]) if table for one in _expanded(table)],
    )


def _tables(name: str, value: Any, faults: list[str]) -> list[Mapping[str, Any]]:
    rows = value if isinstance(value, list) else [value]
    faults += [f"{name}: expected a table of keys, got {row!r}" for row in rows if not isinstance(row, Mapping)]
    return [row for row in rows if isinstance(row, Mapping)]


def _ids(*names: str) -> list[str]:
    """Ids of train.json and of configs that follow it."""
    return list(merged(["train", *names], {}))


def _unknown(table: Mapping[str, Any], known: Sequence[str], prefix: str) -> list[str]:
    """A line for each key whose first part no config has; keys that begin with `_` are comments."""
    roots = {key: key.removeprefix("+").partition("#")[0] for key in table if not key.startswith("_")}
    return [f"unknown key {prefix}{key}{did_you_mean(root, known)}" for key, root in roots.items() if root not in known]


def _expanded(table: Mapping[str, Any]) -> list[dict[str, Any]]:
    values = {}
    for key, value in table.items():
        is_grid = isinstance(value, Mapping) and set(value) == {GRID}
        if is_grid and not (isinstance(value[GRID], list) and value[GRID]):
            raise ValueError(f"{key}: expected {{'grid': [value, ...]}} with at least one value, got {value!r}")
        values[key] = value[GRID] if is_grid else [value]
    return grid(values)


def _head(table: dict[str, Any], number: int) -> Head:
    place = f"heads[{number}]"
    config = table.pop("config", SEG_HEAD)
    if config not in HEAD_CONFIGS:
        raise ValueError(
            f"{place}.config: expected one of {', '.join(HEAD_CONFIGS)}; got {config!r}"
            f"{did_you_mean(str(config), HEAD_CONFIGS)}"
        )
    is_baseline = table.pop("baseline", config == SPARSE_BASELINE)
    if config == SPARSE_HEAD and is_baseline:
        config = SPARSE_BASELINE
    rows = _rows(table.pop("volumes", None), place)
    n_points = table.pop("num_points", None)
    if config != SEG_HEAD and (not isinstance(n_points, int) or n_points < 1):
        raise ValueError(f"{place}.num_points: {config} needs a whole number of points, got {n_points!r}")
    if config == SEG_HEAD and n_points is not None:
        raise ValueError(f"{place}.num_points = {n_points}, but seg_head is trained on all voxels; leave it out")
    thresholds = table.pop("thresholds", [0.5])
    if not isinstance(thresholds, list) or not thresholds:
        raise ValueError(f"{place}.thresholds: expected a list of numbers, got {thresholds!r}")
    return Head(
        settings={key: value for key, value in table.items() if key != "has_background"},
        config=config,
        volumes=rows,
        num_points=n_points,
        thresholds=thresholds,
        has_background=bool(table.get("has_background", False)),
        is_baseline=is_baseline,
    )


def _rows(value: Any, place: str) -> list[dict[str, Any]]:
    """Rows of volumes that train and validate.

    Raises:
        ValueError: for a row without image, labels or split, and where one of the parts is missing.
    """
    rows = value if isinstance(value, list) else []
    for row in rows:
        if not isinstance(row, Mapping) or not {"image", "labels", "split"} <= set(row) <= set(_ROW_KEYS):
            raise ValueError(
                f"{place}.volumes: expected rows with image, labels, split and perhaps region; got {row!r}"
            )
    if missing := {"train", "val"} - {row["split"] for row in rows}:
        raise ValueError(f"{place}.volumes: expected rows of both splits, train and val; {' and '.join(missing)} lacks")
    return [dict(row) for row in rows]

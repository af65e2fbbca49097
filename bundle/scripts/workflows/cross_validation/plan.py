"""The training of each fold, and where it lies."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ReferenceResolver

from ...geometry import did_you_mean
from ..sweeps.run import Run, Training

SETTINGS = "settings.json"
MODE = "fold"

_OF_A_FOLD = ("fold", "output_dir", "ckpt_dir", "load_model", "n_folds")
_FOLD_FILE = re.compile(r"fold(\d+)\.json")


class FoldPlan:
    """The trainings of a cross-validation, each in a folder `fold_N` of its own.

    A fold's settings are written in one file, so that a config that is edited meanwhile does not part the folds.

    Args:
        configs: config files, later ones over earlier ones.
        root: folder of the cross-validation.
        n_folds: number of folds; `None`: that of the configs, or as many as there are fold files.
        settings: ids of the configs with other values, `train#trainer#max_epochs` for one within.

    Raises:
        FileNotFoundError: for a config, or a fold file, that does not exist.
        ValueError: for settings that belong to each fold, or that the configs do not have, and where there is no number
            of folds.
    """

    def __init__(
        self,
        configs: Sequence[str | Path],
        root: str | Path,
        n_folds: int | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        self._settings = dict(settings or {})
        if own := [key for key in self._settings if key in _OF_A_FOLD]:
            raise ValueError(f"{', '.join(own)}: set for each fold; give --output_dir, --folds and --n_folds instead")
        if missing := [str(path) for path in configs if not Path(path).is_file()]:
            raise FileNotFoundError(f"config {', '.join(missing)} does not exist")
        self._configs = [str(path) for path in configs]
        self.root = Path(root).absolute()
        common = self._merged({})
        files = _value(common, "landmark_file")
        self._shared: dict[str, Any] = {}
        if files is not None:
            self.numbers = fold_files(files, n_folds)
        else:
            wanted = _value(common, "n_folds") if n_folds is None else n_folds
            if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 2:
                raise ValueError(f"n_folds: expected a whole number of at least 2, got {wanted!r}")
            self.numbers = list(range(wanted))
            self._shared["n_folds"] = wanted
        self.runs = {number: self._run(number) for number in self.numbers}

    def results_dir(self, number: int) -> Path:
        """Where a fold writes the scores of its predictions."""
        run = self.runs[number]
        found = _value(run.files[SETTINGS], "results_dir")
        return Path(run.folder) / "results" if found is None else Path(found)

    def _run(self, number: int) -> Run:
        folder = self.root / f"fold_{number}"
        ckpt_dir = str(folder / "models")
        settings = self._merged(
            {"fold": number, "output_dir": str(folder), "ckpt_dir": ckpt_dir, "load_model": "latest", **self._shared}
        )
        training = Training(ckpt_dir, {}, int(_value(settings, "max_epochs")), name=str(_value(settings, "model_name")))
        command = ("monai.bundle", "run", "training", "--config_file", str([str(folder / SETTINGS)]))
        return Run(folder.name, MODE, str(folder), {SETTINGS: settings}, (command,), training=training)

    def _merged(self, own: Mapping[str, Any]) -> dict[str, Any]:
        """The configs with the settings of the call and of a fold, as they stand."""
        parser = ConfigParser()
        parser.read_config(self._configs)
        for key, value in self._settings.items():
            known = list(parser.get())
            if ReferenceResolver.split_id(key)[0] not in known:
                raise ValueError(f"the configs have no {key}{did_you_mean(key, known)}")
            try:
                parser[key] = value
            except KeyError as error:
                raise ValueError(f"the configs have no {key}: {error.args[0]}") from error
        parser.update(dict(own))
        return {key: value for key, value in json.loads(json.dumps(parser.get())).items() if key != "_meta_"}


def fold_files(path: str | Path, n_folds: int | None = None) -> list[int]:
    """Numbers of the files `fold0.json`, `fold1.json`, ... in a folder.

    Args:
        path: the folder.
        n_folds: how many of them, from 0; `None`: all.

    Raises:
        FileNotFoundError: where one is missing, or there is none.
    """
    folder = Path(path)
    names = sorted(one.name for one in folder.glob("*.json")) if folder.is_dir() else []
    found = sorted(int(match[1]) for name in names if (match := _FOLD_FILE.fullmatch(name)))
    wanted = found if n_folds is None else list(range(n_folds))
    if missing := [f"fold{number}.json" for number in wanted if number not in found]:
        raise FileNotFoundError(f"{folder} has no {', '.join(missing)}; it has {', '.join(names) or 'no JSON file'}")
    if not wanted:
        raise FileNotFoundError(
            f"landmark_file = {folder}: expected a folder with fold0.json, fold1.json, ...; it has "
            f"{', '.join(names) or 'no JSON file'}"
        )
    return wanted


def _value(config: Mapping[str, Any], key: str) -> Any:
    """A value of a config, its references resolved; `None` where there is none."""
    return ConfigParser(copy.deepcopy(dict(config))).get_parsed_content(key) if key in config else None

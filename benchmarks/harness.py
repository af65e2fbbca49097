"""What several benchmark programs share: the bundle's training config, options, tables and results."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.engines import SupervisedTrainer

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

Rows = list[dict[str, Any]]


def training_config(folder: Path, **settings: Any) -> ConfigParser:
    """`configs/train.json` as a user runs it, with settings.

    Args:
        folder: where the training looks for data and writes.
        settings: values by id.
    """
    config = ConfigParser()
    config.read_config(ROOT / "bundle" / "configs" / "train.json")
    folders = {"dataset_dir": str(folder), "output_dir": str(folder / "output"), "ckpt_dir": str(folder / "models")}
    config.update({"bundle_root": str(ROOT / "bundle"), **folders, **settings})
    return config


def start(config: ConfigParser) -> SupervisedTrainer:
    """The trainer of a config, after everything that a run does before its first batch."""
    config.get_parsed_content("initialize")
    return config.get_parsed_content("train#trainer")


def n_parameters(trainer: SupervisedTrainer) -> int:
    return sum(parameter.numel() for parameter in trainer.network.parameters())


def machine() -> str:
    """Processor, cores, PyTorch, and the GPU where there is one."""
    parts = [platform.processor() or platform.machine(), f"{os.cpu_count()} cores", f"torch {torch.__version__}"]
    return ", ".join([*parts, *([torch.cuda.get_device_name()] if torch.cuda.is_available() else [])])


def listed(value: Any) -> list[Any]:
    """Values of an option that takes several: of `a` fire makes text, of `1` a number, of `a,b` a tuple."""
    if isinstance(value, str):
        return value.split(",")
    return list(value) if isinstance(value, (list, tuple)) else [value]


def choices(option: str, value: Any, known: Collection[str]) -> list[str]:
    """What an option chooses.

    Args:
        option: its name.
        value: see `listed`.
        known: what there is.

    Raises:
        ValueError: for a choice that is not known, naming all that are.
    """
    chosen = listed(value)
    if not set(chosen) <= set(known):
        raise ValueError(f"{option} = {value}; expected some of {', '.join(known)}")
    return chosen


def print_table(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """One line per row, columns as wide as their widest cell; `-` where there is no value."""
    cells = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    print(f"\n{title}")
    for line in cells:
        print("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)), flush=True)


def read_results(name: str) -> dict[str, Any]:
    """What `write_results` wrote last under a name; nothing where it never did."""
    path = RESULTS / f"{name}.json"
    return json.loads(path.read_text()) if path.exists() else {}


def write_results(name: str, content: Mapping[str, Any]) -> None:
    """Write `benchmarks/results/NAME.json`."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


def make_environment(folder: Path, *installed: Sequence[str]) -> Path:
    """A Python environment for packages that do not go with the bundle's, made where it is not there yet.

    Args:
        folder: of the environment.
        installed: what pip installs in one go, options included.

    Returns:
        its interpreter.
    """
    python, ready = folder / "bin" / "python", folder / ".ready"
    if not ready.exists():
        run_quietly([sys.executable, "-m", "venv", str(folder)])
        for words in installed:
            run_quietly([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words])
        ready.touch()
    return python


def run_quietly(words: Sequence[str]) -> None:
    """Run a command.

    Raises:
        RuntimeError: where it fails, with the end of what it said.
    """
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{(done.stdout + done.stderr)[-3000:]}")


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)

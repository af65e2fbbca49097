"""`demo`: the whole job on a phantom, from scan to report, by the commands that a user types."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .demo_report import write_demo_report
from .demo_run import BUNDLE, DemoRun
from .faults import RunError
from .phantom import phantom, truth_box
from .score import score_region

PHANTOM_TARGETS = ("sheet", "normals")


def demo(output: str = "demo", *, size: int = 192, config: str | None = None, dry_run: bool = False) -> None:
    """Make a phantom, train on its few labels, predict all of it, score the part never labelled, write a report.

    Training and inference are the bundle's own commands, printed before they run. An earlier demo in the same folder is
    replaced.

    Args:
        output: folder for everything; its `report.html` shows the result, `scores.json` holds the numbers.
        size: edge of the phantom, voxels.
        config: a config file that is given after `configs/train.json`, for other settings than the demo's; the targets
            stay, since the report shows them.
        dry_run: show the commands, and run none.

    Raises:
        FileExistsError: where the folder holds something else.
        FileNotFoundError: where the bundle's configs or the given one do not exist.
        RunError: when a step fails; its own message stands above.
        ValueError: where the config has other targets, or the phantom's labels do not fit into so small a volume.
    """
    configs = ["configs/train.json", *([] if config is None else [str(Path(config).resolve())])]
    for name in configs:
        if not (BUNDLE / name).is_file():
            raise FileNotFoundError(
                f"{BUNDLE / name} does not exist; the demo needs a checkout with its configs, and --config a file"
            )
    run = DemoRun(folder=Path(output).resolve(), size=size, train_configs=configs)
    targets = run.parser().get_parsed_content("targets")
    if set(targets) != set(PHANTOM_TARGETS):
        raise ValueError(
            f"config: its targets are {', '.join(targets)}; the phantom has truth for {' and '.join(PHANTOM_TARGETS)}"
        )
    if dry_run:
        print(_phantom_command(run))
        for workflow, files, options in _workflows(run):
            print(run.note(_bundle_command(workflow, files, options)))
        print(f"dry run: {run.folder} is not written")
        return
    _make_room(run)

    begun = time.perf_counter()
    print(f"phantom: {run.phantom}, {size} x {size} x {size} voxels", flush=True)
    _phantom_command(run)
    phantom(run.phantom, size=size, overwrite=True)
    run.seconds["phantom"] = time.perf_counter() - begun

    for workflow, files, options in _workflows(run):
        _run_bundle(run, workflow, files, options)

    run.scores = score_region(
        {name: str(run.prediction / name) for name in targets},
        {name: run.volume(f"truth_{name}") for name in targets},
        targets,
        truth_box(size),
    )
    written = {name: value if math.isfinite(value) else None for name, value in run.scores.items()}
    (run.folder / "scores.json").write_text(json.dumps(written, indent=4) + "\n")
    report = write_demo_report(run)
    print("time: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in run.seconds.items()))
    print(f"report: {report}")
    print("scores on the region never labelled: " + ", ".join(f"{k} {v:.4g}" for k, v in run.scores.items()))


def _phantom_command(run: DemoRun) -> str:
    words = [sys.executable, "-m", "scripts", "phantom", str(run.phantom), f"--size={run.size}", "--overwrite"]
    return run.note(words)


def _workflows(run: DemoRun) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """What is run of the bundle: name, config files, options; the second is known when the first has been run."""
    yield "training", run.train_configs, run.training_options()
    prediction = {
        "input": run.volume("raw"),
        "output": str(run.prediction),
        "weights": str(run.models_dir / "model.pt"),
        "roi_size": json.dumps(run.window_size()),
    }
    yield "inference", ["configs/inference.json", str(run.training_dir / "network.json")], prediction


def _make_room(run: DemoRun) -> None:
    """Remove what an earlier demo left in the folder, but nothing else."""
    if run.folder.exists() and any(run.folder.iterdir()) and not run.phantom.exists():
        raise FileExistsError(f"output: {run.folder} holds something else than a demo; choose another folder")
    for part in (run.training_dir, run.models_dir, run.prediction):
        shutil.rmtree(part, ignore_errors=True)
    for name in ("report.html", "scores.json"):
        (run.folder / name).unlink(missing_ok=True)


def _bundle_command(workflow: str, configs: Sequence[str], options: dict[str, str]) -> list[str]:
    files = configs[0] if len(configs) == 1 else json.dumps(list(configs))  # double quotes need no escape in a shell
    command = [sys.executable, "-m", "monai.bundle", "run", workflow, "--config_file", files]
    return command + [part for name, value in options.items() for part in (f"--{name}", value)]


def _run_bundle(run: DemoRun, workflow: str, configs: Sequence[str], options: dict[str, str]) -> None:
    """Run `python -m monai.bundle run WORKFLOW` in the bundle's folder, with its output shown as it comes.

    Raises:
        RunError: when it fails.
    """
    command = _bundle_command(workflow, configs, options)
    print(f"\n{workflow}:\n{run.note(command)}\n", flush=True)
    begun = time.perf_counter()
    status = subprocess.run(command, cwd=BUNDLE, check=False).returncode
    run.seconds[workflow] = time.perf_counter() - begun
    if status != 0:
        raise RunError(f"the demo's {workflow} ended with status {status}; its message stands above")

"""`import-landmark-config X.yaml`: train and predict with the settings of a LaNNU-Net file."""

from __future__ import annotations

import json
from pathlib import Path

from .imports.landmark_file import LandmarkConfig, read_landmark_config
from .imports.landmark_keys import KEYS, PHDNET, UNET
from .imports.landmark_settings import (
    import_data,
    import_inference,
    import_network,
    import_outputs,
    import_sampling,
    import_training,
)
from .imports.task_file import Findings
from .sweeps.run import shown

_BESIDE_THE_KEYS = {
    "clip_norm": (12, "longer gradients are shortened to 12"),
    "decoding": ("argmax", "the brightest voxel; 'subpixel' is finer"),
}
"""What their program did without a key."""


def import_landmark_config(
    config: str | Path,
    *,
    output: str | Path | None = None,
    dataset_dir: str | Path | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    skip_unknown: bool = False,
) -> str:
    """Turn a config of LaNNU-Net (MediMarker) into settings that follow configs/train.json and configs/landmarks.json.

    Defaults of their program are written down, too, so that the training means the same. Settings for
    configs/inference.json and configs/landmarks_inference.json go beside, as `NAME_inference.json`.

    Args:
        config: the YAML file; JSON will do. Sections and keys may be missing.
        output: file to write. Default: beside the config, as `NAME_overlay.json`.
        dataset_dir: folder that relative paths of images and JSON files count from. Default: the present one.
        dry_run: say what would become of every key, and write nothing.
        overwrite: replace files that exist.
        skip_unknown: leave out keys that are not known, instead of refusing them.

    Returns:
        what became of every key, and the commands to run.

    Raises:
        FileExistsError: where an output exists.
        FileNotFoundError: where the config does not.
        ValueError: for a file that is no such config, and values that cannot be.
    """
    source = Path(config)
    path = source.with_name(f"{source.stem}_overlay.json") if output is None else Path(output)
    if path.suffix != ".json":
        raise ValueError(f"output: expected a name that ends in .json, got {path}")
    if path.absolute() == source.absolute():
        raise ValueError(f"output: {path} is the config itself; expected another path")
    content, unknown = read_landmark_config(source, skip_unknown)
    findings = _import(content, unknown, Path.cwd() if dataset_dir is None else Path(dataset_dir))
    stacks = {
        path: ["train", "landmarks", *(["phdnet"] if content.architecture == PHDNET else [])],
        path.with_name(f"{path.stem}_inference.json"): ["inference", "landmarks_inference"],
    }
    for file in stacks:
        if file.exists() and not (overwrite or dry_run):
            raise FileExistsError(f"{file} exists; choose another path, or pass --overwrite to replace it")
    if dry_run:
        return _summary(findings, stacks, content, "Not written, this was a dry run")
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    for (file, stack), settings in zip(stacks.items(), (findings.settings, findings.inference), strict=True):
        about = f"LaNNU-Net's {source.name}; give this file after {', '.join(_files(stack))}."
        file.write_text(json.dumps({"_about_": about, **settings}, indent=4) + "\n")
    return _summary(findings, stacks, content)


def _import(content: LandmarkConfig, unknown: list[str], dataset_dir: Path) -> Findings:
    findings = Findings(dropped=[f"{place}: unknown, left out" for place in unknown])
    findings.dropped += [f"{place} = null: counts as left out" for place in content.empty]
    import_data(content, findings, dataset_dir)
    dims = import_sampling(content, findings)
    import_network(content, findings, dims)
    _import_plain(content, findings)
    import_training(content, findings)
    import_outputs(content, findings)
    import_inference(content, findings)
    for key, (value, why) in _BESIDE_THE_KEYS.items():
        findings.settings[key] = value
        findings.defaults.append(f"{key} = {value} ({why})")
    findings.inference["decoding"] = findings.settings["decoding"]
    if findings.settings["scheme"] is not None:
        findings.advice.append(
            "their flips leave left and right landmarks as they are: here there are none until pairs = [[0, 1], ...] "
            "swaps them; [] where none is left or right"
        )
    return findings


def _import_plain(content: LandmarkConfig, findings: Findings) -> None:
    """The keys that need nothing but another name, those of the other network, and those without counterpart."""
    overlays = {"train": findings.settings, "inference": findings.inference}
    for place, spec in KEYS.items():
        entry = content.find(place)
        if entry is None:
            continue
        if spec.architecture not in (None, content.architecture):
            findings.drop(entry, f"it belongs to {spec.architecture}, and MODEL.ARCHITECTURE is {content.architecture}")
        elif spec.new is not None:
            value = entry.read(spec.read)
            for name in spec.files:
                overlays[name][spec.new] = value
            findings.put(entry, overlays[spec.files[0]], spec.new, value, spec.why)
        elif spec.why:
            findings.drop(entry, spec.why)
    if content.architecture != UNET:
        findings.advice.append("the optimiser is that of configs/phdnet.json")


def _summary(
    findings: Findings, stacks: dict[Path, list[str]], content: LandmarkConfig, written: str = "Written"
) -> str:
    training, inference = (str(file.absolute()) for file in stacks)
    blocks = {
        "The file says": findings.mapped,
        "It leaves out, and is written as their program had it": findings.defaults,
        "No counterpart": findings.dropped,
        "To do and to know": findings.advice,
        written: [training, inference],
    }
    lines = [line for title, block in blocks.items() if block for line in (f"{title}:", *(f"  {row}" for row in block))]
    of_training, of_inference = (_files(stack) for stack in stacks.values())
    network = f"{findings.settings.get('output_dir', 'output')}/network.json"
    commands = [
        _run("training", [*of_training, training]),
        shown(("scripts", "folds", "--config_file", str([*of_training, training]), "--output_dir", "output/folds")),
        _run("inference", [*of_inference, inference, network]),
    ]
    if content.get("TRAINER.INFERENCE_ONLY").value:
        commands = commands[-1:]
    elif findings.settings["fold"] == -1:
        del commands[1]
    lines += ["Run, in the folder of the bundle:", *(f"  {command}" for command in commands)]
    lines.append(f"  ({network} is what the training leaves in its output_dir)")
    return "\n".join(lines)


def _files(stack: list[str]) -> list[str]:
    return [f"configs/{name}.json" for name in stack]


def _run(name: str, configs: list[str]) -> str:
    return shown(("monai.bundle", "run", name, "--config_file", str(configs)))

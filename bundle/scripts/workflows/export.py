"""`export OUTPUT`: a trained network as one file that runs without this bundle: TorchScript, torch.export or ONNX."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import save_net_with_metadata
from monai.networks.utils import convert_to_onnx

from ..geometry import parse_targets
from ..networks import EXPORT_SUFFIXES, ExportedNetwork, PackedOutput, UNetPlan
from ..networks.exported import METADATA_FILE
from ..networks.packed_output import example_size, trace
from .demo_run import BUNDLE, require_bundle
from .weight_files import read_weights, state_dict_faults

INPUT, OUTPUT = "image", "pred"
"""MONAI's names for what goes into a network and what comes out."""

_AXES = "zyx"

_OF_EVERY_NETWORK = ("schema", "version", "required_packages_version")
"""Entries of the bundle's metadata that are true of every network that it exports."""


def export(
    output: str | Path,
    *,
    network: str | Path | None = None,
    weights: str | Path | None = None,
    tolerance: float = 1e-4,
    dry_run: bool = False,
    overwrite: bool = False,
) -> str:
    """Write a trained network to one file: `.ts` (TorchScript), `.pt2` (torch.export) or `.onnx`.

    The file maps images B C D H W, normalised as in training, to the logits of all targets, one behind the other along
    the channel axis. Batch and size are free, as far as the network's plan allows. Before the file appears under its
    name it is read and compared with the network, for several batches and sizes.

    It says what it is as JSON, `metadata.json`: the bundle's metadata with the network's own inputs, outputs, targets
    and plan.

    Args:
        output: file to write.
        network: `network.json` of the training, which builds the network. Default: the network of
            `configs/inference.json`.
        weights: the trained weights. Default: `models/model.pt` of the bundle.
        tolerance: largest difference from the network's output that passes, in units of the largest output (or 1).
        dry_run: say what would be written, and do not.
        overwrite: replace a file that exists.

    Returns:
        what was written, and the largest difference.

    Raises:
        FileExistsError: if the output exists.
        ImportError: for ONNX where a package of the extra `export` is missing.
        ValueError: for another suffix, for weights of another network, and where the file does not give what the
            network gives.
    """
    target = Path(output)
    if target.suffix not in EXPORT_SUFFIXES:
        raise ValueError(f"output: expected a name that ends in {', '.join(EXPORT_SUFFIXES)}; got {target}")
    if target.exists() and not (overwrite or dry_run):
        raise FileExistsError(f"{target} exists; choose another output, or pass --overwrite to replace it")
    require_bundle("configs/inference.json", f"configs/{METADATA_FILE}")
    parser = bundle_config(network)
    model = load_trained(parser, BUNDLE / "models" / "model.pt" if weights is None else weights)
    targets, plan = parser["targets"], getattr(model, "plan", None)
    size = list(example_size(plan)) if plan is not None else list(parser.get_parsed_content("patch_size"))
    example = torch.randn(2, parser.get_parsed_content("in_channels"), *size)
    metadata = describe(example, targets, plan, is_own=network is None and weights is None)
    image, pred = (metadata["network_data_format"][key][name] for key, name in (("inputs", INPUT), ("outputs", OUTPUT)))
    sizes = " x ".join(map(str, [image["num_channels"], *image["spatial_shape"]]))
    said = f"{sizes} -> {', '.join(pred['channel_def'].values())}"
    if dry_run:
        return f"{said}\ndry run: {target} is not written"

    packed = PackedOutput(model).eval()
    target.absolute().parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.stem}.partial{target.suffix}")
    try:
        _WRITERS[target.suffix](packed, example, plan, partial, metadata)
        difference = largest_difference(packed, ExportedNetwork(partial, targets), example, plan)
        if not difference <= tolerance:
            raise ValueError(
                f"{target}: the file's output differs from the network's by {difference:.2g} of the largest output, "
                f"more than tolerance = {tolerance:g}; nothing is written"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
    return f"{said}\nwritten: {target}, {target.stat().st_size} bytes; differs from the network by {difference:.1e}"


def load_trained(parser: ConfigParser, weights: str | Path) -> torch.nn.Module:
    """A config's `network_def` with the weights of a file, in evaluation mode.

    Raises:
        ValueError: for weights of another network.
    """
    model = parser.get_parsed_content("network_def")
    if faults := state_dict_faults(model, weights):
        raise ValueError(f"weights: {faults[0]}")
    model.load_state_dict(read_weights(weights))
    return model.eval()


def describe(
    example: torch.Tensor, targets: Mapping[str, Any], plan: UNetPlan | None, *, is_own: bool = True
) -> dict[str, Any]:
    """What an exported file says about itself.

    Args:
        example: an input, B C D H W.
        targets: the `targets` table.
        plan: of the network; `None`: it takes the example's size alone.
        is_own: whether the network is the bundle's, of which its metadata tells more.
    """
    channels = {name: row.channels for name, row in parse_targets(targets).items()}
    names = [name if count == 1 else f"{name} {i}" for name, count in channels.items() for i in range(count)]
    size = list(example.shape[2:])
    shape: list[int | str] = list(size)
    if plan is not None:
        shape = [f"{divisor}*n" if n > 1 else n for n, divisor in zip(size, plan.divisor, strict=True)]

    def tensor(form: str, channel_names: Sequence[str]) -> dict[str, Any]:
        return {
            "type": "image",
            "format": form,
            "num_channels": len(channel_names),
            "spatial_shape": shape,
            "dtype": "float32",
            "value_range": [],
            "is_patch_data": True,
            "channel_def": {str(i): name for i, name in enumerate(channel_names)},
        }

    metadata = json.loads((BUNDLE / "configs" / METADATA_FILE).read_text())
    return {
        **{key: value for key, value in metadata.items() if is_own or key in _OF_EVERY_NETWORK},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "network_data_format": {
            "inputs": {INPUT: tensor("magnitude", [f"{INPUT} {i}" for i in range(example.shape[1])])},
            "outputs": {OUTPUT: tensor("segmentation", names)},
        },
        "targets": channels,
        **({"only_size": size} if plan is None else {"plan": plan.as_dict()}),
    }


def largest_difference(
    network: Callable[..., torch.Tensor], exported: ExportedNetwork, example: torch.Tensor, plan: UNetPlan | None
) -> float:
    """Largest difference of outputs, for the example, one image of it, and three images of other sizes along each axis.

    It is a share of the largest output, or absolute where that is below 1.
    """
    inputs = [example, example[:1]]
    if plan is not None:
        axes = enumerate(zip(example.shape[2:], plan.divisor, strict=True), 3)
        inputs.append(torch.randn(3, example.shape[1], *(i * divisor if n > 1 else n for i, (n, divisor) in axes)))
    worst = 0.0
    with torch.no_grad():
        for x in inputs:
            wanted = network(x)
            found = torch.cat(list(exported(x).values()), dim=1)
            scale = max(1.0, float(wanted.abs().max()))
            worst = max(worst, float((found - wanted).abs().max()) / scale)
    return worst


def bundle_config(network: str | Path | None = None) -> ConfigParser:
    """`configs/inference.json`, with the network of a training where its `network.json` is given.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    files = [BUNDLE / "configs" / "inference.json"]
    if network is not None:
        if not Path(network).is_file():
            raise FileNotFoundError(f"network: {network} does not exist; expected the network.json of a training")
        files.append(Path(network))
    parser = ConfigParser()
    parser.read_config([str(path) for path in files])
    parser["bundle_root"] = str(BUNDLE)
    return parser


def _dynamic_shapes(example: torch.Tensor, plan: UNetPlan | None) -> tuple[dict[int, Any]]:
    """The axes that are free: the batch, and for a network with a plan the size, in multiples of its divisor."""
    free: dict[int, Any] = {0: torch.export.Dim("batch", min=1)}
    if plan is not None:
        axes = zip(_AXES[-plan.spatial_dims :], example.shape[2:], plan.divisor, strict=True)
        for i, (name, size, divisor) in enumerate(axes):
            if size > 1:
                free[2 + i] = divisor * torch.export.Dim(name, min=1) if divisor > 1 else torch.export.Dim(name, min=1)
    return (free,)


def _write_torchscript(
    packed: PackedOutput, example: torch.Tensor, plan: UNetPlan | None, path: Path, metadata: dict[str, Any]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # MONAI Deploy and TensorRT live on these files
        save_net_with_metadata(trace(packed, example), str(path), include_config_vals=False, meta_values=metadata)


def _write_torch_export(
    packed: PackedOutput, example: torch.Tensor, plan: UNetPlan | None, path: Path, metadata: dict[str, Any]
) -> None:
    with torch.no_grad():
        program = torch.export.export(packed, (example,), dynamic_shapes=_dynamic_shapes(example, plan))
    torch.export.save(program, path, extra_files={METADATA_FILE: json.dumps(metadata)})


def _write_onnx(
    packed: PackedOutput, example: torch.Tensor, plan: UNetPlan | None, path: Path, metadata: dict[str, Any]
) -> None:
    try:
        import onnx
        import onnxruntime  # noqa: F401 - the file is compared by it
        import onnxscript  # noqa: F401 - torch writes by it
    except ModuleNotFoundError as error:
        raise ImportError(f"ONNX needs {error.name}: pip install 'polytome[export]'") from error
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # it warns that there is no torchvision
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            warnings.simplefilter("ignore", FutureWarning)  # of torch's own containers
            model = convert_to_onnx(
                packed,
                [example],
                input_names=[INPUT],
                output_names=[OUTPUT],
                filename=str(path),
                dynamo=True,
                dynamic_shapes=_dynamic_shapes(example, plan),
                external_data=False,
                verbose=False,
            )
    finally:
        logger.setLevel(before)
    onnx.helper.set_model_props(model, {METADATA_FILE: json.dumps(metadata)})
    onnx.save(model, str(path))


_WRITERS = {".ts": _write_torchscript, ".pt2": _write_torch_export, ".onnx": _write_onnx}

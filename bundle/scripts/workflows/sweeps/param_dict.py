"""Contraband's `param_dict.json` as the overlays of a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from ..imports.task_file import Entry, Findings
from .experiment import (
    SEG_HEAD,
    SPARSE_BASELINE,
    SPARSE_HEAD,
    Combination,
    Experiment,
    Head,
    Notes,
)
from .param_dict_augment import import_augmentation
from .param_dict_keys import CONTRASTIVE, KEYS, MODEL, SEG, TOP
from .param_dict_network import import_model
from .param_dict_reading import drop_keys, expand_table, key_faults
from .param_dict_training import image_rows, import_normalization, import_training, labelled_rows
from .param_dict_values import choice, flag, number, positive, whole

_HEADS = {"Simple": SEG_HEAD, "SimpleSegHead": SEG_HEAD, "Sparse": SPARSE_HEAD, "SparseSegHead": SPARSE_HEAD}
_PIPELINES: dict[str, str | None] = {
    "standard": SEG_HEAD, "segmentation": SEG_HEAD,
    "sparse_sh": SPARSE_HEAD, "sparse_head": SPARSE_HEAD,
    "baseline_sparse_sh": SPARSE_BASELINE, "sparse_baseline": SPARSE_BASELINE,
    "contrastive": None,
}  # fmt: skip
"""Which head a pipeline trains; none: it pre-trains alone."""

_SPACE = {"_target_": "scripts.transforms.ApplySpatiald", "keys": "@stored_keys", "targets": "@targets"}
_AFFINITIES_IN_PLANE = {
    "targets#affinities#channels": 2,
    "derive": [
        {
            "_target_": "scripts.transforms.LabelToAffinitiesd",
            "keys": "labels",
            "output_keys": "affinities",
            "offsets": [[0, 1, 0], [0, 0, 1]],
        }
    ],
}
_AXES_OF_AFFINITIES = {2: "y, x", 3: "z, y, x"}


def is_param_dict(content: Mapping[str, Any]) -> bool:
    """Whether a file has the form of Contraband's."""
    own = {"pipeline", "save_embs", SEG} & set(content)
    contrastive = content.get(CONTRASTIVE)
    return bool(own) or (isinstance(contrastive, Mapping) and bool({"data_file", "num_iterations"} & set(contrastive)))


def import_param_dict(content: Mapping[str, Any]) -> Experiment:
    """Expand a `param_dict.json`, and say what each entry becomes.

    In `contrastive` and `seg` a list that is one deeper than a value of its key is several values, of which every
    combination is made, the last key changing fastest; `model` is a list of whole models.

    Raises:
        ValueError: with every key that is not known; for values that cannot be.
    """
    if faults := key_faults(content):
        raise ValueError("; ".join(faults))
    if missing := [key for key in (MODEL, CONTRASTIVE) if not content.get(key)]:
        raise ValueError(f"expected the tables {', '.join(missing)}; found {', '.join(content)}")
    models = content[MODEL] if isinstance(content[MODEL], list) else [content[MODEL]]
    imported = [import_model(one, f"model[{n}]") for n, one in enumerate(models)]
    sizes = {tuple(model.settings["patch_size"]) for model in imported}
    if len({size[0] == 1 for size in sizes}) > 1:
        raise ValueError("model: expected models of 2D or of 3D alone; give each its own param_dict.json")
    patch_size = list(min(sizes))
    embedded = _embedded(content.get("save_embs"))
    pipeline = Entry("pipeline", content["pipeline"]) if "pipeline" in content else None
    default = None if pipeline is None else pipeline.read(lambda value: choice(value, _PIPELINES))
    heads: list[Head] = []
    if SEG in content and not (pipeline is not None and default is None):
        heads = [
            _head(entries, patch_size, default or SEG_HEAD, list(embedded))
            for entries in expand_table(SEG, content[SEG])
        ]
    contrastive = [_contrastive(entries, patch_size) for entries in expand_table(CONTRASTIVE, content[CONTRASTIVE])]
    return Experiment(contrastive, imported, heads, _images(content.get("save_embs"), embedded))


def _contrastive(entries: Mapping[str, Entry], patch_size: list[int]) -> Combination:
    findings = Findings()
    settings = findings.settings
    image_rows(entries, findings)
    import_training(entries, findings, batch_size=1)
    import_normalization(entries, findings)
    settings["augment"] = import_augmentation(entries, findings, patch_size)
    for key in ("point_density", "temperature"):
        if key in entries:
            findings.put(entries[key], settings, key, entries[key].read(positive), KEYS[CONTRASTIVE][key].why)
    drop_keys(CONTRASTIVE, entries, findings)
    return Combination(settings, Notes(findings.mapped, findings.dropped))


def _head(entries: dict[str, Entry], patch_size: list[int], default: str, embedded: list[str]) -> Head:
    findings = Findings()
    settings = findings.settings
    if "basline" in entries:
        if "baseline" in entries and entries["baseline"].value != entries["basline"].value:
            raise ValueError(f"{entries['basline']}, but {entries['baseline']}; give it once")
        entries = {"baseline": entries["basline"], **entries}
    is_baseline = entries["baseline"].read(flag) if "baseline" in entries else default == SPARSE_BASELINE
    named = entries["seg_head"].read(lambda value: choice(value, _HEADS)) if "seg_head" in entries else default
    is_sparse = named != SEG_HEAD
    config = SEG_HEAD if not is_sparse else SPARSE_BASELINE if is_baseline else SPARSE_HEAD
    for key in ("seg_head", "baseline", "basline"):
        if key in entries:
            findings.say(entries[key], f"configs/{config}.json", "from scratch" if is_baseline else "")
    rows = labelled_rows(entries, findings, embedded)
    import_training(entries, findings)
    if config == SPARSE_HEAD:
        for key in ("norm_factor", "elastic", "blur", "simple", "noise"):
            for name in (key, f"{key}_params"):
                if name in entries:
                    findings.drop(entries[name], "the image is stored embeddings, which stay as they are (there, too)")
    else:
        import_normalization(entries, findings)
        settings["augment"] = [_SPACE, *import_augmentation(entries, findings, patch_size, "@stored_keys")]
    _import_base(entries, findings, config, is_baseline)
    _import_channels(entries, findings, patch_size, is_sparse)
    drop_keys(SEG, entries, findings)
    return Head(
        settings=settings,
        config=config,
        volumes=rows,
        num_points=_num_points(entries, findings, is_sparse),
        thresholds=_thresholds(entries, findings),
        has_background=_has_background(entries, findings, is_sparse),
        is_baseline=is_baseline,
        notes=Notes(findings.mapped, findings.dropped),
    )


def _import_base(entries: Mapping[str, Entry], findings: Findings, config: str, is_baseline: bool) -> None:
    entry = entries.get("freeze_base")
    if config != SEG_HEAD:
        if entry is not None:
            findings.drop(entry, "there is no base" if config == SPARSE_HEAD else "a base from scratch is trained")
        return
    freezes = entry is not None and entry.read(flag)
    findings.settings["freeze_base"] = freezes and not is_baseline
    if entry is not None and is_baseline and freezes:
        findings.drop(entry, "a base from scratch that stays as it is learns nothing; freeze_base = false")
    elif entry is not None:
        findings.say(entry, f"freeze_base = {str(freezes).lower()}")


def _import_channels(entries: Mapping[str, Entry], findings: Findings, patch_size: list[int], is_sparse: bool) -> None:
    dims = 2 if patch_size[0] == 1 else 3
    if not is_sparse:
        findings.settings |= {"min_bbox_percent": 0.0, "min_labeled_ratio": 0.0}
        findings.mapped.append("their patches lie anywhere -> min_bbox_percent = 0.0, min_labeled_ratio = 0.0")
        if dims == 2:
            findings.settings |= _AFFINITIES_IN_PLANE
    entry = entries.get("seg_out_channels")
    if entry is None:
        return
    expected = 2 if is_sparse else dims
    if entry.read(whole) != expected:
        what = "background and foreground" if is_sparse else f"affinities along {_AXES_OF_AFFINITIES[dims]}"
        raise ValueError(f"{entry}: expected {expected}, one for each of {what}")
    findings.say(entry, f"targets: {'foreground' if is_sparse else 'affinities'}, {expected} channels")


def _num_points(entries: Mapping[str, Entry], findings: Findings, is_sparse: bool) -> int | None:
    entry = entries.get("num_points")
    if not is_sparse:
        if entry is not None:
            findings.drop(entry, "a dense head is trained on all voxels")
        return None
    if entry is None:
        raise ValueError("seg: a sparse head needs num_points, such as [16, 32]")
    findings.say(entry, "points of the volumes that train", "as many of the background as of objects")
    return entry.read(whole)


def _thresholds(entries: Mapping[str, Entry], findings: Findings) -> list[float]:
    entry = entries.get("thresholds", Entry("thresholds", [0.5], is_given=False))
    values = entry.read(lambda value: [number(one) for one in (value if isinstance(value, list) else [value])])
    findings.say(entry, f"thresholds of the validation = {values}")
    return values


def _has_background(entries: Mapping[str, Entry], findings: Findings, is_sparse: bool) -> bool:
    entry = entries.get("has_background")
    if entry is None:
        return False
    if is_sparse:
        findings.drop(entry, "what is below the threshold is background")
        return False
    findings.say(entry, f"has_background of the validation = {str(entry.value).lower()}")
    return entry.read(flag)


def _embedded(table: Any) -> list[str]:
    """Datasets that are embedded."""
    if table is None:
        return []
    if not isinstance(table, Mapping) or set(table) != set(KEYS[TOP]["save_embs"].inner):
        raise ValueError(f'save_embs: expected {{"datasets": [...], "data_file": [...]}}, got {table!r}')
    names = table["datasets"] if isinstance(table["datasets"], list) else [table["datasets"]]
    return [str(name) for name in names]


def _images(table: Any, names: list[str]) -> dict[str, str]:
    """Path of each image that is embedded, by a name for the store: the folder that it is in, or its own."""
    if table is None:
        return {}
    files = table["data_file"] if isinstance(table["data_file"], list) else [table["data_file"]]
    if len(files) != 1:
        raise ValueError(f"save_embs.data_file: expected one zarr, got {files!r}")
    found: dict[str, str] = {}
    for name in names:
        path = PurePosixPath(name)
        short = path.parent.name or path.name
        found[short if short not in found else name.replace("/", "_")] = f"{str(files[0]).rstrip('/')}/{name}"
    return found

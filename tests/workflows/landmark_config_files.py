"""Files of LaNNU-Net, and what `import-landmark-config` makes of one."""

import json

import yaml

from scripts.workflows.import_landmark_config import import_landmark_config

PATCHES = {"SAMPLER.SAMPLER_MODE": "patch_bias"}


def imported(folder, values, **options):
    """Import dotted keys; returns what it said, and both overlays."""
    nested = {}
    for place, value in values.items():
        table = nested
        *sections, key = place.split(".")
        for section in sections:
            table = table.setdefault(section, {})
        table[key] = value
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(nested or {"DATASET": {}}))
    said = import_landmark_config(path, **{"overwrite": True, **options})
    files = [json.loads((folder / f"config_overlay{name}.json").read_text()) for name in ("", "_inference")]
    return said, *files

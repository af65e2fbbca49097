"""Whether a network fits into this machine's memory, found before any of its weights is made."""

from __future__ import annotations

import copy
import os

import torch
from monai.bundle import ConfigParser, ReferenceResolver

from .components import TARGET
from .config_files import iter_leaves
from .faults import root_message

_KEY = "network_def"
_OWN = "scripts.networks."
_FROM_FILES = ("scripts.networks.ExportedNetwork",)


def network_size_faults(parser: ConfigParser) -> list[str]:
    """Whether the parameters of `network_def` are more than half of the machine's memory holds.

    The network is built without data, by shapes alone. Other networks than the bundle's may do what that does not
    allow; they are left out.
    """
    component = parser.get(_KEY)
    target = component.get(TARGET) if isinstance(component, dict) else None
    if not isinstance(target, str) or not target.startswith(_OWN) or target in _FROM_FILES:
        return []
    for _, text in iter_leaves(component):
        for name in ReferenceResolver.match_refs_pattern(text) if isinstance(text, str) else ():
            parser.get_parsed_content(name)  # volumes are opened once
    trial = ConfigParser(copy.deepcopy(parser.config), globals=parser.globals)
    trial.locator = parser.locator
    trial.parse(True)
    resolved = parser.ref_resolver.resolved_content
    trial.ref_resolver.resolved_content.update(
        {key: value for key, value in resolved.items() if key.partition(ReferenceResolver.sep)[0] != _KEY}
    )
    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        try:
            network = trial.get_parsed_content(_KEY)
        except Exception as error:
            if "overflow" in root_message(error):  # of the number of bytes
                return [f"{_KEY}: has more parameters than any memory holds; give fewer features_per_stage"]
            return []  # the network itself will say what is wrong
    count = sum(parameter.numel() for parameter in network.parameters())
    needed, held = 4 * count, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    if needed <= held // 2:
        return []
    fault = (
        f"{_KEY}: {count:.3g} parameters take {needed / 1e9:.3g} GB, and this machine has {held / 1e9:.3g} GB of "
        "memory; give fewer features_per_stage, in_channels or channels of targets"
    )
    return [fault]

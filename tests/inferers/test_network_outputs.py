"""Outputs that are no answer for the targets."""

import pytest
import torch

from scripts.geometry import parse_targets
from scripts.inferers.network_outputs import check_outputs

TARGETS = parse_targets({"sheet": {"channels": 2}})
WINDOWS = (2, 1, 4, 4, 4)


def test_what_is_asked_for_may_have_company():
    check_outputs({"sheet": torch.zeros(2, 2, 4, 4, 4), "other": None}, TARGETS, WINDOWS)


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        (torch.zeros(1), r"must return a dictionary target -> tensor; got Tensor"),
        ({"tubes": 1, "spots": 2}, r"has no output 'sheet'; its outputs: tubes, spots"),
        ({"sheet": [torch.zeros(1)]}, r"output 'sheet' is no tensor, but a list; deep .* call network.eval\(\) first"),
        (
            {"sheet": torch.zeros(2, 2, 4, 4, 2)},
            r"output 'sheet' has shape \(2, 2, 4, 4, 2\), expected \(2, 2, 4, 4, 4\) \(B C D H W\)",
        ),
    ],
)
def test_what_does_not_fit(outputs, message):
    with pytest.raises(ValueError, match=message):
        check_outputs(outputs, TARGETS, WINDOWS)

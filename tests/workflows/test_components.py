"""Components of small configs, checked against signatures without a call."""

import importlib
import pkgutil
import sys

import pytest
from monai.bundle import ConfigParser

import scripts
from scripts.command_line import VERBS
from scripts.workflows.components import component_faults, iter_components, locate


def scale(image, factor: float = 2.0, *, offset):
    """A component with all sorts of arguments."""
    raise AssertionError("the check must not call anything")


def open_ended(image, **options):
    raise AssertionError("the check must not call anything")


class Holder:
    class Inner:
        def __init__(self, size):
            self.size = size


@pytest.fixture(autouse=True)
def components(monkeypatch):
    """This file, under a name that a config can give."""
    monkeypatch.setitem(sys.modules, "checked_components", sys.modules[__name__])


def faults(config):
    return component_faults(ConfigParser(config))


def test_good_components_have_none():
    config = {
        "flip": {"_target_": "RandFlipd", "keys": "image", "prob": 0.5},
        "full": {"_target_": "monai.transforms.RandFlipd", "keys": "image", "_desc_": "x", "_requires_": "@flip"},
        "scale": {"_target_": "checked_components.scale", "image": "@flip", "offset": 1},
        "print": {"_target_": "print"},
        "nested": {"_target_": "checked_components.Holder.Inner", "size": 3},
        "text": "RandFlipd",
    }
    assert faults(config) == []


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("RandFlpd", " (did you mean 'RandFlipd'?)"),
        ("CheckpointSavr", " (did you mean 'CheckpointSaver'?)"),
        ("scripts.engines.Progres", " (did you mean 'Progress'?)"),
        ("torch.optim.AdmW", " (did you mean 'AdamW'?)"),
        ("checked_components.scal", " (did you mean 'scale'?)"),
        ("scripts.engins.Progress", ""),
        ("no_such_package.Thing", ""),
    ],
)
def test_an_unknown_target(target, hint):
    assert faults({"x": {"_target_": target}}) == [f"x: '{target}' cannot be imported{hint}"]


def test_a_module_that_fails_says_why(tmp_path, monkeypatch):
    (tmp_path / "broken_component.py").write_text("raise ImportError('libfoo is missing')\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert faults({"x": {"_target_": "broken_component.Thing"}}) == [
        "x: 'broken_component.Thing' cannot be imported: libfoo is missing"
    ]


def test_an_unknown_argument():
    (said,) = faults({"x": {"_target_": "checked_components.scale", "image": 1, "offset": 0, "facter": 3}})
    assert said == (
        "x: checked_components.scale takes no argument 'facter' (did you mean 'factor'?); "
        "its arguments: image, factor, offset"
    )


def test_a_comment_inside_a_component_is_an_argument_for_monai_too():
    (said,) = faults({"x": {"_target_": "checked_components.scale", "image": 1, "offset": 0, "_about_": "hello"}})
    assert "takes no argument '_about_'" in said
    with pytest.raises(RuntimeError, match="Failed to instantiate"):
        ConfigParser({"x": {"_target_": "torch.nn.ReLU", "_about_": "hello"}}).get_parsed_content("x")


def test_missing_arguments():
    assert faults({"x": {"_target_": "checked_components.scale", "factor": 1}}) == [
        "x: checked_components.scale needs the argument 'image'",
        "x: checked_components.scale needs the argument 'offset'",
    ]


def test_a_callable_is_given_its_other_arguments_later():
    partial = {"_target_": "checked_components.scale", "_mode_": "callable", "factor": 1}
    assert faults({"x": partial}) == []
    (said,) = faults({"x": {**partial, "facter": 1}})
    assert "takes no argument 'facter'" in said


def test_open_ended_arguments_take_any_name_but_need_the_others():
    assert faults({"x": {"_target_": "checked_components.open_ended", "image": 1, "whatever": 2}}) == []
    assert faults({"x": {"_target_": "checked_components.open_ended", "whatever": 2}}) == [
        "x: checked_components.open_ended needs the argument 'image'"
    ]


def test_annotations_of_a_users_own_code_refuse_nothing():
    assert faults({"x": {"_target_": "checked_components.scale", "image": "@y", "offset": 1, "factor": "auto"}}) == []
    assert faults({"x": {"_target_": "RandFlipd", "keys": "image", "prob": "often"}}) == [
        "x: RandFlipd: 'prob' must be float; got 'often'"
    ]


def test_what_a_reference_leads_to_is_held_to_the_annotations_of_the_bundles_own():
    """Not of others: PyTorch and MONAI take more than they say."""

    def find(number, **more):
        component = {"_target_": "scripts.segmentation.Components", "source": "p", "connectivity": "@number", **more}
        return faults({"find": component, "number": number, "other": "many"})

    assert find(3) == find(None) == find("$1 + 2") == find("@number") == find("@missing") == []
    assert find("many", _disabled_="$True") == []
    said = ["find: scripts.segmentation.Components: 'connectivity' must be int; got 'many', by @number"]
    assert find("many") == find("@other") == said
    assert faults({"flip": {"_target_": "RandFlipd", "keys": "image", "prob": "@often"}, "often": "x"}) == []


def test_nested_components_are_named_by_their_id():
    config = {
        "train": {
            "_target_": "Compose",
            "transforms": [{"_target_": "RandFlipd"}, {"_target_": "Compose", "transfroms": [{"_target_": "Nope"}]}],
        },
        "_meta_": {"network": {"_target_": "checked_components.Missing"}},
    }
    unknown = "Compose takes no argument 'transfroms' (did you mean 'transforms'?); its arguments: "
    assert faults(config) == [
        "train#transforms#0: RandFlipd needs the argument 'keys'",
        f"train#transforms#1: {unknown}transforms, map_items, unpack_items, log_stats, lazy, overrides",
        "train#transforms#1#transfroms#0: 'Nope' cannot be imported",
        "_meta_#network: 'checked_components.Missing' cannot be imported",
    ]
    assert [key for key, _ in iter_components(config)] == [
        "train", "train#transforms#0", "train#transforms#1", "train#transforms#1#transfroms#0", "_meta_#network",
    ]  # fmt: skip


@pytest.mark.parametrize("target", ["$@other.forward", "@other", "%other"])
def test_a_target_that_is_made_by_the_config_is_left_to_it(target):
    assert faults({"x": {"_target_": target, "anything": 1}}) == []


@pytest.mark.parametrize(("disabled", "count"), [(True, 0), ("true", 0), (False, 1), ("$@a is None", 1)])
def test_what_is_switched_off_is_not_checked(disabled, count):
    assert len(faults({"x": {"_target_": "no_such_package.Thing", "_disabled_": disabled}})) == count


def test_no_module_hides_what_its_room_exports():
    """From Python 3.12 a path that ends with a module's name is the module for MONAI, too; verbs are no components."""
    hidden = [
        f"{room.name}.{module.name}"
        for room in pkgutil.walk_packages(scripts.__path__, "scripts.")
        if room.ispkg
        for module in pkgutil.iter_modules(importlib.import_module(room.name).__path__)
        if module.name in getattr(importlib.import_module(room.name), "__all__", ())
    ]
    assert [path for path in hidden if path.rpartition(".")[2].replace("_", "-") not in VERBS] == []


def test_locate_finds_what_monai_finds():
    parser = ConfigParser({})
    for name in ("RandFlipd", "torch.optim.AdamW", "pathlib.Path.cwd", "print"):
        made = ConfigParser({"x": {"_target_": name, "_mode_": "callable"}}).get_parsed_content("x")
        assert locate(name, parser) == made

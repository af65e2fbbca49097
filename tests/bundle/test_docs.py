"""The reference of all settings: complete, without what does not exist, true about defaults, its examples bind."""

import json
import re
from dataclasses import fields

import pytest
from monai.bundle import ConfigParser
from monai.bundle.utils import DEFAULT_EXP_MGMT_SETTINGS
from tests.bundle.running import BUNDLE

from scripts.__main__ import VERBS
from scripts.geometry import MASK_KEY, PRECISIONS, Target, parse_targets, stored_keys, target_faults
from scripts.losses import BALANCES, LOSS_NAMES, loss_faults
from scripts.metrics import METRIC_NAMES, metric_faults
from scripts.patches import OPTION_KEYS
from scripts.workflows.components import component_faults

NOT_IDS = ("config_file", "nproc_per_node", "tracking")

CONFIGS = (
    "train", "evaluate", "inference", "inference_distributed", "process", "cellmap", "cellmap_inference",
    "contrastive", "embed", "seg_head", "sparse_head", "sparse_baseline", "saved_embeddings", "discriminant_head",
    "landmarks", "phdnet", "landmarks_inference", "landmarks_ensemble", "inference_exported", "inference_trt",
)  # fmt: skip
PAGE = (BUNDLE / "docs" / "configuration.md").read_text()
TRAINING = (BUNDLE / "docs" / "training.md").read_text()
INFERENCE = (BUNDLE / "docs" / "inference.md").read_text()


def section(heading: str) -> str:
    """Text of a section of the second level, without its fenced examples."""
    text = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert text, f"no section '## {heading}'"
    return re.sub(r"^```.*?^```\n", "", text[1], flags=re.MULTILINE | re.DOTALL)


def rows(heading: str, first_column: str) -> list[list[str]]:
    """Cells of all tables of a section whose first column has the given title."""
    found: list[list[str]] = []
    inside = False
    for line in section(heading).splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif cells[0] == first_column:
            inside = True
        elif inside and not set(line) <= set("|- "):
            found.append(cells)
    return found


def documented(heading: str, first_column: str) -> list[str]:
    """The `code` of the first column."""
    return [code for cells in rows(heading, first_column) for code in re.findall(r"`([^`]+)`", cells[0])]


def config(name: str) -> dict:
    return json.loads((BUNDLE / "configs" / f"{name}.json").read_text())


def examples() -> list[dict]:
    blocks = re.findall(r"^```json\n(.*?)^```", PAGE + TRAINING, re.MULTILINE | re.DOTALL)
    return [json.loads(block) for block in blocks]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_key_of_a_config_is_documented_and_no_other(name):
    expected = []
    for key, value in config(name).items():
        if key.startswith("_"):
            continue
        expected += [f"{key}#{sub}" for sub in value] if key in ("train", "validate") else [key]
    assert sorted(documented(f"{name}.json", "Key")) == sorted(expected)


def test_every_option_of_a_target_is_documented_and_no_other():
    expected = [field.name for field in fields(Target) if field.name != "name"]
    assert documented("targets", "Option") == expected


def test_every_key_of_a_volume_is_documented_and_no_other():
    assert sorted(documented("volumes", "Key")) == sorted(["image", "<target>", MASK_KEY, *OPTION_KEYS])


@pytest.mark.parametrize("name", CONFIGS)
def test_defaults_are_those_of_the_config(name):
    values, checked = config(name), 0
    for cells in rows(f"{name}.json", "Key"):
        key = cells[0].strip("`")
        if key not in values:  # told apart by `#`: components
            continue
        value = values[key]
        numbers = isinstance(value, list) and all(isinstance(item, (int, float)) for item in value)
        if isinstance(value, str):
            expected = f"`{value}`" if value[0] in "$@%" else f"`{json.dumps(value)}`"
        elif value is None or isinstance(value, (bool, int, float)) or numbers:
            expected = f"`{json.dumps(value)}`"
        else:
            continue
        if cells[1].startswith("`") or not isinstance(value, (str, type(None))):  # long expressions are told in words
            assert cells[1] == expected, key
            checked += 1
    assert checked >= (min(3, len(values) - 1) if len(values) > 5 else 1)  # the smallest are components alone


def test_defaults_of_options_are_those_of_a_target():
    options = {cells[0].strip("`"): cells[1].strip("`") for cells in rows("targets", "Option")}
    target = parse_targets({"sheet": {"channels": 1}})["sheet"]
    for name in ("kind", "activation", "weight", "label_smoothing"):
        assert options[name] == str(getattr(target, name))


def test_components_named_as_defaults_are_those_of_the_config():
    for name in CONFIGS:
        parser = ConfigParser()
        parser.read_config([BUNDLE / "configs" / f"{base}.json" for base in CONFIGS[: CONFIGS.index(name) + 1]])
        for cells in rows(f"{name}.json", "Key"):
            key, default = cells[0].strip("`").lstrip("+"), cells[1]
            value = parser[key]
            if not isinstance(value, dict) or not default.startswith("`"):
                continue
            text = json.dumps(value)
            shown = re.findall(r"`([^`]+)`", default)
            assert any(re.search(rf'"_target_": "[\w.]*\b{re.escape(word)}"', text) for word in shown), (key, default)


@pytest.mark.parametrize("word", [*LOSS_NAMES, *METRIC_NAMES])
def test_losses_and_metrics_are_named(word):
    assert f"`{word}`" in section("targets")


@pytest.mark.parametrize("word", [*LOSS_NAMES, *BALANCES, *PRECISIONS])
def test_the_page_on_training_names_every_choice(word):
    assert f"`{word}`" in TRAINING


@pytest.mark.parametrize("number", range(len(examples())))
def test_examples_bind(number, tmp_path):
    overlay = tmp_path / "overlay.json"
    overlay.write_text(json.dumps(examples()[number]))
    parser = ConfigParser()
    parser.read_config([BUNDLE / "configs" / "train.json", overlay])
    targets = parser["targets"]
    assert component_faults(parser) == []
    assert target_faults(targets) == []
    assert loss_faults(targets) == metric_faults(targets) == []
    if isinstance(parser["volumes"], list):  # not read from a file
        known = {"image", MASK_KEY, *OPTION_KEYS, *stored_keys(targets)}
        assert {key for volume in parser["volumes"] for key in volume} <= known
    made = {row.get("output_keys") or row.get("names") for row in parser["derive"]}
    assert made == {name for name, row in parse_targets(targets).items() if row.source}


def test_the_examples_cover_every_kind_and_derived_targets():
    tables = [parse_targets(example["targets"]) for example in examples() if "targets" in example]
    assert {str(row.kind) for table in tables for row in table.values()} == {
        "label", "scalar", "vector", "normal", "points",
    }  # fmt: skip
    assert any(row.source for table in tables for row in table.values())


def test_commands_name_ids_and_files_that_exist():
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE + TRAINING + INFERENCE, re.M | re.S)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) >= 8
    for line in lines:
        if verb := re.search(r"python -m scripts ([\w-]+)", line):
            assert verb[1] in VERBS
            continue
        files = [BUNDLE / path for path in re.findall(r"configs/\w+\.json", line) if "comet" not in path]
        parser = ConfigParser()
        parser.read_config(files)
        if tracking := re.search(r"--tracking (\S+)", line):
            settings = DEFAULT_EXP_MGMT_SETTINGS.get(tracking[1]) or json.loads((BUNDLE / tracking[1]).read_text())
            parser.update({key: value for key, value in settings["configs"].items() if key not in parser})
        run_id = re.search(r"monai\.bundle run (\w+)", line)
        assert run_id
        ids = [run_id[1], *(word for word in re.findall(r"--([\w#]+)", line) if word not in NOT_IDS)]
        assert [key for key in ids if key not in parser] == []


def test_examples_of_inference_set_what_there_is():
    blocks = re.findall(r"^```json\n(.*?)^```", INFERENCE, re.M | re.S)
    known = {key for name in ("inference", "inference_distributed") for key in config(name)}
    assert len(blocks) >= 3
    for block in blocks:
        assert set(json.loads(block)) <= known


def test_the_page_on_inference_names_every_choice_of_precision():
    assert [word for word in PRECISIONS if f"`{word}`" not in INFERENCE] == ["fp32"]  # the default

"""The pages: commands that are right and run, links that lead somewhere, parts that are made anew, and the site."""

import re
import shlex
import subprocess
from collections import Counter
from pathlib import Path
from urllib.parse import unquote

import pytest
from tests.bundle.documentation_scenes import SCENES, make_folder, scene_commands, shrunk
from tests.bundle.running import BUNDLE, command
from tests.documentation.commands import Command, commands, faults, listing, pages
from tests.documentation.executed import EXECUTED, HERE
from tests.documentation.goals import goals
from tests.documentation.key_tables import (
    CELLMAP_DEFAULTS,
    LANDMARK_KEYS_READ_TOGETHER,
    TASK_KEYS_READ_TOGETHER,
    TASK_TARGET_KEYS,
    TASK_VOLUME_KEYS,
)
from tests.documentation.pages import TABLES, marked, with_tables
from tests.documentation.reference import BUNDLE as REFERENCE_BUNDLE
from tests.documentation.reference import components, config_keys, config_names, config_page
from tests.documentation.result_tables import result

from scripts.command_line import VERBS, summary
from scripts.workflows.imports import landmark_keys, task_keys

ROOT = BUNDLE.parent
DOCS = BUNDLE / "docs"


# commands


@pytest.mark.parametrize("one", commands(), ids=lambda one: f"{Path(one.page).stem}: {one.text[:60]}")
def test_a_command_is_right(one):
    assert faults(one) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("python -m scripts convertt a b", "there is no verb convertt; did you mean convert?"),
        ("python -m scripts phantom a --siz 3", "there is no option --siz; did you mean --size?"),
        ("python -m monai.bundle run trainin --config_file configs/train.json", "the configs have no trainin"),
        (
            "python -m monai.bundle run training --config_file configs/train.json --max_epoch 3",
            "the configs have no max_epoch",
        ),
        ("python -m monai.bundle run training --config_file configs/trains.json", "there is no configs/trains.json"),
        ("python -m scripts plan configs/train.json --in_chanels 2", "the configs have no in_chanels"),
        ("make dmeo", "there is no target dmeo"),
        ("python benchmarks/none.py", "there is no file benchmarks/none.py"),
        ("frobnicate scan.zarr", "frobnicate is no program that is known here"),
    ],
)
def test_a_wrong_command_is_found(text, expected):
    assert faults(Command("page.md", text)) == [expected]


def test_words_are_those_that_a_shell_would_give():
    text = """COMET_API_KEY=... python -m scripts view 'a b.zarr' --targets#sheet#weight 2 > log.txt # a remark"""
    assert Command("page.md", text).words == [
        "python", "-m", "scripts", "view", "a b.zarr", "--targets#sheet#weight", "2",
    ]  # fmt: skip


def test_of_every_command_it_is_known_which_test_runs_it():
    unknown = [f"{one.page}: {one.text}" for one in commands() if not one.executed_by]
    assert unknown == []
    files = {test for *_, test in EXECUTED if not test.startswith("not executed: ")}
    assert [file for file in files if not (ROOT / file).is_file()] == []
    reasons = [test.partition(": ")[2] for *_, test in EXECUTED if test.startswith("not executed: ")]
    assert all(reasons)
    named = [file for reason in reasons for file in re.findall(r"tests/\S+\.py", reason)]
    assert [file for file in named if not (ROOT / file).is_file()] == []
    assert len(listing().splitlines()) >= len(commands())


def test_files_that_are_said_to_run_a_page_read_it():
    for page, _, test in EXECUTED:
        if test not in (HERE,) and not test.startswith("not executed: "):
            assert Path(page).name in (ROOT / test).read_text() or page == "bundle/docs/README.md", (page, test)


@pytest.mark.long
@pytest.mark.parametrize("scene", SCENES)
def test_commands_run(scene, tmp_path):
    folder = make_folder(tmp_path, scene)
    lines = scene_commands(scene)
    assert lines
    for line in lines:
        words = shlex.split(re.sub(r"\s#\s.*$", "", shrunk(line)))
        words = words[: words.index(">")] if ">" in words else words
        said = command(*words[2:], cwd=folder)
        if words[2:] == ["scripts", "--", "--completion"]:
            assert subprocess.run(["bash", "-n"], input=said, text=True, check=False).returncode == 0
            assert "polytome" in said
    made = {
        "bundle": ["data/phantom.zarr", "output/prediction.zarr", "part.zarr", "prediction.zarr/sheet"],
        "SheetNorm": ["imported.zarr/sheet", "my_settings.inference.json"],
        "others": ["lannunet.json", "nuclei.zarr/objects", "meshes"],
    }
    assert [name for name in made[scene] if not (folder / name).exists()] == []
    assert not (folder / "scan.tif.zarr").exists()  # --dry-run


def test_every_command_for_this_file_is_run_by_it():
    ran = {(page, line) for scene, names in SCENES.items() for page in names for line in scene_commands(scene)}
    for one in commands():
        if one.executed_by == HERE:
            assert (Path(one.page).name, one.text) in ran


# links


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))


def anchors(text):
    """Anchors of headings as hosts of Markdown make them."""
    found = Counter()
    names = set()
    for heading in re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S), re.M):
        slug = re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()).replace(" ", "-")
        names.add(slug if not found[slug] else f"{slug}-{found[slug]}")
        found[slug] += 1
    return names


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_their_anchors_exist(page):
    links = re.findall(r"\]\(([^)\s]+)\)", without_code(page.read_text()))
    for link in links:
        if re.match(r"https?:", link):
            continue
        name, _, anchor = unquote(link).partition("#")
        target = page.parent / name if name else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target.read_text()), link


def test_every_page_is_in_the_navigation():
    listed = re.findall(
        r"^(?:.*<)?(\w+)>?$", "\n".join(re.findall(r"^```\{toctree\}(.*?)^```", index(), re.M | re.S)), re.M
    )
    assert {path.stem for path in DOCS.glob("*.md")} - {"index"} <= set(listed)


def index():
    return (DOCS / "index.md").read_text()


# generated parts


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_generated_tables_are_up_to_date(page):
    """Where not: python -m tests.documentation.pages."""
    assert with_tables(page.read_text()) == page.read_text()


def test_every_table_stands_on_one_page():
    found = Counter(name for page in pages() for name in marked(page.read_text()))
    assert found == Counter(TABLES.keys())


def test_keys_that_are_told_in_words_are_those_that_importers_read_together():
    tables = (task_keys.TRAINING_KEYS, task_keys.DATASET_KEYS, task_keys.INFERENCE_KEYS)
    tables += (task_keys.UNET3D_KEYS, task_keys.RESENC_KEYS)
    together = {name for table in tables for name, key in table.items() if key.new is None and not key.why}
    assert set(TASK_KEYS_READ_TOGETHER) == together
    assert set(TASK_TARGET_KEYS) == set(task_keys.TARGET_KEYS)
    assert set(TASK_VOLUME_KEYS) == set(task_keys.VOLUME_KEYS)
    together = {place for place, key in landmark_keys.KEYS.items() if key.new is None and not key.why}
    assert set(LANDMARK_KEYS_READ_TOGETHER) == together
    table = (DOCS / "from_cellmap.md").read_text()
    assert [name for name in CELLMAP_DEFAULTS if f"`{name}`" not in table] == []


KNOWN = {key.rpartition("#")[0] or key for name in config_names() for key in config_keys(name)}
KNOWN |= {key.rpartition("#")[2] for name in config_names() for key in config_keys(name)}


@pytest.mark.parametrize("page", ["from_sheetnorm", "from_nnunet", "from_cellmap", "from_lannunet"])
def test_keys_on_the_right_of_migration_tables_exist(page):
    """The first code of a cell that is the name of a key and nothing else is one of a config or of a target."""
    text = (DOCS / f"{page}.md").read_text()
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("| `")]
    cells = [code for row in rows for code in re.findall(r"^ `([a-z_]+)`(?:, `[a-z_]+`)* $", row[1])]
    options = {"label_smoothing", "batch_dice", "dice_bce", "masked_cosine", "bce", "ce", "mse", "image", "channels"}
    options |= {"activation", "weight", "ref_label", "loss", "ignore_label"}
    assert len(cells) >= 10
    assert sorted(set(cells) - KNOWN - options) == []


def test_the_table_of_verbs_names_all_of_them():
    table = (DOCS / "command_line.md").read_text()
    assert all(f"| `{name}` | {summary(name)} |" in table for name in VERBS)


def test_goals_that_were_missed_stay_visible():
    page = (DOCS / "performance.md").read_text()
    assert any(not one.is_reached for one in goals())
    rows = re.findall(r"^\| (.*?) \| (.*?) \| ([\d.]+) \| (≤|≥)\s([\d.]+) \| (yes|\*\*no\*\*) \|", page, re.M)
    assert len(rows) == len(goals())
    search = result("patch_search")["labels"]["sparse"]
    (sparse,) = [row for row in rows if row[1] == "sparse"]
    assert sparse[2:] == (f"{search['ratio_to_decode']:.3f}", "≤", "1.5", "**no**")
    (small,) = [row for row in rows if row[1].startswith("128^3, 0.1 s")]
    assert small[5] == "**no**"
    slow = [row for row in result("patch_loading")["loading"] if row["case"] == "load" and row["workers"] == 0]
    missed = [row for row in rows if row[3] == "≥" and row[4] == "0.9" and row[5] == "**no**"]
    assert len(missed) == sum(row["ratio"] < 0.9 for row in slow)


def test_results_name_their_machine_and_command():
    page = (DOCS / "performance.md").read_text()
    tables = [name for name in marked(page) if name != "goals"]
    said = re.findall(r"^Machine: (.+?)\. Again: `python (benchmarks/\w+\.py)( --\w+ \w+)?`\.$", page, re.M)
    assert len(said) == len(tables)
    for _, program, option in said:
        assert (ROOT / program).is_file()
        assert (
            not option
            or option.split()[0][2:] in re.search(r"def main\((.*?)\)", (ROOT / program).read_text(), re.S)[1]
        )


# reference and site


def test_every_key_of_every_config_is_in_the_reference():
    assert REFERENCE_BUNDLE == BUNDLE
    names = config_names()
    assert set(names) == {path.stem for path in (BUNDLE / "configs").glob("*.json")} - {"metadata"}
    for name in names:
        headings = re.findall(r"^## `(.+)`$", config_page(name), re.M)
        assert headings == list(config_keys(name))
    page = config_page("train")
    assert re.search(r"^## `max_epochs`\n\n```json\n10\n```$", page, re.M)
    assert "{py:obj}`scripts.networks.MultiTaskUNet <scripts.networks.MultiTaskUNet>`" in page


def test_components_are_found_wherever_they_stand():
    value = {"_target_": "scripts.a.B", "c": [{"_target_": "Compose", "d": {"_target_": "torch.optim.AdamW"}}]}
    assert list(components(value)) == ["scripts.a.B", "monai.transforms.compose.Compose", "torch.optim.AdamW"]

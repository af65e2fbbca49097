"""What docs/installation.md promises: extras, commands, and what a copy without the checkout holds."""

import fnmatch
import json
import re
import subprocess
import tomllib

import pytest
from tests.bundle.running import BUNDLE

from scripts.__main__ import VERBS

ROOT = BUNDLE.parent
PAGE = (BUNDLE / "docs" / "installation.md").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["project"]["optional-dependencies"]
CODE = re.findall(r"`([^`\n]+)`", PAGE) + re.findall(r"^```bash\n(.*?)^```", PAGE, re.M | re.S)


def column(title: str) -> list[str]:
    """First cells of the table whose first column has a title."""
    (table,) = re.findall(rf"^\| {re.escape(title)} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.M)
    return [line.split("|")[1].strip() for line in table.splitlines()]


def test_every_extra_is_listed_and_no_other():
    assert sorted(cell.strip("`") for cell in column("Extra")) == sorted(EXTRAS)


def test_extras_in_commands_exist():
    named = {extra for code in CODE for group in re.findall(r"\.\[([\w,]+)\]", code) for extra in group.split(",")}
    assert named
    assert named <= set(EXTRAS)


def test_dev_holds_all_extras_but_those_it_names():
    (own,) = [line for line in EXTRAS["dev"] if line.startswith("polytome[")]
    assert set(re.findall(r"\w+", own)) - {"polytome"} == set(EXTRAS) - {"dev", "tiff", "mutation", "pins"}
    (row,) = re.findall(r"^\| `dev` \| .* all of the above but (.*) \|$", PAGE, re.M)
    assert re.findall(r"`(\w+)`", row) == ["tiff", "mutation", "pins"]


def test_verbs_and_files_that_the_page_names_exist():
    (verbs, others) = column("Needs `configs`")
    named = re.findall(r"`(?:polytome )?([\w-]+)`", verbs) + re.findall(r"polytome ([\w-]+)", others)
    assert named == ["demo", "check", "export", "bundle", "sweep", "folds"]
    assert [name for name in named if name not in VERBS] == []
    assert (ROOT / "benchmarks" / "first_prediction.py").is_file()
    assert (ROOT / "constraints.txt").is_file()


def test_the_page_lists_every_lock_and_no_other():
    listed = [name for cell in column("Lock") for name in re.findall(r"`([\w.]+)`", cell)]
    assert sorted(listed) == sorted(path.name for path in (ROOT / ".ci" / "requirements").glob("*.lock"))
    named = {path for code in CODE for path in re.findall(r"\.ci/requirements/[\w.]+", code)}
    assert {".ci/requirements/base.lock", ".ci/requirements/torch_cpu.sha256"} <= named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_python_versions_are_those_of_the_project():
    assert PROJECT["project"]["requires-python"] == ">=3.11"
    assert PAGE.split("\n\n")[1].startswith("Python 3.11, 3.12 or 3.13.")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make ([\w-]+)", PAGE))))
def test_make_has_the_targets(target):
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_copy_of_the_package_holds_all_its_files():
    """What is no Python must be named in pyproject.toml, or the built package would lack it."""
    files = [path for path in (BUNDLE / "scripts").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    patterns = PROJECT["tool"]["setuptools"]["package-data"]
    assert files
    for path in files:
        package = ".".join(path.relative_to(BUNDLE).parent.parts)
        kept = path.suffix == ".py" or any(fnmatch.fnmatch(path.name, one) for one in patterns.get(package, ()))
        assert kept, f"{path.relative_to(BUNDLE)} is no package data"


def test_every_folder_of_the_package_is_a_package():
    """Folders without `__init__.py` would be left out of a built package."""
    folders = {path.parent for path in (BUNDLE / "scripts").rglob("*.py")}
    assert [str(folder) for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_page_tells_the_seconds_that_were_measured():
    measured = json.loads((ROOT / "benchmarks" / "results" / "first_prediction.json").read_text())
    seconds = {row["step"]: row["seconds"] for row in measured["rows"]}
    installed = seconds["install of torch"] + seconds["install of the rest"]
    expected = [seconds["all"], seconds["download of packages"], installed, seconds["phantom"], seconds["prediction"]]
    assert [int(number) for number in re.findall(r"(\d+) s\b", PAGE)] == [round(number) for number in expected]
    assert f"{measured['size']}^3" in PAGE

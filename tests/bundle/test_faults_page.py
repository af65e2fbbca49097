"""The page of faults: every test that it names exists, and every row names one."""

import ast
import re
from functools import cache

import pytest
from tests.bundle.running import BUNDLE

ROOT = BUNDLE.parent
ROWS = [
    line.strip().strip("|").split(" | ")
    for line in (BUNDLE / "docs" / "faults.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| Fault")
]


@cache
def functions(file):
    """Names of the functions of a file."""
    return {node.name for node in ast.walk(ast.parse((ROOT / file).read_text())) if isinstance(node, ast.FunctionDef)}


def named(cell):
    """Pairs of file and test, the latter empty where the whole file is meant."""
    found, file = [], ""
    for code in re.findall(r"`([^`]+)`", cell):
        path, _, test = code.rpartition("::") if "::" in code else ("", "", code)
        if code.startswith("tests/"):
            file, test = (path.split("::")[0], test) if path else (code, "")
        if test.startswith("test_") or (file and not test):
            found.append((file, test.split("[")[0]))
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0][:60])
def test_the_tests_of_a_fault_exist(row):
    tests = named(row[-1])
    assert len(row) == 3
    assert tests
    for file, test in tests:
        assert (ROOT / file).is_file(), file
        assert not test or test in functions(file), (file, test)


def test_there_are_faults_of_every_kind():
    assert len(ROWS) > 50

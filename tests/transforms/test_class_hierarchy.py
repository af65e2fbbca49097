"""The table of classes, read from files written by hand."""

import pytest

from scripts.transforms import ClassHierarchy

TABLE = """ecs,1,""
pm,2,""
ne_mem,20,""
ne_lum,21,""
nucpl,28,""
ne,52,"20,21"
nuc,37,"52,28"
cell,60,"2,20,21,28,99"
"""


def read(tmp_path, content):
    path = tmp_path / "classes.csv"
    path.write_text(content)
    return ClassHierarchy.read(path)


def test_classes_are_sets_of_atomic_ids(tmp_path):
    classes = read(tmp_path, TABLE)
    assert classes.atoms == {
        "ecs": {1}, "pm": {2}, "ne_mem": {20}, "ne_lum": {21}, "nucpl": {28},
        "ne": {20, 21}, "nuc": {20, 21, 28}, "cell": {2, 20, 21, 28, 99},
    }  # fmt: skip
    assert classes.of(["nuc", "ecs"]) == [{20, 21, 28}, {1}]


def test_relations(tmp_path):
    classes = read(tmp_path, TABLE)
    assert classes.is_within("ne", "nuc")
    assert classes.is_within("nuc", "cell")
    assert not classes.is_within("nuc", "ne")
    assert classes.exclude_each_other("ecs", "cell")
    assert not classes.exclude_each_other("ne", "nuc")


@pytest.mark.parametrize(
    "content",
    ['name,id,atomic ids\na,1,\nb,2,"1"\n', "a,1\n\nb, 2, 1\n", 'a,1,""\nb,2,"1,"', 'a,1,"1"\nb,2,1'],
)
def test_spellings(tmp_path, content):
    assert read(tmp_path, content).atoms == {"a": {1}, "b": {1}}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,1,\nb,two,\n", r"classes\.csv, line 2: expected name, id, atomic ids, such as .*; got b,two,"),
        ("a,1,\na,2,\n", "line 2: name and id must be new; got a, 2 a second time"),
        ("a,1,\nb,1,\n", "line 2: name and id must be new; got b, 1 a second time"),
        ("a,1,2\nb,2,1\n", "class 1 is a part of itself, through 1, 2"),
        ("name,id,parts\n", "there are no classes"),
        ("a\n", "line 1: expected name, id, atomic ids"),
    ],
)
def test_faults_of_files(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, content)


def test_unknown_classes_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"the class hierarchy has no 'nucc' \(did you mean 'nuc'\?\); it has ecs, pm"):
        read(tmp_path, TABLE).of(["nuc", "nucc"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ClassHierarchy.read(tmp_path / "nowhere.csv")

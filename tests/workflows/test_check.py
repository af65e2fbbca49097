"""The verb `check`: every place of a config that runs code is shown, and nothing of it is run."""

import json
import sys
from pathlib import Path

import pytest
import yaml
from tests.bundle.running import BUNDLE, command

from scripts.workflows.check import check

CONFIGS = BUNDLE / "configs"
TRAIN = str(CONFIGS / "train.json")
SHIPPED = sorted(path.name for path in CONFIGS.glob("*.json") if path.name not in ("metadata.json",))


def write(path: Path, **content) -> str:
    path.write_text(json.dumps(content) if path.suffix == ".json" else yaml.safe_dump(content))
    return str(path)


def foreign(capsys, *configs) -> list[str]:
    """Lines of the places that are called foreign."""
    with pytest.raises(ValueError, match=r"\d+ foreign places?: this config runs code that is neither"):
        check(*configs)
    return [line.strip() for line in capsys.readouterr().out.partition("\nforeign:\n")[2].splitlines()]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_own_configs_hold_nothing_foreign(name):
    said = check(str(CONFIGS / name))
    assert said.endswith("nothing foreign")


def test_own_places_are_counted_and_listed_on_demand():
    texts = [text for _, text in leaves(json.loads(Path(TRAIN).read_text())) if text.startswith("$")]
    said = check(TRAIN)
    assert "$len(@patch_size)" not in said
    assert 'optimizer#_target_: "torch.optim.AdamW"' in said.partition("from installed packages:\n")[2]
    everything = check(TRAIN, all=True)
    assert len(texts) > 50
    for text in texts:
        assert json.dumps(text) in everything


def leaves(value, key=""):
    if isinstance(value, dict | list):
        for name, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(inner, f"{key}#{name}")
    elif isinstance(value, str):
        yield key, value


def test_settings_of_a_person_without_code_are_nothing_foreign(tmp_path):
    mine = write(
        tmp_path / "mine.json",
        targets={"cells": {"channels": 1}},
        volumes=[{"image": "a.zarr", "cells": "b.zarr"}],
        network_def={"_target_": "UNet", "spatial_dims": 3},
        **{"optimizer#lr": 0.1, "+augment": [{"_target_": "RandFlipd", "keys": "image"}]},
    )
    assert check(TRAIN, mine).endswith("nothing foreign")


ANYWHERE = "os.system"


@pytest.mark.parametrize(
    ("content", "key", "text"),
    [
        ({"network_def": {"_target_": "evil.Network"}}, "network_def#_target_", "evil.Network"),
        ({"x": {"_target_": ANYWHERE, "command": "rm"}}, "x#_target_", ANYWHERE),
        ({"x": {"_target_": "eval"}}, "x#_target_", "eval"),
        ({"x": {"_target_": "monai.transforms.utils.np.load"}}, "x#_target_", "monai.transforms.utils.np.load"),
        ({"x": {"_target_": "monai.utils.module.instantiate"}}, "x#_target_", "monai.utils.module.instantiate"),
        ({"x": {"_target_": "instantiate"}}, "x#_target_", "instantiate"),
        ({"x": {"_target_": "monai.bundle.run"}}, "x#_target_", "monai.bundle.run"),
        ({"x": {"_target_": "torch.hub.load"}}, "x#_target_", "torch.hub.load"),
        ({"x": {"_target_": "torch.nn.functional.os.system"}}, "x#_target_", "torch.nn.functional.os.system"),
        ({"x": {"_target_": "torch.optim.NoSuch"}}, "x#_target_", "torch.optim.NoSuch"),
        (
            {"x": {"_target_": "scripts.workflows.import_nnunet.import_nnunet"}},
            "x#_target_",
            "scripts.workflows.import_nnunet.import_nnunet",
        ),
        ({"x": {"_target_": "scripts.workflows.nothing"}}, "x#_target_", "scripts.workflows.nothing"),
        ({"a": [1, {"b": {"_target_": "evil.F"}}]}, "a#1#b#_target_", "evil.F"),
        ({"train#trainer#_target_": "evil.F"}, "train#trainer#_target_", "evil.F"),
        ({"run": ["$__import__('os').system('rm')"]}, "run#0", "$__import__('os').system('rm')"),
        ({"+imports": ["$import shutil"]}, "imports#2", "$import shutil"),
        ({"note": "$from evil import x"}, "note", "$from evil import x"),
        ({"x": {"_target_": "UNet", "_requires_": ["$print(1)"]}}, "x#_requires_#0", "$print(1)"),
        ({"x": {"_target_": "UNet", "_disabled_": "$evil()"}}, "x#_disabled_", "$evil()"),
        ({"x": {"_target_": "UNet", "_mode_": "debug"}}, "x#_mode_", "debug"),
        ({"x": {"_target_": "@y"}}, "x#_target_", "@y"),
        ({"x": {"_target_": "%y"}}, "x#_target_", "%y"),
        ({"x": {"_target_": "$exec"}}, "x#_target_", "$exec"),
        ({"rank": "$len(@patch_size)"}, "rank", "$len(@patch_size)"),  # the bundle's, at another key
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_foreign_code_is_listed_with_key_and_file(tmp_path, capsys, content, key, text):
    other = write(tmp_path / "other.json", **content)
    (line,) = foreign(capsys, TRAIN, other)
    assert line.startswith(f"{key}: {json.dumps(text)}  [{other}]")


def test_a_target_that_is_made_when_it_runs_is_listed_as_it_is(tmp_path, capsys):
    other = write(tmp_path / "other.json", x={"_target_": {"_target_": "evil.F"}})
    assert foreign(capsys, TRAIN, other) == [
        f"x#_target_: \"{{'_target_': 'evil.F'}}\"  [{other}]  (decided when it runs)",
        f'x#_target_#_target_: "evil.F"  [{other}]',
    ]


def test_code_in_other_files_is_followed_by_reading(tmp_path, capsys):
    inner = write(tmp_path / "inner.yaml", net={"_target_": "evil.Net"}, unused="$evil()")
    outer = write(tmp_path / "outer.json", network_def=f"%{inner}#net", x={"_target_": f"%{inner}#net#_target_"})
    looped = write(tmp_path / "loop.json", a=f"%{tmp_path}/loop.json#a", b="%/no/file.json#b")
    assert foreign(capsys, TRAIN, outer) == [
        f'network_def#_target_: "evil.Net"  [{inner}]',
        f'x#_target_: "evil.Net"  [{inner}]',
    ]
    assert foreign(capsys, TRAIN, looped) == [
        f'a: "%{looped}#a"  [{looped}]  (leads back to itself)',
        f'b: "%/no/file.json#b"  [{looped}]  (cannot be read: config /no/file.json does not exist)',
    ]


def test_an_overlay_is_looked_at_alone(tmp_path, capsys):
    other = write(tmp_path / "other.json", **{"+train#handlers": ["$evil()"], "x": [1], "+x": {"y": "$evil()"}})
    assert [line.split(": ")[0] for line in foreign(capsys, other)] == ["+train#handlers#0", "+x#y"]


def test_what_a_later_file_replaces_is_not_listed(tmp_path, capsys):
    first, second = (write(tmp_path / f"{n}.json", x={"_target_": f"evil.F{n}"}) for n in (1, 2))
    assert foreign(capsys, TRAIN, first, second) == [f'x#_target_: "evil.F2"  [{second}]']


def test_nothing_is_imported_or_evaluated(tmp_path, capsys, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "trap.py").write_text("raise SystemExit('the trap was imported')")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    mark = tmp_path / "mark"
    other = write(
        tmp_path / "other.json",
        imports=["$import trap"],
        x={"_target_": "trap.F"},
        y=f"$open({str(mark)!r}, 'w')",
        z={"_target_": "pathlib.Path.touch", "self": str(mark)},
    )
    assert len(foreign(capsys, TRAIN, other)) == 4
    assert "trap" not in sys.modules
    assert not mark.exists()


def test_files_that_imports_would_find_first_are_listed(tmp_path, capsys):
    """MONAI puts the folder of a bundle in front of installed packages; its metadata.json is read, too."""
    for name in ("configs", "scripts", "data"):
        (tmp_path / name).mkdir()
    (tmp_path / "scripts" / "__init__.py").write_text("")
    (tmp_path / "yaml.py").write_text("")
    config = write(tmp_path / "configs" / "train.json", x=1)
    metadata = write(tmp_path / "configs" / "metadata.json", note="$import evil")
    assert foreign(capsys, config) == [
        f'_meta_#note: "$import evil"  [{metadata}]',
        f'scripts: "Python code"  [{tmp_path / "scripts"}]  (imports look here first: beside {config})',
        f'yaml.py: "Python code"  [{tmp_path / "yaml.py"}]  (imports look here first: beside {config})',
    ]
    mine = write(tmp_path / "mine.json", bundle_root=str(tmp_path))
    assert [line.split(":")[0] for line in foreign(capsys, TRAIN, mine)] == ["scripts", "yaml.py"]


def test_nothing_hides_behind_control_characters_or_length(tmp_path, capsys):
    text = "$1 #" + "x" * 5000 + "\x1b[2K\r\u202eevil()"
    other = write(tmp_path / "other.json", **{"a\x1b[1A": text})
    (line,) = foreign(capsys, TRAIN, other)
    assert line.isascii()
    assert line.isprintable()
    assert json.dumps(text) in line


def test_one_word_may_hold_several_files(tmp_path, capsys):
    other = write(tmp_path / "other.json", x="$evil()")
    expected = foreign(capsys, TRAIN, other)
    assert foreign(capsys, [TRAIN, other]) == foreign(capsys, f"{TRAIN},{other}") == expected


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.json", "{", "a.json cannot be read: Expecting property name"),
        ("a.yaml", "x: !!python/object/apply:os.system [ls]", "a.yaml cannot be read: could not determine a constr"),
        ("a.json", "[1]", "a.json holds a list; expected a table of keys and values"),
        ("a.json", '{"a":' * 50_000, "a.json is nested too deeply, or within itself"),
        ("a.yaml", "a: &a [*a]", "a.yaml is nested too deeply, or within itself"),
        (
            "a.yaml",
            "a0: &a0 [1]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)),
            "a.yaml has more than 1000000 entries",
        ),
        ("a.txt", "", "unknown file input"),
    ],
    ids=["broken", "yaml_object", "list", "deep", "cycle", "laughs", "suffix"],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        check(str(tmp_path / name))


def test_no_file_and_no_such_file():
    with pytest.raises(ValueError, match="expected at least one config file"):
        check()
    with pytest.raises(FileNotFoundError, match=r"config /no/a\.json does not exist"):
        check("/no/a.json")


def test_the_command_line(tmp_path):
    assert "nothing foreign" in command("scripts", "check", "configs/train.json", "configs/evaluate.json")
    other = write(tmp_path / "other.json", x="$evil()")
    with pytest.raises(pytest.fail.Exception, match=r"ended with 1:(.|\n)*\"\$evil\(\)\"(.|\n)*error: 1 foreign place"):
        command("scripts", "check", f"['configs/train.json','{other}']")

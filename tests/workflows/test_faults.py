"""How faults are said, and what the command line shows of them."""

import itertools
import subprocess
import sys
from pathlib import Path

import pytest
from monai.bundle import ConfigParser
from tests.bundle.prepared_python import prepared_python

from scripts.volumes import CorruptChunkError
from scripts.workflows import RunError
from scripts.workflows.faults import find_cause, raise_faults, root_message, shortened

BUNDLE = Path(__file__).parents[2] / "bundle"

PROGRAM = """
from scripts.workflows.faults import raise_faults, show_run_errors_plainly
{body}
"""


def chained(*errors):
    """The last error, each raised from the one before it."""
    for earlier, later in itertools.pairwise(errors):
        later.__cause__ = earlier
    return errors[-1]


def run(body, python=None):
    words = [python or prepared_python(), "-c", PROGRAM.format(body=body)]
    return subprocess.run(words, cwd=BUNDLE, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture(autouse=True)
def same_hook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_no_faults_no_error():
    raise_faults([], "the training")


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        (["a is bad"], "the training cannot start, 1 fault:\n  1. a is bad"),
        (["a", "b\nand more"], "the training cannot start, 2 faults:\n  1. a\n  2. b\nand more"),
    ],
)
def test_faults_are_numbered(faults, said):
    with pytest.raises(RunError) as caught:
        raise_faults(faults, "the training")
    assert str(caught.value) == said


def test_the_cause_of_a_kind_is_found():
    inner, outer = RunError("x"), RuntimeError("outer")
    assert find_cause(chained(inner, KeyError("k"), outer), RunError) is inner
    assert find_cause(inner, ValueError) is inner
    assert find_cause(outer, TypeError) is None
    assert find_cause(None, RunError) is None


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("plain"), "plain"),
        (chained(ValueError("first"), RuntimeError("second"), RuntimeError("third")), "first"),
        (KeyError("no 'x' here"), "no 'x' here"),
        (KeyError(), "KeyError"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (
            chained(TypeError("got 'x'"), RuntimeError("Failed to instantiate component 'torch.optim.AdamW' with")),
            "torch.optim.AdamW: got 'x'",
        ),
        (
            chained(TypeError("got 'x'"), RuntimeError("Failed to instantiate component 'scripts.losses.X' with")),
            "got 'x'",
        ),
    ],
)
def test_the_first_error_speaks(error, said):
    assert root_message(error) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("one\n  two\nthree", "one\n  two\nthree"),
        ("(0): Conv\n  (1): Act\n\n  (2): Norm\n)", "(0): Conv (1): Act (2): Norm )"),
        ("x" * 60 + "\n" * 9 + "y" * 60, "x" * 53 + " [...] " + "y" * 20),
    ],
    ids=["few lines", "a network's", "many and long"],
)
def test_texts_of_many_lines_become_a_paragraph(text, said):
    assert shortened(text, 80) == said


def test_a_chunk_that_cannot_be_read_is_named_and_not_what_its_codec_said():
    error = chained(ValueError("unknown frame"), CorruptChunkError("scan.zarr: chunk 'c/0/0/0' ..."), RuntimeError("x"))
    assert root_message(error) == "scan.zarr: chunk 'c/0/0/0' ..."


@pytest.mark.parametrize("kind", ["RemoteError", "StalledError", "MetadataError", "CorruptChunkError", "OSError"])
def test_a_store_that_cannot_be_read_is_told_without_traceback(kind):
    body = "from scripts.volumes import *\nshow_run_errors_plainly()\n"
    body += f"try:\n    raise {kind}('https://x/scan.zarr: no answer')\n"
    body += "except Exception as error:\n    raise RuntimeError('y') from error"
    done = run(body)
    assert done.returncode == 1
    assert done.stderr == "error: https://x/scan.zarr: no answer\n"


def test_a_component_of_a_config_is_named_unless_it_is_ours():
    config = {
        "other": {"_target_": "torch.nn.Linear", "in_features": "x", "out_features": 1},
        "ours": {"_target_": "scripts.engines.find_checkpoint", "load_model": "/no/x.pt", "ckpt_dir": "."},
    }
    parser = ConfigParser(config)
    said = {}
    for key in config:
        with pytest.raises(RuntimeError) as caught:
            parser.get_parsed_content(key)
        said[key] = root_message(caught.value)
    assert said["other"].startswith("other: torch.nn.Linear: ")
    assert said["ours"] == "ours: checkpoint /no/x.pt does not exist; give a path, 'latest', 'best' or null"


def test_the_command_line_shows_a_run_error_alone():
    done = run('raise_faults(["no image", "no label"], "the training")', sys.executable)
    assert done.returncode == 1
    assert done.stderr == "error: the training cannot start, 2 faults:\n  1. no image\n  2. no label\n"
    assert done.stdout == ""


def test_a_run_error_behind_other_errors_is_shown_alone_too():
    done = run(
        "try:\n    raise_faults(['no image'], 'the run')\n"
        "except ValueError as error:\n    raise RuntimeError('wrapped') from error"
    )
    assert done.returncode == 1
    assert done.stderr == "error: the run cannot start, 1 fault:\n  1. no image\n"


@pytest.mark.parametrize("times", [1, 3])
def test_other_errors_keep_their_traceback(times):
    done = run("show_run_errors_plainly()\n" * times + "raise KeyError('lost')")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):")
    assert done.stderr.count("KeyError: 'lost'") == 1


def test_a_hook_that_was_there_is_asked_for_other_errors():
    done = run(
        "import sys\nsys.excepthook = lambda kind, error, trace: print('mine', kind.__name__)\n"
        "show_run_errors_plainly()\nraise KeyError('lost')"
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, "mine KeyError\n", "")

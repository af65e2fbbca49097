"""The command line itself: verbs, their help, words that do not fit, statuses, completion."""

from __future__ import annotations

import inspect
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

import pytest
from tests.bundle.running import BUNDLE, command

from scripts import __main__, command_line
from scripts.command_line import VERBS, UsageError, check_words, in_plain_words, known_verb, overview, summary


def example(
    path: str,
    other: str = "x",
    *,
    spacing: Sequence[float] | None = None,
    sizes: Sequence[int] | int = 3,
    overwrite: bool = False,
) -> None:
    """An example."""


def run_main(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr(sys, "argv", ["scripts", *words])
    __main__.main()


@pytest.fixture
def example_verb(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """A verb `plan` that notes what it is called with."""
    calls: list[dict[str, object]] = []

    def plan(path: str, *, size: int = 1, fault: str = "") -> None:
        """Plan."""
        calls.append({"path": path, "size": size})
        if fault:
            raise {"value": ValueError, "interrupt": KeyboardInterrupt, "system": OSError}[fault](f"no {path}")
        logging.getLogger("scripts.workflows.plan").info("planned")

    monkeypatch.setattr(command_line.Verbs, "__getitem__", lambda self, name: plan)
    return calls


def test_every_verb_is_a_function_with_help_whose_first_sentence_is_listed():
    listed = " ".join(overview().split())
    for name in VERBS:
        verb = VERBS[name]
        text = inspect.getdoc(verb) or ""
        assert summary(name) == " ".join(text.partition("\n\n")[0].split())
        assert f"{name} {summary(name)}" in listed
        for parameter in inspect.signature(verb).parameters:
            assert f"\n    {parameter}: " in text, (name, parameter)


def test_verbs_that_write_can_be_run_dry():
    # the last two write where --json and --export name a file, only there
    reads_only = {"check", "view", "plan", "dashboard"}
    for name in set(VERBS) - reads_only:
        assert "dry_run" in inspect.signature(VERBS[name]).parameters, name


def test_listing_the_verbs_imports_none_of_them():
    code = "import sys; sys.argv[1:] = []; from scripts.__main__ import main; main(); assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], cwd=BUNDLE, capture_output=True, text=True, check=True)
    assert "find-landmarks" in done.stdout


def test_an_unknown_verb_is_an_error_with_the_nearest_one():
    with pytest.raises(UsageError, match=r"there is no verb pck; did you mean pack\?"):
        known_verb("pck")
    with pytest.raises(UsageError, match=r"there is no verb zzz$"):
        known_verb("zzz")
    assert known_verb("pack") == "pack"


@pytest.mark.parametrize(
    "words",
    [
        ["a"],
        ["a", "b", "--sizes", "4", "--overwrite"],
        ["a", "--sizes=4,5"],
        ["--path", "a", "b"],
        ["a", "--nooverwrite"],
        ["a", "--spacing", "-1.5"],
        ["a", "--help"],
        ["-p", "a"],
        ["a", "--", "--trace"],
    ],
)
def test_words_that_fit_are_taken(words):
    check_words(example, words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a", "--overwite"], "there is no option --overwite; did you mean --overwrite?"),
        (["a", "--zz", "3"], "there is no option --zz; there are --path, --other, --spacing, --sizes, --overwrite"),
        (["a", "b", "c"], "there is no room for 'c'"),
        (["--path", "a", "b", "c"], "there is no room for 'c'"),
        (["a", "-s", "3"], "there is no option -s"),  # two begin with s
    ],
)
def test_words_that_do_not_fit_are_refused(words, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        check_words(example, words)


def test_a_verb_that_takes_any_option_takes_any_option():
    def free(path: str, **settings: object) -> None: ...

    check_words(free, ["a", "--whatever", "3"])


def test_types_are_shown_in_plain_words():
    types = {
        name: getattr(one.annotation, "__qualname__", "")
        for name, one in inspect.signature(in_plain_words(example)).parameters.items()
    }
    assert types == {
        "path": "text",
        "other": "text",
        "spacing": "list of numbers",
        "sizes": "list of whole numbers or whole number",
        "overwrite": "yes or no",
    }


def test_a_wrong_option_runs_nothing_and_ends_with_2(monkeypatch, capsys, example_verb):
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, "plan", "here", "--sise", "5")
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said == ("error: there is no option --sise; did you mean --size?\npython -m scripts plan --help says more\n")
    assert example_verb == []


def test_a_verb_gets_its_words_and_its_log_is_shown(monkeypatch, caplog, example_verb):
    run_main(monkeypatch, "plan", "here", "--size", "5")
    assert example_verb == [{"path": "here", "size": 5}]
    assert "planned" in caplog.messages


@pytest.mark.parametrize(
    ("fault", "code"), [("value", "error: no here"), ("system", "error: no here"), ("interrupt", 130)]
)
def test_statuses_say_how_it_ended(monkeypatch, capsys, example_verb, fault, code):
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, "plan", "here", "--fault", fault)
    assert ended.value.code == code
    assert ("interrupted" in capsys.readouterr().err) == (fault == "interrupt")


def test_a_verb_that_is_terminated_says_so(monkeypatch, capsys):
    def plan() -> None:
        """Plan."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(command_line.Verbs, "__getitem__", lambda self, name: plan)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, "plan")
    assert ended.value.code == 143
    assert capsys.readouterr().err == "terminated\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_version(monkeypatch, capsys):
    run_main(monkeypatch, "--version")
    assert capsys.readouterr().out.startswith("polytome 0.")


def test_help_names_units_types_and_defaults():
    said = command("scripts", "phantom", "--help")
    assert "size of the cube" in said or "edge of the cube, voxels." in said
    assert "Default: 192" in said
    assert "Type: whole number" in said


@pytest.mark.parametrize("word", ["--help", "-h"])
def test_a_verb_that_takes_any_option_shows_its_help(monkeypatch, capsys, word):
    def plan(path: str, **settings: object) -> None:
        """Plan a network."""
        pytest.fail("it runs")

    monkeypatch.setattr(command_line.Verbs, "__getitem__", lambda self, name: plan)
    with pytest.raises(SystemExit) as ended:
        run_main(monkeypatch, "plan", word)
    assert ended.value.code == 0
    assert "Plan a network." in "".join(capsys.readouterr())


def test_bash_completes_verbs_and_options(tmp_path):
    script = tmp_path / "completion.bash"
    script.write_text(command("scripts", "--", "--completion"))
    ask = (
        f'source {script}; complete_words() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
        "_complete-polytome; echo ${COMPREPLY[@]}; }; "
        "complete_words polytome fi; complete_words polytome phantom --si"
    )
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["find-landmarks", "--size="] or done.stdout.split() == ["find-landmarks", "--size"]

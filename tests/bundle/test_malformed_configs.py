"""Configs with one thing wrong: each passes the check and runs, or ends with one screen that names the key.

`make test` tries a sample, `make stress` 3,000 of them, 100 by the command line; its output tells how they ended.
"""

import json
import re
import subprocess
from collections import Counter

import pytest
from tests.bundle.config_mutations import KINDS, SPARED, mutate
from tests.bundle.config_runs import COLUMNS, LINES, run_config
from tests.bundle.config_scenes import SETS, make_data
from tests.bundle.prepared_python import prepared_python
from tests.bundle.running import BUNDLE

PER_SET = 167
"""Times 18 sets: 3,006."""

BY_COMMAND_LINE = 100

CACHES = ("patches.json", "classes.json", "intensities.json")
"""What was found in the volumes stays for the next try: a search may have taken hours. They are written before the last
faults can be known: those of the patches that were found."""

CHECK_ONLY = ("inference_distributed",)
"""Its run starts processes; what it computes is what inference.json computes."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    make_data(folder)
    return folder


def judged(mutation, outcome):
    """What is wrong with the end of a run; empty where nothing is."""
    if outcome.stage in ("ran", "passed", "stopped"):  # a huge number of something may take its time
        return ""
    if outcome.message is None:
        return f"a traceback: {outcome.error!r}"
    if outcome.lines() > LINES:
        return f"{outcome.lines()} lines of {COLUMNS} characters"
    if outcome.stage == "failed" and outcome.left:
        return f"failed while it ran: {outcome.message}"
    words = set(re.findall(r"\w+", outcome.message))
    if not any(set(re.findall(r"\w+", name)) <= words for name in mutation.names()):
        return f"names none of {', '.join(sorted(mutation.names()))}: {outcome.message}"
    left = [file for file in outcome.left if not file.startswith("output/") or file[7:] not in CACHES]
    return f"left {', '.join(left)}" if left else ""


def tried(chosen, seed, data, root):
    """A mutation of a set, and what became of it."""
    mutation = mutate(chosen.merged(data, root), f"{chosen.name} {seed}")
    return mutation, run_config(mutation.config, root, only_check=chosen.name in CHECK_ONLY)


@pytest.mark.stress
@pytest.mark.parametrize("chosen", SETS, ids=lambda one: one.name)
def test_every_set_runs_as_it_is(chosen, data, tmp_path):
    outcome = run_config(chosen.merged(data, tmp_path), tmp_path, only_check=chosen.name in CHECK_ONLY)
    assert outcome.stage in ("ran", "passed"), outcome.message or repr(outcome.error)


@pytest.mark.parametrize("chosen", SETS, ids=lambda one: one.name)
def test_a_malformed_config(chosen, data, tmp_path):
    mutation, outcome = tried(chosen, 1_000_000, data, tmp_path / "run")
    assert judged(mutation, outcome) == "", f"{mutation.kind}: {mutation.key}: {mutation.said}"


def command_line(chosen, seed, data, root):
    """A mutation of a set, and status and errors of `python -m monai.bundle run`."""
    mutation = mutate(chosen.merged(data, root), f"{chosen.name} {seed}")
    root.mkdir(parents=True)
    (root / "config.json").write_text(json.dumps(mutation.config))
    words = [prepared_python(), "-m", "monai.bundle", "run", "--config_file", str(root / "config.json")]
    words += ["--meta_file", str(BUNDLE / "configs" / "metadata.json")]
    return mutation, subprocess.run(words, cwd=BUNDLE, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize(("name", "seed"), [("train", 5), ("process", 2)])
def test_a_malformed_config_by_the_command_line(name, seed, data, tmp_path):
    (chosen,) = [one for one in SETS if one.name == name]
    mutation, done = command_line(chosen, seed, data, tmp_path / "run")
    assert done.returncode == 1, mutation
    assert "Traceback" not in done.stderr
    assert re.search(rf"\b({'|'.join(map(re.escape, mutation.names()))})\b", done.stderr.partition("error: ")[2])


@pytest.mark.stress
@pytest.mark.parametrize("chosen", SETS, ids=lambda one: one.name)
def test_malformed_configs(chosen, data, tmp_path):
    ended, kinds, wrong = Counter(), Counter(), []
    for seed in range(PER_SET):
        mutation, outcome = tried(chosen, seed, data, tmp_path / str(seed))
        ended[outcome.stage] += 1
        kinds[mutation.kind, outcome.stage] += 1
        if fault := judged(mutation, outcome):
            wrong.append(f"{seed}, {mutation.kind}: {mutation.key}: {mutation.said}\n    {fault}")
    print(f"{chosen.name}: {PER_SET} malformed configs: {dict(ended)}; {len(wrong)} wrongly")
    print("\n".join(f"    {kind}: {stage} {count}" for (kind, stage), count in sorted(kinds.items())))
    assert not wrong, "\n".join(wrong)


@pytest.mark.stress
def test_malformed_configs_by_the_command_line(data, tmp_path):
    ended = Counter()
    for seed in range(BY_COMMAND_LINE):
        chosen = SETS[seed % len(SETS)]
        mutation, done = command_line(chosen, seed, data, tmp_path / str(seed))
        ended[done.returncode] += 1
        shown = f"{chosen.name} {seed}, {mutation.kind}: {mutation.key}: {mutation.said}\n{done.stderr[-3000:]}"
        assert done.returncode in (0, 1), shown
        assert "Traceback" not in done.stderr, shown
        assert (done.returncode == 0) != ("error: " in done.stderr), shown
    print(f"{BY_COMMAND_LINE} malformed configs by the command line: ended with {dict(ended)}")


def test_mutations_are_the_same_for_a_seed_and_leave_the_config_alone(data, tmp_path):
    config = SETS[0].merged(data, tmp_path)
    before = json.dumps(config)
    found = [mutate(config, f"{seed}") for seed in range(60)]
    assert json.dumps(config) == before
    assert [json.dumps(one.config) for one in found] == [json.dumps(mutate(config, f"{n}").config) for n in range(60)]
    assert len({one.kind for one in found}) == len(KINDS)
    assert not {one.path[0] for one in found} & set(SPARED)
    assert all(json.dumps(one.config) != before for one in found)

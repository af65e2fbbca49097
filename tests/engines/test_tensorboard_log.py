"""Curves are MONAI's; a disk that does not take them is said once."""

import subprocess
from pathlib import Path

import pytest
from ignite.engine import Engine
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.bundle.prepared_python import prepared_python

from scripts.engines import TensorBoardLog

BUNDLE = Path(__file__).parents[2] / "bundle"

ON_A_FULL_DISK = """
import logging, resource, sys
from ignite.engine import Engine, Events
from scripts.engines import TensorBoardLog

logging.basicConfig(format="%(message)s")
trainer = Engine(lambda engine, item: float(item))
TensorBoardLog(sys.argv[1], tag_name="loss", output_transform=lambda output: output, epoch_log=False).attach(trainer)
limit = (5000, 5000)
trainer.add_event_handler(Events.ITERATION_COMPLETED(once=3), lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit))
trainer.run(range(5000), max_epochs=1)
print("done", trainer.state.iteration)
"""


def test_curves_are_those_of_monai(tmp_path):
    engine = Engine(lambda engine, item: float(item))
    log = TensorBoardLog(str(tmp_path), tag_name="loss", output_transform=lambda output: output)
    log.attach(engine)
    engine.state.metrics = {"score": 0.5}
    engine.run([1, 3], max_epochs=1)
    log.close()
    curves = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in curves.Scalars("loss")] == [(1, 1.0), (2, 3.0)]
    assert [event.value for event in curves.Scalars("score")] == [0.5]


def test_a_full_disk_does_not_end_a_training(tmp_path):
    """The file may not grow; TensorBoard writes it from a thread, whose error comes up at a later step."""
    done = subprocess.run(
        [prepared_python(), "-c", ON_A_FULL_DISK, str(tmp_path)],
        cwd=BUNDLE, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.stdout == "done 5000\n", done.stderr
    assert done.returncode == 0
    assert done.stderr.count(f"{tmp_path} cannot be written: File too large; the training goes on without it") == 1
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size <= 5000


def test_other_errors_are_raised(tmp_path):
    engine = Engine(lambda engine, item: item)
    TensorBoardLog(str(tmp_path), output_transform=lambda output: 1 / output).attach(engine)
    with pytest.raises(ZeroDivisionError):
        engine.run([0], max_epochs=1)

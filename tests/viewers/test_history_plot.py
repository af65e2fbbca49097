"""The picture of a run's curves, read back."""

import numpy as np
import pytest
from PIL import Image

from scripts.viewers import write_history_plot

HEAD = "epoch,iteration,learning_rate,train_total,val_score\n"


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_each_chart_has_a_place_of_its_own(tmp_path):
    (tmp_path / "history.csv").write_text(HEAD + "1,4,0.1,1.0,0.2\n2,8,0.05,0.5,\n3,12,0.01,0.25,0.6\n")
    path = write_history_plot(tmp_path / "history.csv", tmp_path / "out" / "history.png")
    picture = pixels(path)
    assert [file.name for file in path.parent.iterdir()] == ["history.png"]
    blue = (abs(picture - (0, 114, 178)).sum(axis=2) < 30).any(axis=0)  # the first line's colour, by column
    thirds = np.array_split(blue, 3)
    assert all(third.any() for third in thirds)


def test_later_epochs_change_the_picture(tmp_path):
    history = tmp_path / "history.csv"
    history.write_text(HEAD + "1,4,0.1,1.0,0.2\n")
    first = pixels(write_history_plot(history, tmp_path / "history.png"))
    history.write_text(HEAD + "1,4,0.1,1.0,0.2\n2,8,0.1,0.5,0.6\n")
    second = pixels(write_history_plot(history, tmp_path / "history.png"))
    assert first.shape == second.shape
    assert (first != second).any()


def test_an_empty_history_is_an_error(tmp_path):
    (tmp_path / "history.csv").write_text(HEAD)
    with pytest.raises(ValueError, match="expected at least one epoch"):
        write_history_plot(tmp_path / "history.csv", tmp_path / "history.png")
    assert not (tmp_path / "history.png").exists()

"""The table of the best rows, and the picture."""

import csv

import numpy as np
from matplotlib.image import imread

from scripts.workflows.sweeps.experiment import Head
from scripts.workflows.sweeps.table import collect_best, write_best, write_plot

HEADS = {
    "a": (0, 1, 10, Head({}, config="sparse_head", num_points=16)),
    "b": (2, 3, 0, Head({}, config="seg_head", is_baseline=True)),
    "c": (2, 4, 0, Head({})),
}


def metrics(folder, number, columns, *rows):
    (folder / "metrics").mkdir(parents=True, exist_ok=True)
    with (folder / "metrics" / f"metrics_{number}.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def test_the_best_row_of_each_checkpoint(tmp_path):
    columns = ["threshold", "voi_sum", "dice"]
    metrics(tmp_path / "a", 20, columns, [0.3, 1.0, 0.5], [0.6, 2.0, 0.75])
    metrics(tmp_path / "a", 5, columns, [0.3, 1.0, 0.5], [0.6, 2.0, 0.25])
    metrics(tmp_path / "b", 5, columns[:2], [0.3, 3.0], [0.6, 2.5])
    rows = collect_best(HEADS, tmp_path)
    assert [list(row.values()) for row in rows] == [
        [0, 1, 10, 5, 0.3, "sparse_head", True, 16, 1.0, 0.5],
        [0, 1, 10, 20, 0.6, "sparse_head", True, 16, 2.0, 0.75],
        [2, 3, 0, 5, 0.6, "seg_head", False, None, 2.5],
    ]
    with write_best(rows, tmp_path / "best.csv").open() as file:
        written = list(csv.reader(file))
    assert written[3] == ["2", "3", "0", "5", "0.6", "seg_head", "False", "", "2.5", ""]


def row(is_pretrained, n_points, dice, voi):
    return {"pretrained": is_pretrained, "num_points": n_points, "dice": dice, "voi_sum": voi}


def pixels(path, colour):
    """Rows and columns of a colour."""
    image = np.round(imread(path)[..., :3] * 255)
    return np.argwhere((image == [int(colour[n : n + 2], 16) for n in (1, 3, 5)]).all(axis=-1))


def test_the_line_of_each_kind_goes_through_its_best_rows(tmp_path):
    rows = [row(True, k, 0.9, 1.0) for k in (16, 64)] + [row(False, k, 0.1, 3.0) for k in (16, 64)]
    path = write_plot([{key: one[key] for key in one if key != "voi_sum"} for one in rows], tmp_path / "plot.png")
    blue, orange = pixels(path, "#0072b2"), pixels(path, "#d55e00")
    height = imread(path).shape[0]
    # below the legend: Dice 0.9 near the top of the axes, 0.1 near the bottom
    assert np.median(blue[:, 0]) < 0.35 * height < 0.65 * height < np.median(orange[orange[:, 0] > 0.2 * height][:, 0])
    assert np.ptp(blue[:, 1]) > 300


def test_dense_heads_alone_can_be_drawn(tmp_path):
    path = write_plot([{"pretrained": True, "num_points": None, "voi_sum": 1.0}], tmp_path / "plot.png")
    assert len(pixels(path, "#0072b2")) > 300

"""Folders as trainings leave them, made without one."""

import json
import os
import socket
import time

import numpy as np
from PIL import Image

from scripts.viewers import Panel
from scripts.viewers.dashboard_files import as_json
from scripts.viewers.dashboard_slices import slice_atlases

DEPTH = 6

TITLES = {"image": "", "sheet: truth": "sheet", "sheet: prediction": "sheet"}


def grey_of(title, epoch, z):
    """The one grey of a slice."""
    return 20 * list(TITLES).index(title) + 40 * (epoch % 3) + 3 * z


def write_slices(folder, epoch):
    """A preview of which every slice has one grey."""
    panels = []
    for title, target in TITLES.items():
        colours = np.empty((DEPTH, 8, 8, 3), np.uint8)
        for z in range(DEPTH):
            colours[z] = grey_of(title, epoch, z)
        panels.append(Panel(target, title, colours))
    (folder / "previews").mkdir(exist_ok=True)
    (folder / "previews" / f"epoch_{epoch:04d}_slices.json").write_text(as_json(slice_atlases(panels)))
    return panels


def write_history(folder, epochs):
    rows = ["epoch,iteration,learning_rate,train_total,val_score"]
    rows += [f"{n},{4 * n},0.01,{1 / n:.6g},{n / 16:.6g}" for n in range(1, epochs + 1)]
    (folder / "history.csv").write_text("\n".join(rows) + "\n")


def write_steps(folder, n):
    rows = "".join(f"{i},{1 + 1 / i:.6g}\n" for i in range(1, n + 1))
    (folder / "steps.csv").write_text("iteration,loss\n" + rows)


def write_record(folder, **changes):
    content = {
        "format": 1, "started": time.time() - 100, "seen": time.time(), "host": socket.gethostname(),
        "pid": os.getpid(), "state": "running", "phase": "training", "epoch": 2, "max_epochs": 8, "iteration": 6,
        "epoch_length": 4, "seconds_per_iteration": 2.0, "seconds_left": 130.0, "parameters": 1234567,
        "settings": {"learning_rate": 0.004, "targets": {"sheet": {"channels": 1}}, "note": "<img src=x onerror=x()>"},
        "plan": {"patch_size": [32, 32, 32]}, "machine": {"CPU": "a <b>fast</b> one", "cores": "2 of 2"},
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(content | changes))


def write_worst(folder, epoch, panels):
    patches = [
        {
            "loss": 2.5 - n, "iteration": 5 + n, "batch_size": 2, "image": "/data/<script>.zarr", "volume": n,
            "start": [1, 2, 3 + n], "size": [8, 8, 8], "slice": 4,
            "atlas": slice_atlases([Panel(one.target, one.title, one.colours[:1]) for one in panels]),
        }
        for n in range(2)
    ]  # fmt: skip
    (folder / "worst_patches.json").write_text(as_json({"epoch": epoch, "patches": patches}))


def make_run(folder, epochs=2):
    """A run that is in its second epoch or later."""
    folder.mkdir(parents=True, exist_ok=True)
    write_record(folder)
    write_history(folder, epochs)
    write_steps(folder, 4 * epochs)
    for epoch in range(1, epochs + 1):
        panels = write_slices(folder, epoch)
    write_worst(folder, epochs, panels)
    return folder


def make_old_run(folder):
    """What runs left before there was a dashboard: numbers, and a picture of the middle slice."""
    (folder / "previews").mkdir(parents=True)
    write_history(folder, 2)
    for epoch in (1, 2):
        Image.new("RGB", (40, 30), (10 * epoch, 0, 0)).save(folder / "previews" / f"epoch_{epoch:04d}.png")
    return folder

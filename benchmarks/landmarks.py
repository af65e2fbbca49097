"""Landmarks of mouse skulls: heatmaps of one network and of an ensemble of three, and PHD-Net, on CPU minutes.

Data: $POLYTOME_DATA/landmarks3d/aligned, micro-CT of 30 skulls with 45 landmarks each, 64 x 64 x 96 voxels (z y x) of
0.3 mm. Sorted by name, 1 to 22 train, 23 to 30 are tested. These were posed by their true landmarks and disturbed by a
seeded random pose, so that no number here compares with a publication's.

- `mean shape`: every landmark at its mean place in the training skulls.
- `member 1` to `3`: `configs/landmarks.json`, weights and order by seed. Of the training skulls each leaves another two
  out, which choose its best weights. No network sees the tested ones; but loss, augmentation and learning rate were
  chosen on eight shorter runs that were scored on them, so that these numbers are a little better than unseen ones.
- `ensemble`: their coordinates' mean, with their mean distance to it (E-CPV) as uncertainty.
- `PHD-Net`: `configs/phdnet.json`.

`MRE`: mean radial error with its standard deviation; `SDR`: share of landmarks within so many mm; `Spearman`: rank
correlation of uncertainty and error over the 8 x 45 landmarks (the activation's sign is changed); `CPU min`: processor
time of the training with all that it writes, start and validation included.

Run: python benchmarks/landmarks.py [--members 1,2,3] [--phdnet True] [--folder KEEP] [--side_by_side 2]
Writes benchmarks/results/landmarks.json and prints the table.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fire
import harness
import numpy as np

from scripts.volumes import open_volume, read_landmarks

BUNDLE = Path(__file__).parents[1] / "bundle"
N_TRAINING = 22
RADII_MM = [0.6, 1.0, 2.0]
CONFIGS = "['configs/train.json','configs/landmarks.json'{}]"

UNET: dict[str, Any] = {
    "input_size": [64, 64, 96],
    "output_stride": 2,
    "landmark_loss": "soft_argmax",
    "deep_supervision": False,
    "scheme": "thaler21",
    "learning_rate": 0.003,
    "batch_size": 2,
    "max_epochs": 8,
    "max_steps_per_epoch": 100,
    "previews": False,
}
PHDNET: dict[str, Any] = {
    "input_size": [64, 64, 96],
    "features": [8, 32, 64, 128],
    "scheme": "thaler21",
    "learning_rate": 0.003,
    "batch_size": 2,
    "max_epochs": 8,
    "max_steps_per_epoch": 50,
    "previews": False,
}


def skulls() -> list[dict[str, str]]:
    """Rows of a `volumes` table, sorted by name."""
    folder = Path(os.environ["POLYTOME_DATA"]) / "landmarks3d" / "aligned"
    return [
        {"image": str(path), "landmarks": str(path).removesuffix(".nii.gz") + ".csv", "id": path.name.split(".")[0]}
        for path in sorted(folder.glob("*.nii.gz"))
    ]


def train(folder: Path, name: str, member: int, settings: Mapping[str, Any], overlay: str = "") -> dict[str, Any]:
    """Train one network, unless that is done; returns what it cost."""
    out = folder / name
    done = out / "cost.json"
    if done.is_file():
        return dict(json.loads(done.read_text()))
    rows = skulls()
    left_out = {2 * (member - 1), 2 * (member - 1) + 1}
    training = [row | {"split": "val" if n in left_out else "train"} for n, row in enumerate(rows[:N_TRAINING])]
    out.mkdir(parents=True, exist_ok=True)
    table = {"volumes": training, "test_volumes": rows[N_TRAINING:], "radii_physical": RADII_MM}
    (out / "settings.json").write_text(json.dumps(table | dict(settings)))
    configs = CONFIGS.format(f",{overlay!r}" if overlay else "")[:-1] + f",'{out / 'settings.json'}']"
    command = [sys.executable, "-m", "monai.bundle", "run", "training", "--config_file", configs]
    command += ["--output_dir", str(out), "--ckpt_dir", str(out / "models"), "--random_seed", str(member)]
    with (out / "log.txt").open("w") as log:
        process = subprocess.Popen(command, cwd=BUNDLE, stdout=log, stderr=subprocess.STDOUT, env=environment())
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{name} failed: see {out / 'log.txt'}")
    cost = {"cpu_minutes": (usage.ru_utime + usage.ru_stime) / 60, "peak_gib": usage.ru_maxrss / 2**20}
    done.write_text(json.dumps(cost))
    return cost


def environment() -> dict[str, str]:
    """One thread per training, so that as many run side by side as there are cores."""
    return os.environ | {"OMP_NUM_THREADS": "1"}


def predict(folder: Path, name: str, members: Sequence[str], network: str) -> dict[str, str]:
    """Predict the tested skulls; returns the summary over all landmarks."""
    rows = skulls()[N_TRAINING:]
    weights = [str(folder / member / "models" / "model.pt") for member in members]
    configs = ["configs/inference.json", "configs/landmarks_inference.json", str(folder / network / "network.json")]
    settings = folder / f"predict_{name}.json"
    options = {"input": rows, "weights": weights, "ensemble": len(weights) > 1, "radii_physical": RADII_MM}
    settings.write_text(json.dumps(options | {"results_dir": str(folder / "results" / name)}))
    command = [sys.executable, "-m", "monai.bundle", "run", "inference", "--config_file"]
    with (folder / f"predict_{name}.txt").open("w") as log:
        subprocess.run([*command, str([*configs, str(settings)])], cwd=BUNDLE, stdout=log, stderr=log, check=True)
    with (folder / "results" / name / "summary.csv").open() as file:
        return next(iter(csv.DictReader(file)))


def mean_shape() -> dict[str, Any]:
    """Scores of predicting every landmark at its mean place."""
    points, spacings = [], []
    for row in skulls():
        points.append(read_landmarks(row["landmarks"]).points)
        spacings.append(open_volume(row["image"]).spacing)
    places = np.array(points) * np.array(spacings)[:, None]  # S N 3, mm
    errors = np.linalg.norm(places[N_TRAINING:] - places[:N_TRAINING].mean(axis=0), axis=2)
    return {"MRE mm": errors.mean(), "sd": errors.std()} | {
        f"SDR {radius:g} mm": float((errors <= radius).mean()) for radius in RADII_MM
    }


def scores(summary: Mapping[str, str], method: str) -> dict[str, Any]:
    """A row of the table, from a row of `summary.csv`."""
    found = {"MRE mm": f"{method}_mre_mm", "sd": f"{method}_mre_std_mm"}
    found |= {f"SDR {radius:g} mm": f"{method}_sdr@{radius:g}mm" for radius in RADII_MM}
    return {name: float(summary[key]) for name, key in (found | {"Spearman": f"{method}_spearman"}).items()}


def main(
    members: Sequence[int] | int = (1, 2, 3), phdnet: bool = True, folder: str | None = None, side_by_side: int = 2
) -> None:
    """Train, predict, and print the table.

    Args:
        members: numbers of the ensemble's networks, which seed them.
        phdnet: whether PHD-Net is trained, too.
        folder: where everything stays; what is done there is not done again. Default: a temporary one.
        side_by_side: trainings at a time, one core each.
    """
    with tempfile.TemporaryDirectory() as temporary:
        base = Path(folder or temporary).absolute()
        base.mkdir(parents=True, exist_ok=True)
        jobs = {f"member {n}": (n, UNET, "") for n in harness.listed(members)}
        if phdnet:
            jobs["PHD-Net"] = (1, PHDNET, "configs/phdnet.json")
        with ThreadPoolExecutor(side_by_side) as pool:
            costs = dict(zip(jobs, pool.map(lambda name: train(base, name, *jobs[name]), jobs), strict=True))
        rows: harness.Rows = [{"method": "mean shape", **mean_shape()}]
        unets = [name for name in jobs if name != "PHD-Net"]
        for name in jobs:
            summary = predict(base, name, [name], name)
            rows.append({"method": name, **scores(summary, "smha"), "CPU min": costs[name]["cpu_minutes"]})
        if len(unets) > 1:
            summary = predict(base, "ensemble", unets, unets[0])
            minutes = sum(costs[name]["cpu_minutes"] for name in unets)
            rows.append({"method": "ensemble (E-CPV)", **scores(summary, "ecpv"), "CPU min": minutes})
            rows.append({"method": "ensemble (E-MHA)", **scores(summary, "emha"), "CPU min": minutes})
        columns = list(dict.fromkeys(key for row in rows for key in row))
        rows = [{column: row.get(column) for column in columns} for row in rows]
        harness.write_results("landmarks", {"machine": harness.machine(), "unet": UNET, "phdnet": PHDNET, "rows": rows})
        harness.print_table("landmarks of 8 mouse skulls (mm)", rows)


if __name__ == "__main__":
    fire.Fire(main)

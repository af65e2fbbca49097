"""What a training iteration of the bundle costs beyond the network's arithmetic.

Two parts, each alone with `--part`, on a phantom and with the trainer, handlers and augmentation of `train.json`:

- step: the trainer / a bare PyTorch loop of the same network, loss, optimiser, clipping and batches, all in memory;
  with the network of `train.json` and one of about 5 M parameters, on the CPU and on CUDA where there is one.
- loading: the trainer on batches that are read from zarr and augmented, through 0, 1 and 2 workers / the trainer on the
  very same batches, cached in memory; on the CPU, which workers and network share. The system's cache holds the files.

Both sides of a ratio take turns in blocks of iterations within one run, and the medians of the blocks count. There is
no validation. What the trainer does at the end of an epoch (history, its plot, checkpoint) is no part of an iteration
and has a column of its own; `ratio_with_end` adds its share in an epoch of `train.json`'s length.

Run: python benchmarks/training_step.py [--part step,loading] [--iterations 8] [--blocks 5] [--patch 64]
Prints tables, ratio first, and writes benchmarks/results/training_step.json, where a part that did not run keeps its
last result.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: threads that wait must not spin

import fire
import harness
import numpy as np
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from monai.data import MetaTensor

from scripts.networks import plan_unet
from scripts.workflows import phantom

GOALS = {"step": 1.05, "loading": 1.15}
KINDS = (0, "cached", 1, 2)  # of blocks of `loading`, in turn: number of workers, or the first block's batches again
FEATURES, MOST_FEATURES = 16, 256  # of the first stage, doubled from stage to stage: 5.2 M parameters at 64^3
SKIPPED = 2  # iterations at the start of a block of `loading`, in which workers still do what the last block left them
SEED = 42


@dataclass(frozen=True)
class Options:
    """What both parts take.

    Args:
        folder: holds the phantom, and gets everything that is written.
        iterations: per block.
        patch: edge of the large network's patches.
        blocks: of each kind that count; one more comes first and does not.
    """

    folder: Path
    iterations: int
    patch: int
    blocks: int

    def config(self, steps: int, epochs: int, **settings: Any) -> ConfigParser:
        """The training without validation."""
        return harness.training_config(
            self.folder / "x".join(map(str, settings.get("patch_size", ["default"]))),
            dataset_dir=str(self.folder),
            max_steps_per_epoch=steps,
            max_epochs=epochs,
            val_fraction=0,
            val_interval=epochs + 1,
            random_seed=SEED,
            **settings,
        )

    def large(self) -> dict[str, Any]:
        """Settings of a network of about 5 M parameters at 64^3."""
        stages = len(plan_unet([self.patch] * 3, [1.0] * 3).strides)
        return {
            "patch_size": [self.patch] * 3,
            "features_per_stage": [min(FEATURES * 2**stage, MOST_FEATURES) for stage in range(stages)],
            "n_blocks_per_stage": [1] * stages,
        }


def main(part: Any = "step,loading", iterations: int = 8, patch: int = 64, blocks: int = 5, size: int = 192) -> None:
    """Measure, print and write.

    Args:
        part: which parts, separated by commas.
        iterations: per block.
        patch: edge of the patches of the network of about 5 M parameters, voxels; at most 64.
        blocks: of each kind that count.
        size: edge of the phantom, voxels.
    """
    chosen = harness.choices("part", part, PARTS)
    print(f"{harness.machine()}; phantom of {size}^3, {blocks} blocks of {iterations} iterations", flush=True)
    result = harness.read_results("training_step")
    with tempfile.TemporaryDirectory() as folder:
        phantom(Path(folder) / "phantom.zarr", size=size)
        for name in chosen:
            rows = PARTS[name](Options(Path(folder), iterations, patch, blocks))
            harness.print_table(f"{name} (goal of the ratio {GOALS[name]})", rows)
            settings = {
                "machine": harness.machine(),
                "iterations": iterations,
                "patch": patch,
                "blocks": blocks,
                "size": size,
            }
            result[name] = {**settings, "goal": GOALS[name], "rows": rows}
    harness.write_results("training_step", result)


class BlockClock:
    """Measure each epoch of a trainer as one block: seconds per iteration in `blocks`, of what follows them in `ends`.

    Attach it after all other handlers.

    Args:
        skipped: iterations at a block's start that do not count.
        between: called after each epoch, off the clock.
    """

    def __init__(self, skipped: int = 0, between: Callable[[], None] | None = None) -> None:
        self.skipped = skipped
        self.between = between
        self.blocks: list[float] = []
        self.ends: list[float] = []
        self._begun = self._ended = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._step)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._finish)

    def _start(self) -> None:
        self._begun = now()

    def _step(self, engine: Engine) -> None:
        length = engine.state.epoch_length or 0
        done = (engine.state.iteration - 1) % length + 1
        if done == self.skipped:
            self._begun = now()
        if done == length:
            self._ended = now()
            self.blocks.append((self._ended - self._begun) / (length - self.skipped))

    def _finish(self) -> None:
        self.ends.append(now() - self._ended)
        if self.between is not None:
            self.between()


class BareLoop:
    """The trainer's work in plain PyTorch: forward, loss, backward, clipped step.

    Args:
        config: of the same training.
        batches: as the loader gave them; what the trainer does to each of them is done beforehand.
        weights: that the trainer's network starts with.
    """

    def __init__(self, config: ConfigParser, batches: list[Any], weights: dict[str, torch.Tensor]) -> None:
        ids = ("network", "loss", "optimizer", "lr_scheduler", "prepare_batch", "device", "clip_norm")
        parts = {name: config.get_parsed_content(name) for name in ids}
        self.network, self.loss, self.optimizer, self.lr_scheduler = (parts[name] for name in ids[:4])
        self.batches = [parts["prepare_batch"](batch) for batch in batches]
        self.device, self.clip_norm = parts["device"], parts["clip_norm"]
        self.network.load_state_dict(weights)
        self.network.train()
        self.blocks: list[float] = []
        self.losses: list[torch.Tensor] = []

    def __call__(self) -> None:
        begun = now()
        for image, labels in self.batches:
            image = image.to(self.device, non_blocking=True)
            labels = {name: label.to(self.device, non_blocking=True) for name, label in labels.items()}
            self.optimizer.zero_grad()
            loss = self.loss(self.network(image), labels)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
            self.optimizer.step()
            self.losses.append(loss.detach())
        self.blocks.append((now() - begun) / len(self.batches))
        self.lr_scheduler.step()


def step(options: Options) -> harness.Rows:
    """Trainer against bare loop; `loss_difference` is relative, over the first block: 0 says that both did the same."""
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    networks: dict[str, dict[str, Any]] = {"of train.json": {}, "large": options.large()}
    return [_step_row(options, name, {**networks[name], "device": device}) for device in devices for name in networks]


def _step_row(options: Options, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    def config() -> ConfigParser:
        return options.config(options.iterations, options.blocks + 1, **settings)

    batches = list(config().get_parsed_content("train#dataloader"))
    trainer = harness.start(config())
    bare = BareLoop(config(), batches, trainer.network.state_dict())
    clock, losses = BlockClock(between=bare), []
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(trainer.state.output["loss"].detach()))
    clock.attach(trainer)
    trainer.data_loader = batches
    trainer.run()
    ours, theirs, end = (float(np.median(values[1:])) for values in (clock.blocks, bare.blocks, clock.ends))
    pairs = list(zip(losses, bare.losses, strict=True))[: options.iterations]
    return {
        "ratio": ours / theirs,
        "ratio_with_end": (ours + end / harness.training_config(Path())["max_steps_per_epoch"]) / theirs,
        "network": name,
        "parameters": harness.n_parameters(trainer),
        "patch": "x".join(map(str, batches[0]["image"].shape[2:])),
        "device": settings["device"],
        "trainer_ms": 1000 * ours,
        "bare_ms": 1000 * theirs,
        "end_of_epoch_ms": 1000 * end,
        "loss_difference": max(abs(float(a) / float(b) - 1) for a, b in pairs),
    }


def loading(options: Options) -> harness.Rows:
    """Batches that are loaded against the same in memory; `turned` counts those with a rotated or scaled sample."""
    length, cycles = SKIPPED + options.iterations, options.blocks + 1
    settings = {**options.large(), "device": "cpu"}
    loaders = {
        # all in one epoch, with some to spare, so that workers never come to an end
        n: options.config(length * cycles + 4, 1, num_workers=n, **settings).get_parsed_content("train#dataloader")
        for n in KINDS
        if n != "cached"
    }
    turned: list[bool] = []

    def blocks() -> Iterator[Any]:
        """Batches; every sample has a seed of its own, so that all loaders give the same."""
        streams = {n: iter(loader) for n, loader in loaders.items()}
        for _ in range(cycles):
            cached: list[Any] = []
            for kind in KINDS:
                for batch in cached if kind == "cached" else itertools.islice(streams[kind], length):
                    yield batch
                    if kind == 0:
                        cached.append(batch)
            turned.extend(is_turned(batch["image"]) for batch in cached)

    trainer = harness.start(options.config(length, len(KINDS) * cycles, **settings))
    clock = BlockClock(SKIPPED)
    clock.attach(trainer)
    trainer.data_loader = blocks()
    trainer.run()
    counted = clock.blocks[len(KINDS) :]
    seconds = {kind: float(np.median(counted[place :: len(KINDS)])) for place, kind in enumerate(KINDS)}
    return [
        {
            "ratio": seconds[n] / seconds["cached"],
            "workers": n,
            "ms": 1000 * seconds[n],
            "cached_ms": 1000 * seconds["cached"],
            "parameters": harness.n_parameters(trainer),
            "patch": "x".join([str(options.patch)] * 3),
            "turned": f"{sum(turned)} of {len(turned)}",
        }
        for n in loaders
    ]


def is_turned(image: MetaTensor) -> bool:
    """Whether a batch B C D H W holds a sample that was rotated or scaled; flips leave the affine's sizes alone."""
    linear = image.affine[:, :3, :3].abs()
    return not torch.allclose(linear, torch.diag_embed(torch.as_tensor(image.meta["spacing"])).to(linear), rtol=1e-4)


def now() -> float:
    """Seconds, when all that was asked for is done."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


PARTS = {"step": step, "loading": loading}

if __name__ == "__main__":
    fire.Fire(main)

"""A network of one layer and a head on batches in memory: what a training does to it can be followed by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import Callback, LightningDataModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from cropflow.config.models.drawing import Kind
from cropflow.config.models.training import Training
from cropflow.config.models.transfer import Transfer
from cropflow.models.batch import Batch, batch_of
from cropflow.models.data.normalisation import Normalise
from cropflow.models.data.statistics import Statistics
from cropflow.models.engine.learning import Learner
from cropflow.models.engine.losses import Loss
from cropflow.models.engine.progress import Progress
from cropflow.models.engine.running import run
from cropflow.models.network import Network

SENSORS = ("sentinel2", "sentinel1_ascending")
CLASSES, WIDTH = 3, 8


class Toy(Network):
    """The mean of each sensor over its valid dates, a layer with batch norm and dropout, and a head."""

    kind: ClassVar[Kind] = "pixels"
    masked: ClassVar[bool] = True

    def __init__(self, dropout: float = 0.5, sensors: int = 1, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        linear = nn.Linear(2 * sensors, WIDTH, bias=False)
        self.body = nn.Sequential(linear, nn.BatchNorm1d(WIDTH), nn.ReLU(), nn.Dropout(dropout))
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, batch: Batch) -> Tensor:
        """Scores ``(B, CLASSES)``."""
        means = [
            series.values.sum(1) / series.valid.sum(1, keepdim=True).clamp(min=1) for series in batch.series.values()
        ]
        scores: Tensor = self.head(self.body(torch.cat(means, 1)))
        return scores

    def replace_head(self, outputs: int) -> None:
        """A fresh head."""
        self.head = nn.Linear(WIDTH, outputs)


def toy_batches(count: int = 4, size: int = 6, sensors: int = 1, seed: int = 0, shuffled: bool = False) -> list[Batch]:
    """Batches whose classes differ in their mean values; with shuffled labels in nothing."""
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        target = generator.integers(CLASSES, size=size)
        centre = np.stack([np.cos(target * 2.1), np.sin(target * 2.1)], axis=1)[:, None, :] * 2
        parts = {
            sensor: torch.from_numpy((centre + generator.normal(0, 0.5, (size, 3, 2))).astype(np.float32))
            for sensor in SENSORS[:sensors]
        }
        labels = generator.permutation(target) if shuffled else target
        found.append(batch_of(parts, target=torch.from_numpy(labels)))
    return found


class InMemory(LightningDataModule):
    """The same batches in every epoch."""

    def __init__(self, training: Sequence[Batch], validation: Sequence[Batch]) -> None:
        super().__init__()
        self.training, self.validation = list(training), list(validation)

    def train_dataloader(self) -> Any:
        """The batches of training."""
        return DataLoader(self.training, batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> Any:
        """The batches of validation."""
        return DataLoader(self.validation, batch_size=None)  # type: ignore[arg-type]


def learner(network: Network, settings: Training, transfer: Transfer | None = None, sensors: int = 1) -> Learner:
    """A learner that sees values as they are."""
    # One number of a sensor's is nodata; none of the toy's values is.
    kept = [Statistics(name, ("a", "b"), (0.0, 0.0), (1.0, 1.0), (1, 1), (0, 0)) for name in SENSORS[:sensors]]
    loss = Loss(settings, np.ones(CLASSES, dtype=np.float32))
    return Learner(network, Normalise(kept), loss, settings, seed=1, transfer=transfer)


def train(
    folder: Path,
    network: Network | None = None,
    batches: InMemory | None = None,
    transfer: Transfer | None = None,
    callbacks: Sequence[Callback] = (),
    sensors: int = 1,
    **options: Any,
) -> tuple[Network, Progress]:
    """Train a toy, or go on where it was interrupted."""
    settings = Training(**{"learning_rate": 0.01, "epochs": 3, "patience": 99, **options})
    toy = network or Toy(sensors=sensors)
    progress = Progress(
        folder / "toy.ckpt", "key", epochs=settings.epochs, patience=settings.patience, watch=settings.watch
    )
    given = batches or InMemory(toy_batches(sensors=sensors), toy_batches(2, sensors=sensors, seed=9))
    made = learner(toy.train(), settings, transfer, sensors)
    run(made, given, progress, settings, validated=bool(given.validation), callbacks=callbacks)
    return toy, progress


class EachStep(Callback):
    """Calls a function after every step of the optimiser."""

    def __init__(self, function: Callable[[Any, Any], None]) -> None:
        self.function = function

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Hand over the trainer and the learner."""
        self.function(trainer, pl_module)


class DieAfter(Callback):
    """Dies when an epoch begins, after earlier ones were saved."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The end of the process, as the files see it."""
        if trainer.current_epoch == self.epoch:
            raise RuntimeError("the power fails")

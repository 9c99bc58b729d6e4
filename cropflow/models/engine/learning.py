"""The Lightning module: the loss over the samples that have a class, and sums from which an epoch is scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from cropflow.config.models import Training
from cropflow.config.models.transfer import Transfer
from cropflow.models.batch import Batch
from cropflow.models.data.drawing import DROPOUT, random
from cropflow.models.data.normalisation import Normalise
from cropflow.models.engine.freezing import Layers
from cropflow.models.engine.losses import Loss
from cropflow.models.engine.optimisers import build_optimiser, build_plateau, build_schedule
from cropflow.models.engine.sensor_dropout import drop_sensors
from cropflow.models.network import HierarchicalNetwork, Network

# A purpose of `random` beside those of the batches.
SENSORS = 100


@dataclass(frozen=True)
class Scores:
    """Scores of an epoch.

    Attributes:
        loss: Mean over the samples by the weights of their classes.
        accuracy: Share of the samples that are right; NaN without samples.
        balanced_accuracy: Mean recall of the classes that occur; NaN without samples.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float


def score(loss: float, weight: float, confusion: NDArray[np.int64]) -> Scores:
    """Scores from sums over samples.

    Args:
        loss: Sum of the weighted losses.
        weight: Sum of the weights.
        confusion: Samples, ``(true class, predicted class)``.
    """
    samples = confusion.sum()
    support = confusion.sum(1)
    right = np.diagonal(confusion)
    if not samples:
        return Scores(float("nan"), float("nan"), float("nan"))
    occurring = support > 0
    return Scores(loss / weight, float(right.sum() / samples), float((right[occurring] / support[occurring]).mean()))


class Learner(LightningModule):
    """Trains a network on the samples that have a class: pixels of patches, or parcels, chips and pixels as a whole.

    Args:
        network: Any network.
        normalise: From values as stored to what it sees.
        loss: What is minimised.
        settings: Optimiser, schedule, sensor dropout and epochs.
        seed: Seed of dropout.
        transfer: Steps and frozen layers of a network that has learnt elsewhere; None: all layers alike.
    """

    def __init__(
        self,
        network: Network,
        normalise: Normalise,
        loss: Loss,
        settings: Training,
        *,
        seed: int,
        transfer: Transfer | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.normalise = normalise
        self.loss = loss
        self.settings = settings
        self.seed = seed
        self.layers = Layers(network, transfer)
        self.sums: list[Tensor] = []
        self.confusions: list[Tensor] = []
        self.training_scores: Scores | None = None
        self.validation_scores: Scores | None = None
        self._plateau: Any = None
        self._resumed_plateau: dict[str, Any] | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Scores of a batch whose values are as stored."""
        scores: Tensor = self.network(self.normalise(batch))
        return scores

    def _step(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Sum of losses and of weights of a normalised batch, both added to those of the epoch."""
        assert batch.target is not None  # training and validation data have targets
        stages: Sequence[Tensor]
        if self.loss.staged and isinstance(self.network, HierarchicalNetwork):
            stages = self.network.stages(batch)
        else:
            stages = (self.network(batch),)
        # Samples as rows: the cross-entropy of maps has no deterministic kernel on GPUs.
        rows = [scores.movedim(1, -1).flatten(0, -2) for scores in stages]
        target = batch.target.flatten()
        total, weight = self.loss(rows, target)
        count = rows[-1].shape[1]
        pairs = torch.where(target >= 0, target * count + rows[-1].detach().argmax(1), count * count)
        self.confusions.append(torch.bincount(pairs, minlength=count * count + 1)[:-1])
        self.sums.append(torch.stack([total.detach(), weight]))
        return total, weight

    def _collect(self) -> Scores:
        """Scores of everything since the last call, over all processes."""
        count = len(self.loss.class_weights)
        sums = torch.stack([part.cpu() for part in self.sums]).double().sum(0) if self.sums else torch.zeros(2)
        confusion = torch.zeros(count * count, dtype=torch.long)
        for part in self.confusions:
            confusion += part.cpu()
        self.sums.clear()
        self.confusions.clear()
        if self.trainer.world_size > 1:
            sums = self._over_processes(sums.to(self.device)).cpu()
            confusion = self._over_processes(confusion.to(self.device)).cpu()
        return score(float(sums[0]), float(sums[1]), confusion.view(count, count).numpy())

    def _over_processes(self, value: Tensor) -> Tensor:
        """The sum of a tensor over all processes."""
        found: Tensor = self.trainer.strategy.reduce(value, reduce_op="sum")
        return found

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a step, over the samples of all processes by weight."""
        # Draws depend on the step alone, not on what this process drew before it.
        where = (self.current_epoch, self.global_rank, batch_idx)
        torch.manual_seed(int(random(self.seed, DROPOUT, *where).integers(2**63)))
        batch = self.normalise(batch)
        if self.settings.sensor_dropout:
            batch = drop_sensors(batch, self.settings.sensor_dropout, random(self.seed, SENSORS, *where))
        total, weight = self._step(batch)
        processes = self.trainer.world_size
        if processes > 1:
            weight = self._over_processes(weight)
        # Gradients are averaged over the processes: times their number they add up.
        return total * processes / weight.clamp(min=torch.finfo(torch.float32).tiny)

    def on_train_epoch_start(self) -> None:
        """Put the layers that are frozen in this epoch to rest."""
        self.layers.settle(self.current_epoch)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Keep the gradients of frozen layers from the optimiser, and from the norm that is clipped."""
        self.layers.drop_gradients(self.current_epoch)

    def on_validation_epoch_start(self) -> None:
        """Close the sums of training: Lightning validates inside the epoch."""
        self.training_scores = self._collect()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums."""
        self._step(self.normalise(batch))

    def on_validation_epoch_end(self) -> None:
        """Score the validation fold."""
        self.validation_scores = self._collect()

    def on_train_epoch_end(self) -> None:
        """Score training where there is nothing to validate on, and see whether the loss still falls."""
        if self.sums:
            self.training_scores = self._collect()
            self.validation_scores = None
        scored = self.validation_scores or self.training_scores
        if self._plateau is not None and scored is not None:
            # Here and not by Lightning, which would step it after the resume file has been written.
            self._plateau.step(scored.loss)

    def configure_optimizers(self) -> Any:
        """The optimiser and schedule of the settings."""
        optimiser = build_optimiser(self.settings, self.layers.groups(self.settings.learning_rate))
        self._plateau = build_plateau(self.settings, optimiser)
        if self._plateau is not None and self._resumed_plateau is not None:
            self._plateau.load_state_dict(self._resumed_plateau)
        schedule = build_schedule(self.settings, optimiser, int(self.trainer.estimated_stepping_batches))
        if schedule is None:
            return optimiser
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what a plateau has seen."""
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take it up again once there is an optimiser."""
        self._resumed_plateau = checkpoint.get("plateau")

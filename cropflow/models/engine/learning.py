"""The Lightning module: loss over the pixels that are targets, and sums from which an epoch is scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from lightning.pytorch import LightningModule
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from cropflow.models.batch import IGNORED, Batch
from cropflow.models.data.drawing import DROPOUT, random
from cropflow.models.data.normalisation import Normalise
from cropflow.models.data.statistics import Statistics

WARM_UP = 0.25


def one_cycle(step: int, steps: int) -> float:
    """Share of the peak learning rate: a cosine up over the first quarter, a cosine down over the rest.

    Args:
        step: Steps done, from 0.
        steps: Steps of the whole training.

    Source:
        Smith and Topin (2018), https://doi.org/10.48550/arXiv.1708.07120, without the cycle of the momentum.
    """
    rising = max(1.0, WARM_UP * steps)
    if step < rising:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * step / rising)) / 2
    return (1 + math.cos(math.pi * min(1.0, (step - rising) / max(1.0, steps - rising)))) / 2


@dataclass(frozen=True)
class Scores:
    """Scores of an epoch.

    Attributes:
        loss: Weighted cross-entropy, mean over the target pixels by weight.
        accuracy: Share of the pixels that are right; NaN without pixels.
        balanced_accuracy: Mean recall of the classes that occur; NaN without pixels.
    """

    loss: float
    accuracy: float
    balanced_accuracy: float


def score(loss: float, weight: float, confusion: NDArray[np.int64]) -> Scores:
    """Scores from sums over pixels.

    Args:
        loss: Sum of the weighted losses.
        weight: Sum of the weights.
        confusion: Pixels, ``(true class, predicted class)``.
    """
    pixels = confusion.sum()
    support = confusion.sum(1)
    right = np.diagonal(confusion)
    if not pixels:
        return Scores(float("nan"), float("nan"), float("nan"))
    occurring = support > 0
    return Scores(loss / weight, float(right.sum() / pixels), float((right[occurring] / support[occurring]).mean()))


class PixelLearner(LightningModule):
    """Trains a network on the pixels that have a class.

    Args:
        network: ``(B, T, C, H, W)`` to scores ``(B, class, H, W)``.
        statistics: Normalisation of each sensor.
        class_weights: Weight of each class in the loss.
        learning_rate: Adam's step.
        weight_decay: Adam's decay.
        schedule: ``constant``, or ``one_cycle``: the step rises to ``learning_rate`` and falls to nothing.
        seed: Seed of dropout.
    """

    class_weights: Tensor

    def __init__(
        self,
        network: nn.Module,
        statistics: Sequence[Statistics],
        class_weights: NDArray[np.float32],
        *,
        learning_rate: float,
        weight_decay: float,
        schedule: Literal["constant", "one_cycle"] = "constant",
        seed: int,
    ) -> None:
        super().__init__()
        self.network = network
        self.normalise = Normalise(statistics)
        self.register_buffer("class_weights", torch.from_numpy(class_weights), persistent=False)
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.schedule = schedule
        self.seed = seed
        self.sums: list[Tensor] = []
        self.confusions: list[Tensor] = []
        self.training_scores: Scores | None = None
        self.validation_scores: Scores | None = None

    def forward(self, batch: Batch) -> Tensor:
        """Scores of a batch whose values are as stored."""
        scores: Tensor = self.network(self.normalise(batch))
        return scores

    def _step(self, batch: Batch) -> Tensor:
        assert batch.target is not None  # training and validation data have targets
        # Pixels as rows: the cross-entropy of maps has no deterministic kernel on GPUs.
        scores = self(batch).movedim(1, -1).flatten(0, -2)
        flat = batch.target.flatten()
        used = flat >= 0
        known = torch.where(used, flat, IGNORED)  # what nobody knows is not learnt from
        total = functional.cross_entropy(scores, known, self.class_weights, ignore_index=IGNORED, reduction="sum")
        weight = (self.class_weights[flat.clamp(min=0)] * used).sum()
        count = scores.shape[1]
        pairs = torch.where(used, flat * count + scores.detach().argmax(1), count * count)
        self.confusions.append(torch.bincount(pairs, minlength=count * count + 1)[:-1])
        self.sums.append(torch.stack([total.detach(), weight]))
        return total / weight.clamp(min=torch.finfo(torch.float32).tiny)

    def _collect(self) -> Scores:
        """Scores of everything since the last call, over all processes."""
        count = len(self.class_weights)
        sums = torch.stack([part.cpu() for part in self.sums]).double().sum(0) if self.sums else torch.zeros(2)
        confusion = torch.zeros(count * count, dtype=torch.long)
        for part in self.confusions:
            confusion += part.cpu()
        self.sums.clear()
        self.confusions.clear()
        if self.trainer.world_size > 1:
            sums = self.trainer.strategy.reduce(sums.float().to(self.device), reduce_op="sum").cpu()
            confusion = self.trainer.strategy.reduce(confusion.to(self.device), reduce_op="sum").cpu()
        return score(float(sums[0]), float(sums[1]), confusion.view(count, count).numpy())

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean loss of a batch."""
        # Dropout depends on the step alone, not on what this process drew before it.
        draw = random(self.seed, DROPOUT, self.current_epoch, self.global_rank, batch_idx).integers(2**63)
        torch.manual_seed(int(draw))
        return self._step(batch)

    def on_validation_epoch_start(self) -> None:
        """Close the sums of training: Lightning validates inside the epoch."""
        self.training_scores = self._collect()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add a batch to the sums."""
        self._step(batch)

    def on_validation_epoch_end(self) -> None:
        """Score the validation fold."""
        self.validation_scores = self._collect()

    def on_train_epoch_end(self) -> None:
        """Score training where there is nothing to validate on."""
        if self.sums:
            self.training_scores = self._collect()
            self.validation_scores = None

    def configure_optimizers(self) -> Any:
        """Adam, with the schedule of the settings."""
        adam = torch.optim.Adam(self.network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        if self.schedule == "constant":
            return adam
        steps = int(self.trainer.estimated_stepping_batches)
        cycle = torch.optim.lr_scheduler.LambdaLR(adam, lambda step: one_cycle(step, steps))
        return {"optimizer": adam, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}

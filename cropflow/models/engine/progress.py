"""What a training run remembers: history, best weights, when to stop, all in one resumable file."""

from __future__ import annotations

import logging
import math
import time
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from cropflow.files.atomic import atomic_file
from cropflow.models.engine.learning import Learner, Scores

log = logging.getLogger(__name__)


class Progress(Checkpoint):
    """Keeps the best weights, stops without progress, and saves everything after each epoch.

    The best weights are a copy inside the same file as the last ones: whenever the process dies, the
    file holds one consistent state. It is written under a temporary name and renamed.

    Args:
        path: The resume file.
        key: What the run is made of; a file of another key is not resumed.
        epochs: At most.
        patience: Epochs without a better one before stopping.
        watch: What makes an epoch better: a lower loss, or a higher balanced accuracy.
    """

    def __init__(
        self, path: Path, key: str, *, epochs: int, patience: int, watch: Literal["loss", "balanced_accuracy"]
    ) -> None:
        super().__init__()
        self.path = path
        self.key = key
        self.epochs = epochs
        self.patience = patience
        self.watch = watch
        self.rows: list[list[float]] = []
        self.best_weights: dict[str, Tensor] = {}
        self.best_epoch = 0
        self.best = math.inf
        self._started = (0.0, 0)

    @property
    def stopped(self) -> bool:
        """Whether the last epochs brought nothing better."""
        return len(self.rows) - self.best_epoch >= self.patience

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers, texts and tensors, so that the file loads without pickle."""
        return {
            "key": self.key,
            "rows": self.rows,
            "best_weights": self.best_weights,
            "best_epoch": self.best_epoch,
            "best": self.best,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue where the file ends."""
        self.rows = state_dict["rows"]
        self.best_weights = state_dict["best_weights"]
        self.best_epoch = state_dict["best_epoch"]
        self.best = state_dict["best"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do not train on where the run had already stopped."""
        self._started = (time.monotonic(), len(self.rows))
        if self.rows and self.stopped:
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Record the epoch, keep its weights if they are the best, and save."""
        assert isinstance(pl_module, Learner)
        training, validation = pl_module.training_scores, pl_module.validation_scores
        assert training is not None
        nothing = Scores(math.nan, math.nan, math.nan)
        held_out = validation or nothing
        epoch = len(self.rows) + 1
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        self.rows.append(
            [epoch, training.loss, held_out.loss, held_out.accuracy, held_out.balanced_accuracy, float(rate)]
        )
        scored = validation or training
        watched = scored.loss if self.watch == "loss" else -scored.balanced_accuracy
        if watched < self.best or not self.best_weights:
            self.best, self.best_epoch = watched, epoch
            # A copy: the state's own tensors go on changing.
            self.best_weights = {
                name: value.detach().cpu().clone() for name, value in pl_module.network.state_dict().items()
            }
        if self.stopped:
            trainer.should_stop = True
        self._save(trainer)
        if trainer.is_global_zero:
            self._report(training, validation)

    def _save(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            with atomic_file(self.path) as temporary:
                trainer.save_checkpoint(temporary)
        else:
            # Every process takes part; only the first writes.
            trainer.save_checkpoint(self.path)

    def _report(self, training: Scores, validation: Scores | None) -> None:
        began, before = self._started
        epoch = len(self.rows)
        left = (time.monotonic() - began) / (epoch - before) * (self.epochs - epoch)
        held_out = (
            f", validation loss {validation.loss:.4f}, accuracy {validation.accuracy:.1%}, "
            f"balanced {validation.balanced_accuracy:.1%}"
            if validation
            else ""
        )
        remaining = (
            "stopping" if self.stopped or epoch == self.epochs else f"at most {max(left / 60, 0.1):.1f} min left"
        )
        log.info(
            "epoch %d of at most %d: training loss %.4f%s (best: epoch %d); %s",
            epoch,
            self.epochs,
            training.loss,
            held_out,
            self.best_epoch,
            remaining,
        )

"""Train a network on the folds of an experiment; interrupted runs go on where their last epoch ended."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, Trainer
from torch import Tensor

from cropflow.config.models import Network
from cropflow.config.models.patches import TemporalUnet
from cropflow.errors import CropflowError, refuse
from cropflow.models.data.alignment import check_one_axis
from cropflow.models.data.batches import open_batches
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.survey import Survey
from cropflow.models.engine.learning import PixelLearner
from cropflow.models.engine.progress import Progress
from cropflow.models.registry import build_network, inputs_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """The result of a training run.

    Attributes:
        weights: Of the best epoch, on the CPU.
        rows: History, one row per epoch in the order of :data:`cropflow.models.checkpoints.HISTORY_COLUMNS`.
        best_epoch: Counted from 1.
        watched: What chose it, such as ``validation loss``.
        resume_file: To be deleted once the result is written.
    """

    weights: dict[str, Tensor]
    rows: list[list[float]]
    best_epoch: int
    watched: str
    resume_file: Path


def train_network(
    samples: Samples,
    survey: Survey,
    split: Split,
    settings: Network,
    *,
    seed: int,
    threads: int,
    work: Path,
    key: str,
    callbacks: Sequence[Callback] = (),
) -> TrainedNetwork | None:
    """Train on the accelerators there are: CPU, one GPU, or several by distributed data parallelism.

    Labels of the validation fold decide when to stop, those of the test fold are never read. The
    network does see the values of neighbouring blocks as context, as it does when it maps.

    Args:
        samples: All patches.
        survey: What the training folds know.
        split: Roles of the folds.
        settings: Network and training; ``batch_size`` counts per device.
        seed: Seed of weights, order, turns and dropout.
        threads: CPU threads; with a GPU, also the processes that read ahead (8 at most).
        work: Folder of the resume file.
        key: Hash of settings and data; a resume file of another key is ignored.
        callbacks: Further Lightning callbacks.

    Returns:
        The trained network; None on all processes but the first.

    Raises:
        CropflowError: If the patches are too small for the depth of the U-Net, or the sensors differ in their periods.
    """
    if isinstance(settings, TemporalUnet):
        _check_depth(samples.patch_size, len(settings.widths), settings.cutout)
        check_one_axis(samples.layouts)
    _quieten()
    torch.set_num_threads(threads)
    # Fresh memory is always written before it is read here; filling it with NaN first costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.manual_seed(seed)
    learner = PixelLearner(
        build_network(settings, inputs_of(samples.layouts, len(survey.classes))),
        survey.statistics,
        survey.class_weights(settings.class_weights),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        schedule=settings.schedule,
        seed=seed,
    )
    validated = bool(len(survey.validation))
    if not validated:
        log.warning("validation fold %d has no usable target; training decides when to stop", split.validation)
    progress = Progress(
        work / f"{key[:16]}.ckpt", key, epochs=settings.epochs, patience=settings.patience, watch=settings.watch
    )
    trainer = Trainer(
        accelerator="auto",
        devices="auto",
        strategy="auto",
        plugins=[*_environment()],
        max_epochs=settings.epochs,
        limit_val_batches=1.0 if validated else 0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        num_sanity_val_steps=0,
        deterministic="warn",  # a few GPU kernels have no deterministic form; all CPU kernels do
        callbacks=[progress, *callbacks],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=work,
    )
    batches = open_batches(
        samples,
        survey,
        split,
        settings,
        seed=seed,
        epoch=lambda: len(progress.rows),
        workers=min(threads, 8) if torch.cuda.is_available() else 0,
    )
    resume = progress.path if _resumable(progress.path, key) else None
    trainer.fit(learner, batches, ckpt_path=resume, weights_only=True)
    if not trainer.is_global_zero:
        return None
    return TrainedNetwork(
        weights=progress.best_weights,
        rows=progress.rows,
        best_epoch=progress.best_epoch,
        watched=f"{'validation' if validated else 'training'} {settings.watch.replace('_', ' ')}",
        resume_file=progress.path,
    )


def _check_depth(patch_size: int, levels: int, cutout: int | None) -> None:
    if cutout is not None and cutout > patch_size:
        refuse("cutout of the model", cutout, f"at most {patch_size}, the patch_size of the sample set")
    side, name = (patch_size, "patch_size of the sample set") if cutout is None else (cutout, "cutout")
    coarsest = side >> (levels - 1)
    if coarsest < 1:
        raise CropflowError(
            f"Squares of {side} pixels halve fewer than the {levels - 1} times that widths asks for. "
            f"Shorten widths or raise {name}."
        )
    if coarsest == 1:
        log.warning("the coarsest level sees a square of %d pixels as one; consider fewer widths", side)


def _resumable(path: Path, key: str) -> bool:
    """Whether a whole resume file of this very run lies there."""
    if not path.is_file():
        return False
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        state = content["callbacks"][Progress.__qualname__]
    except (RuntimeError, EOFError, KeyError, pickle.UnpicklingError) as error:
        log.warning("%s cannot be read (%s); training starts anew", path.name, str(error).split("\n")[0])
        return False
    if state["key"] != key:
        return False
    log.info("resuming after epoch %d", len(state["rows"]))
    return True


def _environment() -> list[ClusterEnvironment]:
    """Inside a batch job of one task, Lightning starts its own processes instead of expecting the scheduler's."""
    alone = os.environ.get("SLURM_NTASKS", "1") == "1" and "TORCHELASTIC_RUN_ID" not in os.environ
    return [LightningEnvironment()] if alone else []


def _quieten() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The memory maps of a few patches need no reading ahead; short epochs are no mistake.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")

"""Train a network on the folds of an experiment."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from lightning.pytorch import Callback
from torch import Tensor

from cropflow.config.models import Network as Settings
from cropflow.errors import CropflowError, refuse
from cropflow.models.checkpoints import Description
from cropflow.models.data.batches import open_batches
from cropflow.models.data.normalisation import Normalise
from cropflow.models.data.samples import Samples, Split
from cropflow.models.data.survey import Survey
from cropflow.models.engine.learning import Learner
from cropflow.models.engine.losses import Loss, weigh_classes
from cropflow.models.engine.progress import Progress
from cropflow.models.engine.running import check_precision, prepare, run
from cropflow.models.engine.starting import Start, take_over
from cropflow.models.network import HierarchicalNetwork
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
        parameters: Number of weights, frozen ones among them.
        head: ``fresh``, or ``taken over`` from where a transfer starts.
        resume_file: To be deleted once the result is written.
    """

    weights: dict[str, Tensor]
    rows: list[list[float]]
    best_epoch: int
    watched: str
    parameters: int
    head: str
    resume_file: Path


def needs_complete_series(settings: Settings, samples: Samples) -> bool:
    """Whether a network knows no gaps, and can only learn from series with a value on every date."""
    return not build_network(
        settings, inputs_of(samples.layouts, 1, features=samples.features, lags=samples.lags)
    ).masked


def train_network(
    samples: Samples,
    survey: Survey,
    split: Split,
    settings: Settings,
    description: Description,
    *,
    seed: int,
    threads: int,
    work: Path,
    key: str,
    start: Start | None = None,
    callbacks: Sequence[Callback] = (),
) -> TrainedNetwork | None:
    """Train on the accelerators there are: CPU, one GPU, or several by distributed data parallelism.

    Labels of the validation fold decide when to stop, those of the test fold are never read. The
    network does see the values of neighbouring blocks as context, as it does when it maps.

    Args:
        samples: All samples.
        survey: What the training folds know.
        split: Roles of the folds.
        settings: Network and training; ``batch_size`` counts per device.
        description: What the model is to be; its statistics are those of the start where there is one.
        seed: Seed of weights, order, augmentation and dropout.
        threads: CPU threads; with a GPU, also the processes that read ahead (8 at most).
        work: Folder of the resume file.
        key: Hash of settings and data; a resume file of another key is ignored.
        start: The model that a transfer starts from.
        callbacks: Further Lightning callbacks.

    Returns:
        The trained network; None on all processes but the first.

    Raises:
        CropflowError: If the samples, the machine or the start do not fit the network.
    """
    check_precision(settings)
    _check_sides(settings, samples.patch_size)
    if settings.sensor_dropout and len(samples.layouts) == 1:
        refuse("sensor_dropout of the model", settings.sensor_dropout, "0: the samples have one sensor")
    prepare(threads)
    torch.manual_seed(seed)
    network = build_network(settings, description.inputs())
    kept = start is not None and take_over(network, start, description)
    weights = weigh_classes(survey.targets[0], settings.class_weights, settings.beta)
    learner = Learner(
        network,
        Normalise(description.statistics, description.features),
        Loss(settings, weights, description.levels, staged=isinstance(network, HierarchicalNetwork)),
        settings,
        seed=seed,
        transfer=start.transfer if start else None,
    )
    validated = bool(len(survey.validation))
    if not validated:
        log.warning("validation fold %d has no usable sample; training decides when to stop", split.validation)
    progress = Progress(
        work / f"{key[:16]}.ckpt", key, epochs=settings.epochs, patience=settings.patience, watch=settings.watch
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
    if not run(learner, batches, progress, settings, validated=validated, callbacks=callbacks):
        return None
    return TrainedNetwork(
        weights=progress.best_weights,
        rows=progress.rows,
        best_epoch=progress.best_epoch,
        watched=f"{'validation' if validated else 'training'} {settings.watch.replace('_', ' ')}",
        parameters=sum(value.numel() for value in network.parameters()),
        head="taken over" if kept else "fresh",
        resume_file=progress.path,
    )


def _check_sides(settings: Settings, patch_size: int) -> None:
    """Check that squares are cut from patches that hold them, and that a U-Net can halve them."""
    cutout = getattr(settings, "cutout", None)
    if cutout is not None and cutout > patch_size:
        refuse("cutout of the model", cutout, f"at most {patch_size}, the patch_size of the sample set")
    least = getattr(settings, "smallest_side", 1)
    side, name = (patch_size, "patch_size of the sample set") if cutout is None else (cutout, "cutout")
    if side < least:
        raise CropflowError(
            f"Squares of {side} pixels are too small for a network that halves them so often; expected at least "
            f"{least}. Raise {name}, or let the model halve them less often."
        )
    if side == least > 1:
        log.warning("the coarsest level sees almost nothing of squares of %d pixels; consider fewer halvings", side)

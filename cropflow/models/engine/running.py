"""Run a training: devices, precision, and going on where the last epoch of an interrupted run ended."""

from __future__ import annotations

import logging
import os
import pickle
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Callback, LightningDataModule, Trainer

from cropflow.config.models import Training
from cropflow.errors import CropflowError
from cropflow.models.engine.learning import Learner
from cropflow.models.engine.progress import Progress

log = logging.getLogger(__name__)


def prepare(threads: int) -> None:
    """Set up torch for a training.

    Args:
        threads: CPU threads.
    """
    _quieten()
    torch.set_num_threads(threads)
    # Fresh memory is always written before it is read here; filling it with NaN first costs time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def check_precision(settings: Training) -> None:
    """Refuse a precision that this machine has not.

    Raises:
        CropflowError: If 16-mixed is asked for without a GPU.
    """
    if settings.precision == "16-mixed" and not torch.cuda.is_available():
        raise CropflowError(
            "precision of the model is '16-mixed', and there is no GPU here; expected 32 or bf16-mixed on a CPU. "
            "Change it, or train where there is a GPU."
        )


def run(
    learner: Learner,
    batches: LightningDataModule,
    progress: Progress,
    settings: Training,
    *,
    validated: bool,
    callbacks: Sequence[Callback] = (),
) -> bool:
    """Train until the epochs are over or no better one comes.

    Args:
        learner: The network and its loss.
        batches: Batches of training and, where ``validated``, of validation.
        progress: What is remembered, and where; a resume file of the same key is gone on from.
        settings: Devices, precision, epochs and clipping.
        validated: Whether there is anything to validate on.
        callbacks: Further Lightning callbacks.

    Returns:
        Whether this is the first process; the others have nothing to write.
    """
    trainer = Trainer(
        accelerator="auto",
        devices="auto" if settings.devices is None else settings.devices,
        num_nodes=settings.nodes,
        strategy=settings.strategy,
        precision=settings.precision,
        gradient_clip_val=settings.gradient_clip,
        plugins=[*_environment(settings.nodes)],
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
        default_root_dir=progress.path.parent,
    )
    resume = progress.path if _resumable(progress.path, progress.key) else None
    trainer.fit(learner, batches, ckpt_path=resume, weights_only=True)
    return trainer.is_global_zero


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


def _environment(nodes: int) -> list[ClusterEnvironment]:
    """Inside a batch job of one task, Lightning starts its own processes instead of expecting the scheduler's."""
    alone = os.environ.get("SLURM_NTASKS", "1") == "1" and "TORCHELASTIC_RUN_ID" not in os.environ
    return [LightningEnvironment()] if alone and nodes == 1 else []


def _quieten() -> None:
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # The memory maps of a few patches need no reading ahead; short epochs are no mistake.
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*")

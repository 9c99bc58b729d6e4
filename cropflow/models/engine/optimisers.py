"""Optimisers and schedules by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, ReduceLROnPlateau, StepLR

from cropflow.config.models import Training

WARM_UP = 0.25
_OPTIMISERS: dict[str, Any] = {"adam": Adam, "adamw": AdamW, "sgd": SGD, "rmsprop": RMSprop}


def build_optimiser(settings: Training, groups: Sequence[dict[str, Any]]) -> Optimizer:
    """The optimiser of a training.

    Args:
        settings: Its name, momentum and weight decay.
        groups: Parameters with their learning rate, as ``params`` and ``lr``.
    """
    momentum = {} if settings.momentum is None else {"momentum": settings.momentum}
    optimiser: Optimizer = _OPTIMISERS[settings.optimiser](
        list(groups), lr=settings.learning_rate, weight_decay=settings.weight_decay, **momentum
    )
    return optimiser


def build_schedule(settings: Training, optimiser: Optimizer, steps: int) -> LRScheduler | None:
    """What changes the learning rates with every step; None where nothing does.

    Args:
        settings: The schedule and the epochs.
        optimiser: Its groups keep their proportions.
        steps: Steps of all epochs.
    """
    if settings.schedule == "one_cycle":
        return LambdaLR(optimiser, lambda step: one_cycle(step, steps))
    if settings.schedule == "cosine":
        return CosineAnnealingLR(optimiser, T_max=steps)
    if settings.schedule == "step":
        assert settings.schedule_epochs is not None and settings.schedule_factor is not None  # filled in
        per_epoch = steps // settings.epochs
        return StepLR(optimiser, step_size=per_epoch * settings.schedule_epochs, gamma=settings.schedule_factor)
    return None


def build_plateau(settings: Training, optimiser: Optimizer) -> ReduceLROnPlateau | None:
    """What lowers the learning rates where an epoch's loss gets no better; None with another schedule."""
    if settings.schedule != "plateau":
        return None
    assert settings.schedule_epochs is not None and settings.schedule_factor is not None  # filled in
    return ReduceLROnPlateau(
        optimiser, factor=settings.schedule_factor, patience=settings.schedule_epochs, threshold=0.0
    )


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

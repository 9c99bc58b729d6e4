"""How a network is trained: settings that every network shares."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from cropflow.config.models.drawing import Drawing


class Training(Drawing):
    """What every network shares: losses, steps, and what makes an epoch the better one."""

    learning_rate: float = Field(default=1e-3, gt=0, description="The optimiser's step, or its peak.")
    schedule: Literal["constant", "one_cycle"] = Field(
        default="constant", description="The step over the epochs: constant, or up to the peak and down to nothing."
    )
    weight_decay: float = Field(default=0.0, ge=0, description="The optimiser's decay.")
    epochs: int = Field(default=50, ge=1, description="At most.")
    patience: int = Field(default=8, ge=1, description="Epochs without a better one before stopping.")
    watch: Literal["loss", "balanced_accuracy"] = Field(
        default="loss", description="What makes an epoch the better one, on the validation fold."
    )
    class_weights: Literal["none", "inverse_sqrt"] = Field(default="none", description="Weights of the loss.")

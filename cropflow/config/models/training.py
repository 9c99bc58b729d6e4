"""How a network is trained: settings that every network shares."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field, model_validator

from cropflow.config.base import Section
from cropflow.config.models.drawing import Drawing

# Key -> the key that it belongs to, and its value for each choice of that key that knows it.
Belonging = dict[str, tuple[str, dict[str, Any]]]

BELONGING: Belonging = {
    "gamma": ("loss", {"focal": 1.0}),
    "level_weights": ("loss", {"hierarchical": None}),
    "beta": ("class_weights", {"effective_number": 0.999}),
    "momentum": ("optimiser", {"sgd": 0.9, "rmsprop": 0.0}),
    "schedule_epochs": ("schedule", {"step": 10, "plateau": 3}),
    "schedule_factor": ("schedule", {"step": 0.1, "plateau": 0.5}),
}

# What a loss is made of: with another one of these, the same scores have another loss.
LOSS_SETTINGS = ("loss", "gamma", "level_weights", "class_weights", "beta")


def fill_belonging(content: Any, belonging: Belonging, section: type[Section]) -> Any:
    """Fill in the keys that belong to what was chosen, and refuse those that belong to something else.

    A key without effect would be believed to have one.

    Args:
        content: What is to be parsed.
        belonging: Keys of the section that belong to others.
        section: What it is parsed into.

    Raises:
        ValueError: If a key is given that the choice does not know.
    """
    if not isinstance(content, dict):
        return content
    filled = dict(content)
    for key, (owner, values) in belonging.items():
        field = section.model_fields[owner]
        chosen = content.get(owner, field.default)
        if chosen not in get_args(field.annotation):
            continue  # the choice itself is wrong, which is told first
        if content.get(key) is None:
            filled[key] = values.get(chosen)
        elif chosen not in values:
            raise ValueError(
                f"{key} is {content[key]!r} and {owner} {chosen!r}, which has no use for it; expected "
                f"{owner} {' or '.join(map(repr, values))}, or no {key}"
            )
    return filled


class Training(Drawing):
    """What every network shares: losses, steps, and what makes an epoch the better one."""

    loss: Literal["cross_entropy", "focal", "hierarchical", "binary"] = Field(
        default="cross_entropy",
        description="focal: easy samples count less; hierarchical: a sum over the levels of the legend; binary: each "
        "class against the rest, for partial labels.",
    )
    gamma: float | None = Field(
        default=None, ge=0, description="focal: power of what is missing to certainty; 1 where absent."
    )
    level_weights: tuple[float, ...] | None = Field(
        default=None,
        min_length=1,
        description="hierarchical: weight of each level of the legend, coarsest first. Where absent the finest counts "
        "1, the one above it 0.5, all others 0.1. Refined scores of a network that has them count 1 besides.",
    )
    class_weights: Literal["none", "inverse_sqrt", "balanced", "effective_number"] = Field(
        default="none",
        description="Weight of a class in the loss by its number n of samples in the training folds: 1/sqrt(n); "
        "balanced: 1/n; effective_number: (1 - beta)/(1 - beta^n).",
    )
    beta: float | None = Field(default=None, gt=0, lt=1, description="effective_number: its beta; 0.999 where absent.")
    optimiser: Literal["adam", "adamw", "sgd", "rmsprop"] = Field(
        default="adam", description="How weights follow the gradient; adamw decays them apart from it."
    )
    momentum: float | None = Field(
        default=None, ge=0, lt=1, description="sgd, rmsprop: momentum; 0.9 and 0 where absent."
    )
    learning_rate: float = Field(default=1e-3, gt=0, description="The optimiser's step, or its peak.")
    weight_decay: float = Field(default=0.0, ge=0, description="The optimiser's decay.")
    gradient_clip: float | None = Field(
        default=None, gt=0, description="Longest gradient, as the norm over all weights; longer ones are shortened."
    )
    schedule: Literal["constant", "one_cycle", "cosine", "step", "plateau"] = Field(
        default="constant",
        description="The step over the epochs: constant; up to the peak and down to nothing; cosine: down to nothing; "
        "step: a fall at even distances; plateau: a fall where the validation loss gets no better.",
    )
    schedule_epochs: int | None = Field(
        default=None,
        ge=1,
        description="step: epochs between falls, 10 where absent; plateau: epochs in a row without a lower loss that "
        "it bears, 3 where absent.",
    )
    schedule_factor: float | None = Field(
        default=None, gt=0, lt=1, description="step, plateau: what is left of the step after a fall; 0.1 and 0.5."
    )
    epochs: int = Field(default=50, ge=1, description="At most.")
    patience: int = Field(default=8, ge=1, description="Epochs without a better one before stopping.")
    watch: Literal["loss", "balanced_accuracy"] = Field(
        default="loss", description="What makes an epoch the better one, on the validation fold."
    )
    sensor_dropout: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Several sensors: chance that a sample of training loses one of them, never its last.",
    )
    precision: Literal[32, "16-mixed", "bf16-mixed"] = Field(
        default=32, description="Bits of the numbers; mixed: half of them where that does no harm, 16-mixed on GPUs."
    )
    devices: int | None = Field(default=None, ge=1, description="Devices of a node; all GPUs there are where absent.")
    nodes: int = Field(default=1, ge=1, description="Machines that train together; Lightning finds them.")
    strategy: Literal["auto", "ddp", "ddp_find_unused_parameters_true"] = Field(
        default="auto", description="How several devices share the work, by Lightning's name."
    )

    @model_validator(mode="before")
    @classmethod
    def _belonging(cls, content: Any) -> Any:
        return fill_belonging(content, BELONGING, cls)

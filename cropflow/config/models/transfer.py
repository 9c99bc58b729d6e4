"""How a network goes on from what another experiment learnt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from cropflow.config.base import Name, Section
from cropflow.config.models.drawing import Drawing
from cropflow.config.models.training import Belonging, Training, fill_belonging

_BELONGING: Belonging = {
    "learning_rate": ("freeze", {"none": 1e-5, "first_epochs": 1e-5}),
    "freeze_epochs": ("freeze", {"first_epochs": 1}),
}


class Transfer(Section):
    """Fold i starts from the weights that another experiment learnt for fold i."""

    experiment: Name = Field(description="Entry of experiments with the same network.")
    learning_rate_head: float = Field(
        default=1e-4, gt=0, description="Step of the head, which is fresh where the classes differ; or its peak."
    )
    learning_rate: float | None = Field(
        default=None, gt=0, description="Step of the other layers, or its peak; 1e-5 where absent."
    )
    freeze: Literal["none", "all_but_head", "first_epochs"] = Field(
        default="none",
        description="Layers that stay as they are: none; all but the head; all but the head in the first epochs.",
    )
    freeze_epochs: int | None = Field(default=None, ge=1, description="first_epochs: how many; 1 where absent.")

    @model_validator(mode="before")
    @classmethod
    def _belonging(cls, content: Any) -> Any:
        return fill_belonging(content, _BELONGING, cls)


def architecture(model: Training) -> dict[str, Any]:
    """The settings that the weights below the head depend on: neither how it is trained nor what training drops."""
    shared = {
        key
        for base in type(model).__mro__
        if issubclass(base, Drawing) and base.__module__ in (Drawing.__module__, Training.__module__)
        for key in base.model_fields
    }
    own = [
        key
        for key in type(model).model_fields
        if key not in shared and "dropout" not in key and not key.startswith("head_")
    ]
    return {key: getattr(model, key) for key in own}

"""The config sections of models: one per network or baseline, and the training that networks share."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.config.models.drawing import Kind
from cropflow.config.models.parcels import PseLtae, PseTsa
from cropflow.config.models.patches import ConvLstm, ConvStar, SiameseUnet3d, TemporalUnet, Utae
from cropflow.config.models.pixels import Lstm, TempCnn, Transformer
from cropflow.config.models.training import Training

Network = TemporalUnet | PseLtae | PseTsa | SiameseUnet3d | ConvLstm | ConvStar | Utae | TempCnn | Lstm | Transformer
Baseline = RandomForest | GradientBoosting
Model = Annotated[Network | Baseline, Field(discriminator="name")]

NETWORKS: dict[str, type[Training]] = {
    section.model_fields["name"].default: section
    for section in (
        TemporalUnet, PseLtae, PseTsa, SiameseUnet3d, ConvLstm, ConvStar, Utae, TempCnn, Lstm, Transformer,
    )
}  # fmt: skip
BASELINES: dict[str, type[RandomForest] | type[GradientBoosting]] = {
    section.model_fields["name"].default: section for section in (RandomForest, GradientBoosting)
}


def kind_of(model: Network | Baseline) -> Kind:
    """What a model learns from; baselines by their unit, pixels of patches or means of parcels."""
    if isinstance(model, Training):
        return model.kind
    return "pixel_sets" if model.unit == "parcel" else "patches"


__all__ = ["BASELINES", "NETWORKS", "Baseline", "Model", "Network", "Training", "kind_of"]

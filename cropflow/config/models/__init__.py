"""The config sections of models: one per network or baseline, and the training that networks share."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import Field

from cropflow.config.models.baselines import GradientBoosting, RandomForest
from cropflow.config.models.drawing import Kind
from cropflow.config.models.parcels import PseLtae, PseTsa
from cropflow.config.models.patches import ConvLstm, ConvStar, SiameseUnet3d, TemporalUnet, Utae
from cropflow.config.models.pixels import Lstm, TempCnn, Transformer
from cropflow.config.models.training import Training

# A network of one's own is one more line here: the config, the command line and the rules learn of it from this union.
Network = (
    TemporalUnet
    | PseLtae
    | PseTsa
    | SiameseUnet3d
    | ConvLstm
    | ConvStar
    | Utae
    | TempCnn
    | Lstm
    | Transformer
)  # fmt: skip
Baseline = RandomForest | GradientBoosting
Model = Annotated[Network | Baseline, Field(discriminator="name")]

NETWORKS: dict[str, type[Training]] = {section.model_fields["name"].default: section for section in get_args(Network)}
BASELINES: dict[str, type[RandomForest] | type[GradientBoosting]] = {
    section.model_fields["name"].default: section for section in get_args(Baseline)
}


def kind_of(model: Network | Baseline) -> Kind:
    """What a model learns from; baselines by their unit, pixels of patches or means of parcels."""
    if isinstance(model, Training):
        return model.kind
    return "pixel_sets" if model.unit == "parcel" else "patches"


def samples_of(model: Network | Baseline) -> Literal["patches", "pixel_sets", "chips"]:
    """The samples that a model learns from; single pixels are drawn from the pixel sets."""
    kind = kind_of(model)
    return "pixel_sets" if kind == "pixels" else kind


__all__ = ["BASELINES", "NETWORKS", "Baseline", "Model", "Network", "Training", "kind_of", "samples_of"]

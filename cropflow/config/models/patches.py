"""Networks that see a neighbourhood: patches with a class per pixel, chips with one class."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cropflow.config.models.drawing import CutoutDrawing, Kind, PatchDrawing
from cropflow.config.models.training import Training


class TemporalUnet(CutoutDrawing, Training):
    """The pixel-wise temporal CNN followed by a 2-D U-Net, and its training."""

    kind: ClassVar[Kind] = "patches"

    name: Literal["temporal_unet"] = "temporal_unet"
    kernel_size: Literal[3, 5, 7] = Field(default=3, description="Temporal kernel, periods.")
    temporal_layers: int = Field(default=2, ge=1, le=6, description="Temporal convolutions.")
    temporal_width: int = Field(default=64, ge=4, description="Channels of the temporal part.")
    widths: tuple[int, ...] = Field(
        default=(64, 128, 256, 512, 512), min_length=2, description="Channels of the U-Net, from fine to coarse."
    )
    pooling: Literal["max", "mean"] = Field(default="max", description="Over time, after the convolutions.")
    dropout: float = Field(default=0.3, ge=0, lt=1, description="Share of channels dropped in training.")
    positions: bool = Field(
        default=False,
        description="Tell the network where in the season a period lies (two more channels); "
        "without them, convolution and pooling over time see shapes, not dates.",
    )


class SiameseUnet3d(CutoutDrawing, Training):
    """Two branches, one a sensor: a 3-D stem over time, then a U-Net."""

    kind: ClassVar[Kind] = "patches"

    name: Literal["siamese_unet3d"] = "siamese_unet3d"


class ConvLstm(PatchDrawing, Training):
    """A convolutional LSTM over chips with one label."""

    kind: ClassVar[Kind] = "chips"

    name: Literal["conv_lstm"] = "conv_lstm"


class ConvStar(CutoutDrawing, Training):
    """The multi-stage convSTAR network with label refinement over the levels of the legend."""

    kind: ClassVar[Kind] = "patches"

    name: Literal["conv_star"] = "conv_star"


class Utae(CutoutDrawing, Training):
    """A U-Net with temporal attention at its coarsest level."""

    kind: ClassVar[Kind] = "patches"

    name: Literal["utae"] = "utae"

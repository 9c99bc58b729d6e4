"""Networks over the series of single pixels."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.models.drawing import Kind, PixelDrawing
from cropflow.config.models.training import Training

Align = Annotated[
    Literal["nearest", "linear"],
    Field(description="How several sensors come onto the dates of the first: their nearest date, or a line in time."),
]


class TempCnn(PixelDrawing, Training):
    """Temporal convolutions over the series of a pixel (TempCNN)."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["temp_cnn"] = "temp_cnn"
    kernel_size: Literal[3, 5, 7, 9] = Field(default=7, description="Temporal kernel, dates.")
    width: int = Field(default=128, ge=4, description="Channels; the dense layer has four times as many.")
    dropout: float = Field(default=0.18, ge=0, lt=1, description="Share of values dropped in training.")
    pooling: Literal["flatten", "mean", "max"] = Field(
        default="flatten",
        description="What the dense layer sees: a weight for each date (as published; all series are of one length), "
        "or the mean or maximum over the dates with a value (series of any length).",
    )
    align: Align = "nearest"

    @property
    def any_dates(self) -> bool:
        """Whether series may have other dates at each site: not where each date has a weight of its own."""
        return self.pooling != "flatten"


class Lstm(PixelDrawing, Training):
    """An LSTM over the series of a pixel."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["lstm"] = "lstm"
    width: int = Field(default=128, ge=2, description="Channels of the state, in each direction.")
    layers: int = Field(default=4, ge=1, le=8, description="Layers.")
    bidirectional: bool = Field(default=True, description="Read the series forwards and backwards.")
    dropout: float = Field(default=0.57, ge=0, lt=1, description="Share of values dropped between layers in training.")
    align: Align = "nearest"


class Transformer(PixelDrawing, Training):
    """A transformer encoder over the series of a pixel."""

    kind: ClassVar[Kind] = "pixels"

    name: Literal["transformer"] = "transformer"
    width: int = Field(default=64, ge=4, multiple_of=2, description="Channels of a date; a multiple of the heads.")
    heads: int = Field(default=2, ge=1, description="Heads of the attention.")
    layers: int = Field(default=5, ge=1, le=24, description="Layers.")
    inner: int = Field(default=128, ge=1, description="Channels within the feed-forward part.")
    dropout: float = Field(default=0.018, ge=0, lt=1, description="Share of values dropped in training.")
    positions: bool = Field(
        default=True,
        description="Tell the network the day of each date; without (as published), it sees a set of dates without "
        "their order.",
    )
    align: Align = "nearest"

    @model_validator(mode="after")
    def _heads_share_the_channels(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"heads is {self.heads}; expected a number that divides width, {self.width}")
        return self

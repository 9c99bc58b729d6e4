"""Networks that see a neighbourhood: patches with a class per pixel, chips with one class."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.models.drawing import CutoutDrawing, Kind, PatchDrawing
from cropflow.config.models.training import Training

Align = Literal["nearest", "linear"]
_ALIGN = "How sensors on other dates than the first come to its dates: the nearest one, or a line between two."


class Patches(CutoutDrawing, Training):
    """What networks of patches share."""

    kind: ClassVar[Kind] = "patches"

    @property
    def smallest_side(self) -> int:
        """Side of the smallest square that the network takes, pixels."""
        return 1


class TemporalUnet(Patches):
    """A temporal CNN per pixel, then a U-Net."""

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
    align: Align = Field(default="nearest", description=_ALIGN)

    @property
    def smallest_side(self) -> int:
        """As often as the U-Net halves it."""
        return 1 << (len(self.widths) - 1)


class SiameseUnet3d(Patches):
    """A 3-D stem over time and a U-Net per sensor, joined before the head."""

    name: Literal["siamese_unet3d"] = "siamese_unet3d"
    width: int = Field(
        default=64, ge=2, multiple_of=2, description="Channels at full resolution; doubled at each halving."
    )
    halvings: int = Field(default=4, ge=1, le=6, description="How often the U-Nets halve the resolution.")
    collapse: Literal["kernel", "mean"] = Field(
        default="kernel",
        description="How time is collapsed: one weight per period and channel, which ties the network to the number "
        "of periods; or a mean over the valid dates, of any number, with the day of the year as two more channels.",
    )
    head_kind: Literal["eucropmap", "isrc"] = Field(
        default="eucropmap",
        description="From the joined features to classes: one 1 x 1 convolution, or a 3 x 3 convolution before it.",
    )

    @property
    def smallest_side(self) -> int:
        """As often as the U-Nets halve it."""
        return 1 << self.halvings

    @property
    def any_dates(self) -> bool:
        """Whether series may have other dates at each site: not where each period has a weight of its own."""
        return self.collapse != "kernel"


class ConvLstm(PatchDrawing, Training):
    """A convolutional LSTM over chips."""

    kind: ClassVar[Kind] = "chips"

    name: Literal["conv_lstm"] = "conv_lstm"
    hidden: tuple[int, ...] = Field(default=(64, 128), min_length=1, description="Channels of the state, per layer.")
    kernel_size: Literal[1, 3, 5, 7] = Field(default=3, description="Kernel over the pixels.")
    days: bool = Field(default=False, description="Tell the network the day of each date (one more channel).")
    align: Align = Field(default="nearest", description=_ALIGN)


class ConvStar(Patches):
    """Recurrent cells over squares, a stage per level of the legend, refined at the end (convSTAR)."""

    name: Literal["conv_star"] = "conv_star"
    hidden: int = Field(default=64, ge=1, description="Channels of the state of each layer.")
    layers: int = Field(
        default=6, ge=1, le=24, description="Recurrent layers; the levels of the legend are read off them evenly."
    )
    refinement: int = Field(default=128, ge=1, description="Channels of the label refinement.")
    dropout: float = Field(default=0.5, ge=0, lt=1, description="Share dropped in the label refinement, in training.")
    align: Align = Field(default="nearest", description=_ALIGN)


class Utae(Patches):
    """A U-Net with attention over time at its coarsest level (U-TAE)."""

    name: Literal["utae"] = "utae"
    encoder_widths: tuple[int, ...] = Field(
        default=(64, 64, 64, 128), min_length=2, description="Channels on the way down, from fine to coarse."
    )
    decoder_widths: tuple[int, ...] = Field(
        default=(32, 32, 64, 128),
        min_length=2,
        description="Channels on the way up, from fine to coarse: as many, and the last the same.",
    )
    heads: int = Field(default=16, ge=1, description="Heads of the attention; they divide every encoder width.")
    keys: int = Field(default=4, ge=1, description="Length of the keys of the attention.")
    model_width: int = Field(default=256, ge=2, description="Channels under attention; twice heads divide it.")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Share dropped after the attention, in training.")
    attention_dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of dates dropped, in training.")
    align: Align = Field(default="nearest", description=_ALIGN)

    @property
    def smallest_side(self) -> int:
        """As often as the encoder halves it; the reflected edge of the coarsest map needs a second pixel."""
        return 2 << (len(self.encoder_widths) - 1)

    @model_validator(mode="after")
    def _divisible(self) -> Self:
        for key, divisor in (("heads", self.heads), ("the groups of the norms", 4)):
            odd = [width for width in self.encoder_widths if width % divisor]
            if odd:
                raise ValueError(f"{key} {divisor} must divide every encoder width, and does not divide {odd[0]}")
        if self.model_width % (2 * self.heads):
            raise ValueError(f"twice heads {self.heads} must divide model_width {self.model_width}: sines and cosines")
        if len(self.encoder_widths) != len(self.decoder_widths) or self.encoder_widths[-1] != self.decoder_widths[-1]:
            raise ValueError(
                f"decoder_widths {list(self.decoder_widths)} must be as many as encoder_widths "
                f"{list(self.encoder_widths)} and end in the same width"
            )
        return self

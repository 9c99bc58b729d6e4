"""Networks over the pixel set of a parcel."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from cropflow.config.base import Section
from cropflow.config.models.drawing import Kind, PixelSetDrawing
from cropflow.config.models.training import Training

Width = Annotated[int, Field(ge=1)]
EvenWidth = Annotated[int, Field(ge=2, multiple_of=2)]
Pooling = Literal["mean", "std", "max", "min"]


class PixelSetEncoding(Section):
    """How the pixels of a parcel become one embedding per date, and how attention sees the dates."""

    pixel_widths: tuple[Width, ...] = Field(
        default=(32, 64), min_length=1, description="Channels of the layers over each pixel."
    )
    pooling: tuple[Pooling, ...] = Field(
        default=("mean", "std"), min_length=1, description="Taken over the valid pixels: mean, std, max, min."
    )
    date_width: EvenWidth = Field(default=128, description="Channels of the embedding of a date.")
    decoder_widths: tuple[Width, ...] = Field(
        default=(64, 32), description="Hidden channels between the embedding of a parcel and its scores."
    )
    period: float = Field(
        default=1000.0, gt=1, description="Days in which the slowest wave of the dates' positions moves by a radian."
    )
    dropout: float = Field(default=0.2, ge=0, lt=1, description="Share of the embedding dropped in training.")
    attention_dropout: float = Field(default=0.1, ge=0, lt=1, description="Share of the attention dropped in training.")
    parcel_features: bool = Field(
        default=True, description="Join perimeter, pixel count, fill ratio and perimeter over area."
    )
    align: Literal["nearest", "linear"] = Field(
        default="nearest",
        description="How sensors come to the dates of the first where they are joined on one axis: "
        "the nearest date, or linear interpolation.",
    )

    @model_validator(mode="after")
    def _poolings_differ(self) -> Self:
        if len(set(self.pooling)) < len(self.pooling):
            raise ValueError(f"pooling names one twice: {', '.join(self.pooling)}; expected each once")
        return self


class PseLtae(PixelSetEncoding, PixelSetDrawing, Training):
    """A pixel-set encoder and lightweight attention over time (PSE-LTAE), or another temporal encoder."""

    kind: ClassVar[Kind] = "pixel_sets"

    name: Literal["pse_ltae"] = "pse_ltae"
    temporal: Literal["ltae", "tae", "gru", "tempcnn"] = Field(
        default="ltae",
        description="Encoder of the dates: lightweight attention, attention, recurrent or convolutional.",
    )
    width: EvenWidth = Field(default=128, description="Channels of the embedding of a parcel.")
    attention_width: EvenWidth = Field(default=256, description="Of ltae: channels that its heads share.")
    heads: int | None = Field(
        default=None, ge=1, description="Of ltae and tae: attention heads; 16 and 4 where absent."
    )
    key_size: int | None = Field(
        default=None, ge=1, description="Of ltae and tae: channels of keys and queries; 8 and 32 where absent."
    )
    convolution_widths: tuple[Width, ...] = Field(
        default=(32, 32), description="Of tempcnn: channels of the convolutions before the last, which has `width`."
    )
    norm: Literal["date", "published"] = Field(
        default="date",
        description="Of ltae: norm of each date by itself, any number of dates; or over channels and `length` dates "
        "together, as published.",
    )
    length: int = Field(default=36, ge=1, description="Of norm published: dates of a series, at most.")
    history: Literal["none", "bag", "ordered"] = Field(
        default="none",
        description="Rotation history: not used; class shares summed over the earlier seasons, as published; or those "
        "of each earlier season in their order, with the share that nobody knows.",
    )

    @model_validator(mode="after")
    def _fits_the_encoder(self) -> Self:
        encoders = {
            "attention_width": ("ltae",),
            "heads": ("ltae", "tae"),
            "key_size": ("ltae", "tae"),
            "attention_dropout": ("ltae", "tae"),
            "convolution_widths": ("tempcnn",),
            "norm": ("ltae",),
            "length": ("ltae",),
        }
        for key, of in encoders.items():
            value = getattr(self, key)
            if self.temporal not in of and value != type(self).model_fields[key].default:
                raise ValueError(f"{key} is {value!r}; only temporal: {' and '.join(of)} has it")
        if self.temporal == "ltae" and self.attention_width % (2 * self.chosen_heads):
            raise ValueError(
                f"attention_width is {self.attention_width}; expected a multiple of {2 * self.chosen_heads}, "
                "an even number of channels for each head"
            )
        return self

    @property
    def chosen_heads(self) -> int:
        """Attention heads."""
        return self.heads or {"ltae": 16, "tae": 4}.get(self.temporal, 0)

    @property
    def chosen_key_size(self) -> int:
        """Channels of keys and queries."""
        return self.key_size or {"ltae": 8, "tae": 32}.get(self.temporal, 0)


class PseTsa(PixelSetEncoding, PixelSetDrawing, Training):
    """A pixel-set encoder and self-attention over time, sensors fused in five ways (PSE-TSA)."""

    kind: ClassVar[Kind] = "pixel_sets"

    name: Literal["pse_tsa"] = "pse_tsa"
    fusion: Literal["early", "pse", "tsa", "softmax_average", "softmax_product"] = Field(
        default="early",
        description="Where sensors meet: bands of pixels (early), embeddings of dates (pse) or of parcels (tsa), or "
        "probabilities, averaged or multiplied. Early and pse bring sensors to the dates of the first.",
    )
    heads: int = Field(default=4, ge=1, description="Attention heads.")
    key_size: int = Field(default=32, ge=1, description="Channels of keys and queries.")
    parcel_features: bool = Field(
        default=False, description="Join perimeter, pixel count, fill ratio and perimeter over area."
    )

    @model_validator(mode="after")
    def _probabilities_are_of_one_choice(self) -> Self:
        if self.loss == "binary" and self.fusion.startswith("softmax"):
            raise ValueError(
                f"fusion {self.fusion!r} gives the chances of one choice, and loss 'binary' asks each class by itself; "
                "expected another fusion, or another loss"
            )
        return self

"""What training draws anew for each sample: settings of batches."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cropflow.config.base import Section

# What a network learns from: patches (a class per pixel), pixel sets (the pixels of a parcel, one class),
# chips (a square around a parcel, one class) or single pixels of pixel sets.
Kind = Literal["patches", "pixel_sets", "chips", "pixels"]


class Drawing(Section):
    """How batches are drawn."""

    kind: ClassVar[Kind]

    batch_size: int = Field(
        default=16, ge=1, description="Samples per step: patches or squares cut from them, chips, parcels, pixels."
    )
    sampling: Literal["uniform", "balanced"] = Field(
        default="uniform",
        description="Each sample once an epoch, or each class as often as any other, in an epoch as long: samples of "
        "rare classes several times, of common ones not all. A patch counts for the rarest class that it holds.",
    )
    truncate: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="Chance that a training sample loses all dates after a random day, the same of all its sensors: "
        "for models that are to be applied before the season ends.",
    )
    dates: int | None = Field(
        default=None,
        ge=1,
        description="Dates drawn of each sensor of a training sample, at random and in order; all where absent.",
    )

    @property
    def any_dates(self) -> bool:
        """Whether series may have other dates at each site, as acquisitions do."""
        return True


class PatchDrawing(Drawing):
    """How batches of patches or chips are drawn."""

    flips: bool = Field(default=True, description="Random flips and quarter turns, one draw for all dates.")


class CutoutDrawing(PatchDrawing):
    """How batches of patches are drawn by networks that take squares of any size."""

    cutout: int | None = Field(
        default=None,
        ge=4,
        description="Side of squares that training cuts from the patches at random, pixels: a step of many small "
        "squares sees more parcels than one of a few whole patches. Whole patches where absent.",
    )


class Jitter(Section):
    """Noise on the values of training, in standard deviations of their band."""

    sigma: float = Field(default=0.01, gt=0, description="Spread of the noise.")
    clip: float = Field(default=0.05, gt=0, description="Largest noise.")


class PixelSetDrawing(Drawing):
    """How batches of parcels are drawn."""

    batch_size: int = Field(default=64, ge=1, description="Parcels per step.")
    pixels: int = Field(
        default=64, ge=1, description="Pixels drawn from each parcel at a step of training; all of them otherwise."
    )
    jitter: Jitter | None = Field(default=None, description="Noise on the values of training; none where absent.")


class PixelDrawing(Drawing):
    """How batches of single pixels are drawn."""

    batch_size: int = Field(default=512, ge=1, description="Pixels per step.")
    pixels: int = Field(default=16, ge=1, description="Pixels drawn from each parcel in an epoch of training.")

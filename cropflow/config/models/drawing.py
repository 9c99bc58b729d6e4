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

    # Whether series may have other dates at each site, as acquisitions do.
    any_dates: ClassVar[bool] = True
    kind: ClassVar[Kind]

    batch_size: int = Field(default=16, ge=1, description="Samples per step: patches, squares cut from them, parcels.")


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


class PixelSetDrawing(Drawing):
    """How batches of parcels are drawn."""

    pixels: int = Field(
        default=64, ge=1, description="Pixels drawn from each parcel at a step of training; all of them otherwise."
    )


class PixelDrawing(Drawing):
    """How batches of single pixels are drawn."""

    pixels: int = Field(default=16, ge=1, description="Pixels drawn from each parcel in an epoch of training.")

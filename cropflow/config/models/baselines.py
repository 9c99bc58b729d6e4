"""scikit-learn classifiers on flattened series."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from cropflow.config.base import Section


class RandomForest(Section):
    """A forest on the flattened series of each pixel."""

    any_dates: ClassVar[bool] = False

    name: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=200, ge=1, description="Number of trees.")
    max_depth: int | None = Field(default=None, ge=1, description="Depth of a tree; unlimited where absent.")
    minimum_leaf: int = Field(default=1, ge=1, description="Samples in a leaf, at least.")
    pixels_per_parcel: int = Field(default=16, ge=1, description="Pixels drawn from each training parcel.")
    maximum_pixels: int = Field(default=200_000, ge=100, description="Training pixels, at most.")


class GradientBoosting(Section):
    """Boosted trees on the flattened series of each pixel."""

    any_dates: ClassVar[bool] = False

    name: Literal["gradient_boosting"] = "gradient_boosting"

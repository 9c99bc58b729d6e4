"""scikit-learn classifiers on flattened series."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from cropflow.config.base import Section

_PIXELS = ("pixels_per_parcel", "maximum_pixels")


class Flattened(Section):
    """What classifiers on flattened series share: what they classify, and how much of it they learn from."""

    unit: Literal["pixel", "parcel"] = Field(
        default="pixel",
        description="What is classified: each pixel by its series, or each parcel by the mean series of its pixels.",
    )
    pixels_per_parcel: int = Field(
        default=16, ge=1, description="Unit pixel: pixels drawn from each training parcel, at most."
    )
    maximum_pixels: int = Field(default=200_000, ge=100, description="Unit pixel: training pixels, at most.")

    @property
    def any_dates(self) -> bool:
        """Whether series may have other dates at each site: never, since each date is a feature of its own."""
        return False

    @model_validator(mode="after")
    def _parcels_are_not_drawn(self) -> Self:
        for key in _PIXELS if self.unit == "parcel" else ():
            if getattr(self, key) != type(self).model_fields[key].default:
                raise ValueError(f"unit: parcel learns from all parcels and all of their pixels; drop {key}")
        return self


class RandomForest(Flattened):
    """A forest on the flattened series of each pixel or parcel."""

    name: Literal["random_forest"] = "random_forest"
    trees: int = Field(default=200, ge=1, description="Number of trees.")
    max_depth: int | None = Field(default=None, ge=1, description="Depth of a tree; unlimited where absent.")
    minimum_leaf: int = Field(default=1, ge=1, description="Samples in a leaf, at least.")


class GradientBoosting(Flattened):
    """Boosted trees on the flattened series of each pixel or parcel."""

    name: Literal["gradient_boosting"] = "gradient_boosting"
    learning_rate: float = Field(default=0.1, gt=0, le=1, description="Share of each new tree that is added.")
    iterations: int = Field(default=200, ge=1, description="Rounds of one tree per class, at most.")
    leaves: int = Field(default=31, ge=2, description="Leaves of a tree, at most.")
    minimum_leaf: int = Field(default=20, ge=1, description="Samples in a leaf, at least.")
    l2: float = Field(default=0.0, ge=0, description="Penalty on the values of leaves.")
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="Weights of samples: all the same, or so that classes weigh the same in sum."
    )
    patience: int | None = Field(
        default=10,
        ge=1,
        description="Rounds without a lower loss on the validation fold before stopping; all rounds where absent.",
    )

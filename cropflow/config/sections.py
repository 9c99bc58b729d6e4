"""The config sections of seasons, samples and experiments, in the order of the rooms."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from cropflow.config.base import Name, Section
from cropflow.config.imagery import Sensor
from cropflow.config.models import Baseline, Model, Network
from cropflow.config.models.training import LOSS_SETTINGS
from cropflow.config.models.transfer import Transfer
from cropflow.config.shipped import check_legend_key
from cropflow.config.tuning import Tuning


class Season(Section):
    """A named range of dates, across New Year where needed."""

    start: datetime.date = Field(description="First day, inclusive, UTC. Quote it in YAML.")
    end: datetime.date = Field(description="Last day, inclusive, UTC. Quote it in YAML.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end <= self.start:
            raise ValueError(f"end {self.end} is not after start {self.start}")
        return self


class Folds(Section):
    """Spatial cross-validation."""

    count: int = Field(default=5, ge=3, le=20, description="Number of folds; fold i is tested, i + 1 validates.")
    block_m: float = Field(default=640.0, gt=0, description="Side of the square blocks, metres.")
    ring_m: float = Field(default=20.0, ge=0, description="Ignored on either side of a border between folds, metres.")

    @model_validator(mode="after")
    def _leaves_ground(self) -> Self:
        if 2 * self.ring_m >= self.block_m:
            raise ValueError(
                f"ring_m {self.ring_m:g} on both sides leaves nothing of a block of block_m {self.block_m:g}; "
                f"expected less than {self.block_m / 2:g}"
            )
        return self


class SampleSet(Section):
    """How parcels and composites become samples."""

    series: Name = Field(description="Entry of series.")
    sensors: tuple[Sensor, ...] = Field(
        default=("sentinel2",), min_length=1, description="Whose composites the samples hold, in this order."
    )
    legend: Annotated[str, AfterValidator(check_legend_key)] = Field(
        default="cropflow", description="Legend of the labels: a name, or the path of a CSV file of one's own."
    )
    patch_size: int = Field(default=64, ge=8, le=512, description="Rows and columns of a patch, pixels.")
    chip_size: int = Field(default=65, ge=5, le=512, description="Rows and columns of the chip of a parcel, pixels.")
    chips_per_crop: int | None = Field(
        default=None, ge=1, description="Chips of a crop in a fold, at most, the same ones always; all where absent."
    )
    minimum_dates: int | None = Field(
        default=None,
        ge=1,
        description="Dates with a value by which a sensor sees a pixel; a pixel that one sensor sees is learnt from, "
        "without the others. Absent: every sensor must see it in every period.",
    )
    history: int = Field(default=0, ge=0, le=20, description="Earlier seasons of the parcels that pixel sets tell of.")
    inner_buffer_m: float = Field(default=10.0, ge=0, description="Rim of a parcel that is ignored, metres.")
    background: bool = Field(default=False, description="Learn and score out-of-legend parcels as class 0.")
    outside: Literal["unknown", "background"] = Field(
        default="unknown", description="What pixels outside parcels are; a register is rarely complete."
    )
    folds: Folds = Folds()
    shuffle_crops: bool = Field(default=False, description="Sanity check: deal the crops out to the parcels at random.")

    @model_validator(mode="after")
    def _each_sensor_once(self) -> Self:
        if len(set(self.sensors)) != len(self.sensors):
            raise ValueError(f"sensors {list(self.sensors)} name a sensor twice")
        return self


class Place(Section):
    """A region in a season."""

    region: Name = Field(description="Entry of regions.")
    season: Name = Field(description="Entry of seasons.")


class Experiment(Section):
    """A sample set, a model, where it learns and what it maps."""

    set_: Name = Field(alias="set", description="Entry of sets.")
    model: Model = Field(description="name, and the settings of that model.")
    tuning: Tuning | None = Field(default=None, description="Search for settings of the model; none where absent.")
    transfer: Transfer | None = Field(default=None, description="A network that starts from another experiment's.")
    train: tuple[Place, ...] = Field(min_length=1, description="Where to learn and to be tested, by folds.")
    map: tuple[Place, ...] = Field(default=(), description="What to map; may have no labels.")
    compare: tuple[Name, ...] = Field(default=(), description="Experiments shown beside this one in the report.")
    seed: int = Field(default=0, ge=0, description="Seed of everything random in training.")
    minimum_test_parcels: int = Field(
        default=100, ge=1, description="The report warns where a test fold has fewer parcels."
    )

    @model_validator(mode="after")
    def _tunes_what_there_is(self) -> Self:
        for _ in self.variants():
            pass  # each is checked as it is made
        if self.tuning is None or self.tuning.metric != "loss":
            return self
        for key in self.tuning.parameters:
            if key in LOSS_SETTINGS:
                raise ValueError(
                    f"tuning.metric is 'loss', and tuning.parameters names {key!r}, which changes what a loss is; "
                    "expected metric 'balanced_accuracy', by which such trials can be compared"
                )
        return self

    def variants(self) -> Iterator[tuple[str, Network | Baseline]]:
        """The model, and the model with each value that a search may give one of its settings; of a span, its ends.

        Yields:
            The key that says so, below the experiment's, and the model.

        Raises:
            ValueError: If a value does not fit the model.
        """
        yield "model", self.model
        if self.tuning is None:
            return
        section, given = type(self.model), self.model.model_dump()
        for key, choice in self.tuning.parameters.items():
            if key not in section.model_fields or key == "name":
                raise ValueError(
                    f"tuning.parameters names {key!r}; {self.model.name} has: "
                    f"{', '.join(sorted(set(section.model_fields) - {'name'}))}"
                )
            values = choice if isinstance(choice, tuple) else (choice.low, choice.high)
            for value in values:
                number = int(value) if not isinstance(choice, tuple) and choice.whole else value
                try:
                    yield f"tuning.parameters.{key}", section.model_validate(given | {key: number})
                except ValidationError as error:
                    why = error.errors()[0]["msg"].removeprefix("Value error, ")
                    raise ValueError(f"tuning.parameters.{key} holds {value!r}: {why[0].lower()}{why[1:]}") from None

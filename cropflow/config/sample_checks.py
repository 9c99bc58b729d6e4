"""What a sample set needs of the model, the series and the registers of an experiment."""

from __future__ import annotations

from collections.abc import Mapping

from cropflow.config.imagery import Series
from cropflow.config.models.drawing import CutoutDrawing
from cropflow.config.models.parcels import PseLtae
from cropflow.config.regions import Region
from cropflow.config.registers import Register
from cropflow.config.sections import Experiment, SampleSet


def check_dates(name: str, experiment: Experiment, chosen: SampleSet, series: Series) -> None:
    """Check that a model can take the dates of the series.

    Args:
        name: Name of the experiment.
        experiment: The experiment.
        chosen: Its sample set.
        series: The series of the set.

    Raises:
        ValueError: If sites differ in their dates, and the model needs the same of all, or the set does not say how
            many a pixel needs.
    """
    if series.period != "acquisitions":
        return
    for key, model in experiment.variants():
        if not model.any_dates:
            raise ValueError(
                f"experiments.{name}.{key} makes a {model.name} that needs the same dates at all sites; "
                f"series.{chosen.series}.period is 'acquisitions'; expected periods of a calendar, or another model"
            )
    if chosen.minimum_dates is None:
        raise ValueError(
            f"sets.{experiment.set_}.minimum_dates is missing, and series.{chosen.series}.period is 'acquisitions', of "
            "which no pixel is seen on all; expected the dates that a pixel needs, such as 5"
        )


def check_squares(name: str, experiment: Experiment, chosen: SampleSet) -> None:
    """Check that squares are cut from patches that hold them.

    Args:
        name: Name of the experiment.
        experiment: The experiment.
        chosen: Its sample set.

    Raises:
        ValueError: If a square is larger than a patch.
    """
    for key, model in experiment.variants():
        cutout = model.cutout if isinstance(model, CutoutDrawing) else None
        if cutout is not None and cutout > chosen.patch_size:
            raise ValueError(
                f"experiments.{name}.{key} gives a cutout of {cutout}; sets.{experiment.set_}.patch_size is "
                f"{chosen.patch_size}; expected at most as many"
            )


def check_history(
    name: str,
    experiment: Experiment,
    chosen: SampleSet,
    regions: Mapping[str, Region],
    registers: Mapping[str, Register],
) -> None:
    """Check that the set has a history where the model wants one, and that the registers look back as far.

    Args:
        name: Name of the experiment.
        experiment: The experiment.
        chosen: Its sample set.
        regions: All regions.
        registers: All registers.

    Raises:
        ValueError: If the model's history has no earlier season, or a register looks back less far.
    """
    for key, model in experiment.variants():
        if isinstance(model, PseLtae) and model.history != "none" and not chosen.history:
            raise ValueError(
                f"experiments.{name}.{key} asks for history {model.history!r}; sets.{experiment.set_}.history is 0; "
                "expected at least 1, or history 'none'"
            )
    for place in experiment.train:
        register = regions[place.region].register_
        if register is not None and registers[register].history.years < chosen.history:
            raise ValueError(
                f"sets.{experiment.set_}.history is {chosen.history}; registers.{register}.history.years is "
                f"{registers[register].history.years}; expected at most as many"
            )

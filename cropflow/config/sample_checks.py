"""What a sample set needs of the model, the series and the registers of an experiment."""

from __future__ import annotations

from collections.abc import Mapping

from cropflow.config.imagery import Series
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
    if not experiment.model.any_dates:
        raise ValueError(
            f"experiments.{name}.model is {experiment.model.name!r}, which needs the same dates at all sites; "
            f"series.{chosen.series}.period is 'acquisitions'; expected periods of a calendar, or another model"
        )
    if chosen.minimum_dates is None:
        raise ValueError(
            f"sets.{experiment.set_}.minimum_dates is missing, and series.{chosen.series}.period is 'acquisitions', of "
            "which no pixel is seen on all; expected the dates that a pixel needs, such as 5"
        )


def check_history(
    experiment: Experiment, chosen: SampleSet, regions: Mapping[str, Region], registers: Mapping[str, Register]
) -> None:
    """Check that the registers of the training places look back as far as the set asks.

    Args:
        experiment: The experiment.
        chosen: Its sample set.
        regions: All regions.
        registers: All registers.

    Raises:
        ValueError: If one looks back less far.
    """
    for place in experiment.train:
        register = regions[place.region].register_
        if register is not None and registers[register].history.years < chosen.history:
            raise ValueError(
                f"sets.{experiment.set_}.history is {chosen.history}; registers.{register}.history.years is "
                f"{registers[register].history.years}; expected at most as many"
            )

"""What a sample set needs of the model, the series and the registers of an experiment."""

from __future__ import annotations

from collections.abc import Mapping

from cropflow.config.imagery import Series
from cropflow.config.models import Baseline, Network
from cropflow.config.models.parcels import PseLtae, PseTsa
from cropflow.config.models.patches import Patches
from cropflow.config.regions import Region
from cropflow.config.registers import Register
from cropflow.config.sections import Experiment, SampleSet

# Settings by which a model with a weight for each date takes any dates.
ANY_DATES = {"siamese_unet3d": "collapse: mean, ", "temp_cnn": "pooling: mean, "}


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
    for at, model in experiment.variants():
        if not model.any_dates:
            raise ValueError(
                f"experiments.{name}.{at} is {model.name!r}, which needs the same dates at all sites; "
                f"series.{chosen.series}.period is 'acquisitions'; expected periods of a calendar, "
                f"{ANY_DATES.get(model.name, '')}or another model"
            )
    if chosen.minimum_dates is None:
        raise ValueError(
            f"sets.{experiment.set_}.minimum_dates is missing, and series.{chosen.series}.period is 'acquisitions', of "
            "which no pixel is seen on all; expected the dates that a pixel needs, such as 5"
        )


def check_model(name: str, experiment: Experiment, chosen: SampleSet) -> None:
    """Check that a sample set has what a model's settings ask for.

    Args:
        name: Name of the experiment.
        experiment: The experiment.
        chosen: Its sample set.

    Raises:
        ValueError: If squares are cut larger than their patches, or too small to be halved as often as the network
            does; if the set has no history for a model that reads it, or one sensor for a model that is to fuse some.
    """
    for at, model in experiment.variants():
        _check_variant(model, f"experiments.{name}.{at}", chosen, f"sets.{experiment.set_}")


def _check_variant(model: Network | Baseline, at: str, chosen: SampleSet, of: str) -> None:
    # What a search tries is told by the key of the search.
    key = at if at.endswith(".model") else f"{at}: model"
    if isinstance(model, Patches):
        _check_squares(model, key, chosen, of)
    if isinstance(model, PseLtae) and model.history != "none" and not chosen.history:
        raise ValueError(
            f"{key}.history is {model.history!r}; {of}.history is 0; expected the number of earlier seasons in the "
            "set, or history: none"
        )
    if isinstance(model, PseTsa) and model.fusion != "early" and len(chosen.sensors) == 1:
        raise ValueError(
            f"{key}.fusion is {model.fusion!r}; {of}.sensors has {chosen.sensors[0]} alone; expected several sensors, "
            "or no fusion"
        )


def _check_squares(model: Patches, key: str, chosen: SampleSet, of: str) -> None:
    if model.cutout is not None and model.cutout > chosen.patch_size:
        raise ValueError(f"{key}.cutout is {model.cutout}; expected at most {chosen.patch_size}, {of}.patch_size")
    side, where = (chosen.patch_size, f"{of}.patch_size") if model.cutout is None else (model.cutout, f"{key}.cutout")
    if side < model.smallest_side:
        raise ValueError(
            f"{where} is {side}; the model halves its squares until less than a pixel is left; expected at least "
            f"{model.smallest_side}, or a model that halves them less often"
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

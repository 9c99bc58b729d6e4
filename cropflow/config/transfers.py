"""Cross-checks of what experiments train with: sensors to drop, and weights that come from other experiments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cropflow.config.models import Training
from cropflow.config.models.transfer import architecture
from cropflow.config.sections import Experiment, SampleSet
from cropflow.errors import listing


def check_sensor_dropout(name: str, experiment: Experiment, sets: Mapping[str, SampleSet]) -> None:
    """Refuse to drop the one sensor that there is.

    Raises:
        ValueError: If the sample set has no second sensor.
    """
    sensors = sets[experiment.set_].sensors
    for key, model in experiment.variants() if len(sensors) == 1 else ():
        if isinstance(model, Training) and model.sensor_dropout:
            where = f"{key}.sensor_dropout" if key == "model" else key
            raise ValueError(
                f"experiments.{name}.{where} is {model.sensor_dropout:g}, and sets.{experiment.set_}.sensors has "
                f"{sensors[0]} alone; expected 0, or a set of several sensors"
            )


def check_transfer(name: str, experiments: Mapping[str, Experiment], sets: Mapping[str, SampleSet]) -> None:
    """Check that an experiment can start from another's weights, and that these have not seen its test blocks.

    Args:
        name: The experiment.
        experiments: All of them; those that transfers name are among them.
        sets: All sample sets.

    Raises:
        ValueError: If transfers go round in a circle, the networks or sensors differ, or a test block may have been a
            training block of an experiment before.
    """
    sources = _sources(name, experiments)
    if not sources:
        return
    key, experiment, source = f"experiments.{name}", experiments[name], experiments[sources[0]]
    _check_models(key, experiment, sources[0], source)
    ours, theirs = sets[experiment.set_], sets[source.set_]
    if ours.sensors != theirs.sensors:
        raise ValueError(
            f"{key}.transfer.experiment is {sources[0]!r}, whose set has the sensors {listing(theirs.sensors)}; "
            f"sets.{experiment.set_}.sensors has {listing(ours.sensors)}; expected the same in the same order"
        )
    if ours.folds.count != theirs.folds.count:
        raise ValueError(
            f"{key}.transfer.experiment is {sources[0]!r}, whose set has {theirs.folds.count} folds; "
            f"sets.{experiment.set_}.folds.count is {ours.folds.count}; expected the same: fold i starts from fold i"
        )
    # The weights of a chain of transfers have seen what each of them was trained on.
    for earlier in sources:
        _check_folds(key, name, earlier, experiments, sets)


def with_sources(names: Iterable[str], experiments: Mapping[str, Experiment]) -> list[str]:
    """Experiments, and those whose weights they start from, each once."""
    return list(dict.fromkeys(found for name in names for found in (name, *_sources(name, experiments))))


def _sources(name: str, experiments: Mapping[str, Experiment]) -> list[str]:
    """The experiments that a transfer goes back to, the nearest first."""
    found: list[str] = []
    transfer = experiments[name].transfer
    while transfer is not None:
        if transfer.experiment in (name, *found):
            circle = " <- ".join((name, *found, transfer.experiment))
            raise ValueError(
                f"experiments.{name}.transfer goes round in a circle: {circle}; expected an experiment that starts "
                "from fresh weights in the end"
            )
        found.append(transfer.experiment)
        transfer = experiments[transfer.experiment].transfer
    return found


def _check_models(key: str, experiment: Experiment, other: str, source: Experiment) -> None:
    ours, theirs = experiment.model, source.model
    if not isinstance(ours, Training):
        raise ValueError(f"{key}.transfer belongs to networks; {key}.model is {ours.name!r}; expected no transfer")
    named = f"{key}.transfer.experiment is {other!r}"
    if not isinstance(theirs, Training) or ours.name != theirs.name:
        raise ValueError(f"{named}, whose model is {theirs.name!r}; expected {ours.name!r}, the model of {key}")
    known = architecture(theirs)
    for setting, value in architecture(ours).items():
        if known[setting] != value:
            raise ValueError(
                f"{named}, whose model has {setting} {known[setting]}; {key}.model.{setting} is {value}; "
                "expected the same: its weights belong to it"
            )
    for owner, tuning in ((key, experiment.tuning), (f"experiments.{other}", source.tuning)):
        for setting in sorted(known.keys() & (tuning.parameters if tuning else {})):
            raise ValueError(
                f"{owner}.tuning.parameters names {setting!r}, which the weights of a transfer belong to; "
                "expected settings of training alone, of the experiment and of the one that it starts from"
            )
    if experiment.tuning and "learning_rate" in experiment.tuning.parameters:
        raise ValueError(
            f"{key}.tuning.parameters names 'learning_rate', and a transfer has steps of its own: every trial would be "
            f"the same; expected other settings, and the steps under {key}.transfer"
        )
    usual = Training.model_fields["learning_rate"].default
    if ours.learning_rate != usual:
        raise ValueError(
            f"{key}.model.learning_rate is {ours.learning_rate:g}, and a transfer has steps of its own; expected "
            f"{key}.transfer.learning_rate_head and .learning_rate in its place"
        )


def _check_folds(
    key: str, name: str, earlier: str, experiments: Mapping[str, Experiment], sets: Mapping[str, SampleSet]
) -> None:
    """Refuse two layouts of folds on one region: test blocks of one would be training blocks of the other."""
    ours, theirs = experiments[name].set_, experiments[earlier].set_
    shared = {place.region for place in experiments[name].train} & {
        place.region for place in experiments[earlier].train
    }
    for region in sorted(shared):
        # What blocks are dealt out by; see cropflow.samples.folds.
        layouts = [
            (sets[each].folds, sets[each].legend, sets[each].background, _seasons(each, region, experiments))
            for each in (ours, theirs)
        ]
        if ours != theirs and layouts[0] != layouts[1]:
            raise ValueError(
                f"{key}.transfer goes back to {earlier!r}, which trains on the region {region!r} by the folds of the "
                f"set {theirs!r}; those of {ours!r} may differ, and its test blocks have been trained on; expected one "
                "set, or the same folds, legend, background and seasons in both"
            )


def _seasons(name: str, region: str, experiments: Mapping[str, Experiment]) -> set[str]:
    """Seasons in which experiments learn from a region with a set: their folds are laid out together."""
    places = [place for each in experiments.values() if each.set_ == name for place in each.train]
    return {place.season for place in places if place.region == region}

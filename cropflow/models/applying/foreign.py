"""Published checkpoints as predictors: what they do not carry, statistics and classes, comes with them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropflow.config.models import NETWORKS
from cropflow.errors import CropflowError, listing
from cropflow.files.atomic import read_json
from cropflow.models.applying.ensemble import Average, join
from cropflow.models.applying.prediction import Predictor, network_predictor
from cropflow.models.checkpoints import Description
from cropflow.models.data.statistics import FeatureStatistics, Statistics
from cropflow.samples.sensors import KINDS, Layout

if TYPE_CHECKING:
    from cropflow.models.network import Network

# The loss of all published networks that are read: a softmax over the classes.
_LOSS = "cross_entropy"


@dataclass(frozen=True)
class Given:
    """What a published checkpoint does not carry.

    Attributes:
        statistics: Normalisation of each sensor, in the order of the network's.
        features: Normalisation of the features of parcels; None where the network takes none.
        classes: Legend ids in the order of its outputs.
        legend: Their legend.
    """

    statistics: tuple[Statistics, ...]
    features: FeatureStatistics | None
    classes: tuple[int, ...]
    legend: str


@dataclass(frozen=True)
class Applied:
    """What a checkpoint is applied to.

    Attributes:
        layouts: Axes of the series.
        lags: Earlier seasons of the history that comes with them.
        patch_size: Rows and columns of a patch or chip.
        minimum_dates: Dates by which a sensor sees a pixel; None: all.
    """

    layouts: tuple[Layout, ...]
    lags: int = 0
    patch_size: int = 64
    minimum_dates: int | None = None


def read_statistics(path: Path) -> tuple[tuple[Statistics, ...], FeatureStatistics | None]:
    """Read a file such as ``statistics.json`` of a trained model.

    Args:
        path: JSON: ``sensors``, a list of ``sensor``, ``bands``, ``mean`` and ``deviation`` (in stored numbers:
            reflectance x 10000, dB x 100) and ``shifts`` of derived bands; and ``features`` with ``mean`` and
            ``deviation``, where the network takes the features of parcels.

    Raises:
        CropflowError: If the file is missing or not of this form.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected JSON with mean and deviation of each sensor's bands.")
    content: Mapping[str, Any] = read_json(path, "Give a file such as statistics.json of a trained model.")
    try:
        sensors = tuple(_sensor(entry) for entry in content["sensors"])
        features = content.get("features")
        known = None
        if features is not None:
            known = FeatureStatistics(tuple(features["mean"]), tuple(features["deviation"]), 0)
    except (KeyError, TypeError) as error:
        raise CropflowError(
            f"{path} lacks {error}; expected sensors, each with sensor, bands, mean and deviation, as statistics.json "
            "of a trained model has them."
        ) from None
    for found in sensors:
        lengths = {len(values) for values in (found.bands, found.mean, found.deviation, found.shifts)}
        if found.sensor not in KINDS or len(lengths) != 1 or min(found.deviation, default=0) <= 0:
            raise CropflowError(
                f"{path} has {found.sensor!r} with {len(found.bands)} bands, {len(found.mean)} means, "
                f"{len(found.deviation)} deviations and {len(found.shifts)} shifts; expected one of {listing(KINDS)}, "
                "as many of each, deviations above 0."
            )
    return sensors, known


def _sensor(entry: Mapping[str, Any]) -> Statistics:
    bands = tuple(str(band) for band in entry["bands"])
    mean, deviation = (tuple(float(value) for value in entry[key]) for key in ("mean", "deviation"))
    counts = (0,) * len(bands)
    return Statistics(str(entry["sensor"]), bands, mean, deviation, counts, tuple(entry.get("shifts", counts)))


def load_foreign(
    checkpoints: Sequence[Path], given: Given, applied: Applied, average: Average = "probability"
) -> Predictor:
    """Load published checkpoints, such as those of all folds, as one model.

    Args:
        checkpoints: Files of one family; read without running any code of theirs.
        given: What they do not carry.
        applied: What they will be applied to.
        average: How their probabilities are averaged.

    Raises:
        CropflowError: If a file is no checkpoint that is known, or has other outputs than classes were given.
    """
    from cropflow.models import load_published

    members = [_predictor(path, load_published(path), given, applied) for path in checkpoints]
    return join(members, [str(path) for path in checkpoints], average)


def _predictor(path: Path, network: Network, given: Given, applied: Applied) -> Predictor:
    # Networks of parcels say in their settings whether they take features.
    if getattr(getattr(network, "settings", None), "parcel_features", False) and given.features is None:
        raise CropflowError(
            f"{path} takes the features of parcels, and --statistics has none; expected features with the mean and "
            "deviation of perimeter, pixel count, fill ratio and perimeter over area."
        )
    outputs = _outputs(network)
    if outputs != len(given.classes):
        raise CropflowError(
            f"{path} has {outputs} outputs, and --classes names {len(given.classes)} ids; expected an id of the legend "
            "for each output, in its order."
        )
    name = type(network).__module__.rpartition(".")[2]
    taken = importlib.import_module(f"cropflow.models.published.{name}").bands(network)
    told = [f"{found.sensor} {band}" for found in given.statistics for band in found.bands]
    if len(told) != taken:
        raise CropflowError(
            f"{path} takes {taken} bands per date, and --statistics tells of {len(told)} ({listing(told)}); expected "
            "those that it learnt from, in their order, and samples of them."
        )
    by_sensor = {layout.sensor: layout for layout in applied.layouts}
    missing = [found.sensor for found in given.statistics if found.sensor not in by_sensor]
    if missing:
        raise CropflowError(
            f"--statistics tells of {listing(missing)}, and the series are of {listing(by_sensor)}; expected the same."
        )
    # Its own bands, in its order: series of other bands are then refused like those of any model.
    layouts = tuple(replace(by_sensor[found.sensor], bands=found.bands) for found in given.statistics)
    description = Description(
        settings=NETWORKS[name](),  # type: ignore[arg-type]
        kind=network.kind,
        legend=given.legend,
        classes=given.classes,
        levels=(),
        layouts=layouts,
        patch_size=applied.patch_size,
        # Of composites no history is known before it is read: the network says what it takes.
        lags=applied.lags or int(getattr(network, "lags", 0)),
        fold=0,
        folds=1,
        statistics=given.statistics,
        features=given.features,
        minimum_dates=applied.minimum_dates,
    )
    return network_predictor(network, description, _LOSS)


def _outputs(network: Network) -> int:
    """Classes that a network scores: the rows of the last weights of its head."""
    return int(list(network.head.parameters())[-1].shape[0])

"""What the page is made from, read once."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropflow.errors import CropflowError, listing
from cropflow.files.atomic import read_json
from cropflow.files.tables import read_table

if TYPE_CHECKING:
    import pandas

    from cropflow.labels.legend import Legend


@dataclass(frozen=True)
class PlaceInputs:
    """The files of one place that the experiment learnt from.

    Attributes:
        name: ``region/season``.
        register: Register and season, as its folders are called; places may share one.
        samples: Sample folder.
        counts: Content of its ``summary.json``.
        folds: Content of ``folds.json``.
        composites: Sensor -> Zarr store, in the order of the sample set.
        scenes: Sensor -> table of all its scenes, kept and dropped.
        labels: Summary of the cleaned register.
        crops: Summary of the mapping to the legend.
        parcels: Summary of the parcels clipped to the sites.
    """

    name: str
    register: str
    samples: Path
    counts: dict[str, Any]
    folds: dict[str, Any]
    composites: dict[str, Path]
    scenes: dict[str, pandas.DataFrame]
    labels: dict[str, Any]
    crops: dict[str, Any]
    parcels: dict[str, Any]


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page shows.

    Attributes:
        experiment: Name.
        settings: The experiment, its set, series, seasons and simulations.
        legend: The legend.
        places: Places learnt from.
        models: ``model.json`` per fold.
        histories: Rows of ``history.csv`` per fold; empty cells are NaN.
        metrics: Experiment -> content of its ``metrics.json``; the page's own first.
        confusion: Long table of matrices.
        maps: ``region/season`` -> folder of its map.
        oracles: Simulation -> content of ``oracle.json``.
        compared_models: Other experiment -> ``model.json`` of its folds, where they were given.
        tuning: ``tuning.json`` per fold, where the experiment searches for settings.
    """

    experiment: str
    settings: dict[str, Any]
    legend: Legend
    places: tuple[PlaceInputs, ...]
    models: dict[int, dict[str, Any]]
    histories: dict[int, list[dict[str, float]]]
    metrics: dict[str, dict[str, Any]]
    confusion: pandas.DataFrame
    maps: dict[str, Path]
    oracles: dict[str, dict[str, Any]]
    compared_models: dict[str, list[dict[str, Any]]]
    tuning: list[dict[str, Any]]

    @property
    def own(self) -> dict[str, Any]:
        """The metrics of the page's own experiment."""
        return self.metrics[self.experiment]

    @property
    def sensors(self) -> tuple[str, ...]:
        """Sensors of the samples, in order."""
        return tuple(self.places[0].composites)

    @property
    def label_maps(self) -> tuple[str, ...]:
        """Registers, with their seasons, whose labels are a map's: scores against them are agreement."""
        return tuple(sorted({place.register for place in self.places if place.labels.get("kind") == "map"}))

    @property
    def finest(self) -> str:
        """Key of the finest level in the metrics."""
        return f"level_{self.legend.levels}"


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a ``history.csv``; empty cells become NaN."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            {key: float(value) if value else float("nan") for key, value in row.items()}
            for row in csv.DictReader(handle)
        ]


def check_settings(settings: Any) -> None:
    """Check what the page needs of ``--settings``.

    Raises:
        CropflowError: If the experiment or its set is missing.
    """
    from cropflow.config.root import parse
    from cropflow.config.sections import Experiment, SampleSet

    for key, model in (("experiment", Experiment), ("set", SampleSet)):
        if not isinstance(settings, Mapping) or key not in settings:
            raise CropflowError(f"--settings lacks {key!r}; expected the keys experiment and set.")
        parse(model, settings[key], f"--settings {key}")


def by_experiment(files: Sequence[Path], experiment: str) -> dict[str, Path]:
    """Name of the folder -> its ``metrics.json``, the page's own experiment first.

    Raises:
        CropflowError: If the experiment's own is missing, or two are of one name.
    """
    found = {file.parent.name: file for file in files}
    if len(found) != len(files):
        raise CropflowError(
            f"--evaluation names an experiment twice ({listing(file.parent.name for file in files)}); "
            "expected each once."
        )
    if experiment not in found:
        raise CropflowError(
            f"--evaluation names {listing(found) or 'nothing'}; expected the metrics.json of {experiment!r} as well."
        )
    return {name: found[name] for name in [experiment, *(name for name in found if name != experiment)]}


def models_by_experiment(given: Sequence[str], compared: Collection[str]) -> dict[str, list[Path]]:
    """Experiment -> its model folders, of ``--compared-model name=FOLDER``.

    Args:
        given: Values of the option.
        compared: Experiments that the page compares with.

    Raises:
        CropflowError: If a value is not of that form, names another experiment, or no folder of a model.
    """
    found: dict[str, list[Path]] = {}
    for value in given:
        name, separator, folder = value.partition("=")
        if not (separator and name and folder):
            raise CropflowError(f"--compared-model is {value!r}; expected name=FOLDER, once per fold.")
        if name not in compared:
            raise CropflowError(
                f"--compared-model names {name!r}; expected one of {listing(compared) or 'none'}, which --evaluation "
                "gives beside the report's own experiment."
            )
        if not (Path(folder) / "model.json").is_file():
            raise CropflowError(f"--compared-model {value} holds no model.json; expected a trained model.")
        found.setdefault(name, []).append(Path(folder))
    return found


def catalogues_by_place(files: Sequence[Path], places: Sequence[str]) -> dict[str, dict[str, Path]]:
    """Place -> sensor -> catalogue of scenes, as the files are called: ``<region>/<season>/<sensor>.parquet``.

    Raises:
        CropflowError: If a file is of no place, is given twice, or a place has none.
    """
    found: dict[str, dict[str, Path]] = {place: {} for place in places}
    for file in files:
        place = f"{file.parent.parent.name}/{file.parent.name}"
        if place not in found or file.stem in found[place]:
            why = "is given twice" if place in found else f"is of no --place ({listing(places)})"
            raise CropflowError(f"--scenes {file} {why}; expected <region>/<season>/<sensor>.parquet, each once.")
        found[place][file.stem] = file
    without = [place for place, sensors in found.items() if not sensors]
    if without:
        raise CropflowError(f"--scenes names no catalogue of {listing(without)}; expected one per place and sensor.")
    return found


def same_length(places: Sequence[str], **options: Sequence[Path]) -> None:
    """Check that options which describe places come once per place.

    Raises:
        CropflowError: If one does not.
    """
    for name, values in options.items():
        if len(values) != len(places):
            raise CropflowError(
                f"--{name} is given {len(values)} times; expected {len(places)}, once per --place and in its order."
            )


def read_places(
    places: Sequence[str],
    *,
    samples: Sequence[Path],
    folds: Sequence[Path],
    composites: Sequence[Path],
    sensors: Sequence[str],
    scenes: Sequence[Path],
    labels: Sequence[Path],
    crops: Sequence[Path],
    parcels: Sequence[Path],
) -> tuple[PlaceInputs, ...]:
    """Read what describes the places, given in one order; composites and catalogues of scenes once per sensor too.

    Raises:
        CropflowError: If an option is not given once per place, or a place has no catalogue.
    """
    from cropflow.samples.sensors import by_place

    same_length(
        places,
        samples=samples,
        folds=folds,
        labels=labels,
        crops=crops,
        parcels=parcels,
    )
    catalogues = catalogues_by_place(scenes, places)
    stores = by_place(composites, sensors, len(places))
    return tuple(
        PlaceInputs(
            name=place,
            register="/".join(labels[index].parts[-3:-1]),
            samples=samples[index],
            counts=read_json(samples[index] / "summary.json"),
            folds=read_json(folds[index]),
            composites=stores[index],
            scenes={sensor: read_table(file) for sensor, file in catalogues[place].items()},
            labels=read_json(labels[index]),
            crops=read_json(crops[index]),
            parcels=read_json(parcels[index]),
        )
        for index, place in enumerate(places)
    )

"""What the page is made from, read once."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cropflow.errors import CropflowError
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
        samples: Sample folder.
        folds: Content of ``folds.json``.
        composites: Zarr store.
        scenes: Table of all scenes, kept and dropped.
        labels: Summary of the cleaned register.
        crops: Summary of the mapping to the legend.
        parcels: Summary of the parcels clipped to the sites.
    """

    name: str
    samples: Path
    folds: dict[str, Any]
    composites: Path
    scenes: pandas.DataFrame
    labels: dict[str, Any]
    crops: dict[str, Any]
    parcels: dict[str, Any]


@dataclass(frozen=True)
class ReportInputs:
    """Everything the page shows.

    Attributes:
        experiment: Name.
        settings: The experiment, its set, series and seasons.
        legend: The legend.
        places: Places learnt from.
        models: ``model.json`` per fold.
        histories: Rows of ``history.csv`` per fold; empty cells are NaN.
        metrics: Experiment -> content of its ``metrics.json``; the page's own first.
        confusion: Long table of matrices.
        maps: ``region/season`` -> folder of its map.
        oracles: Simulation -> content of ``oracle.json``.
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


def read_history(path: Path) -> list[dict[str, float]]:
    """Rows of a ``history.csv``; empty cells become NaN."""
    with path.open(encoding="utf-8", newline="") as handle:
        return [
            {key: float(value) if value else float("nan") for key, value in row.items()}
            for row in csv.DictReader(handle)
        ]


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
    samples: Sequence[Path],
    folds: Sequence[Path],
    composites: Sequence[Path],
    scenes: Sequence[Path],
    labels: Sequence[Path],
    crops: Sequence[Path],
    parcels: Sequence[Path],
) -> tuple[PlaceInputs, ...]:
    """Read what describes the places, given in one order."""
    same_length(
        places,
        samples=samples,
        folds=folds,
        composites=composites,
        scenes=scenes,
        labels=labels,
        crops=crops,
        parcels=parcels,
    )
    return tuple(
        PlaceInputs(
            place,
            samples[index],
            read_json(folds[index]),
            composites[index],
            read_table(scenes[index]),
            read_json(labels[index]),
            read_json(crops[index]),
            read_json(parcels[index]),
        )
        for index, place in enumerate(places)
    )

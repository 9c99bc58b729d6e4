"""``cropflow evaluation``: score predictions from confusion matrices."""

from __future__ import annotations

import logging
from enum import StrEnum
from pathlib import Path

import typer

from cropflow.errors import CropflowError, listing


class LabelKind(StrEnum):
    """Where labels come from: declared or seen in the field, or made by a classifier."""

    survey = "survey"
    map = "map"


app = typer.Typer(rich_markup_mode=None, add_completion=False)
logger = logging.getLogger(__name__)


@app.command()
def evaluation(
    place: list[str] = typer.Option(..., help="Place that was tested, as region/season; repeat it for several."),
    samples: list[Path] = typer.Option(..., help="Sample folder of each place, in the same order."),
    predictions: list[Path] = typer.Option(..., help="Zarr store of predictions, one per fold."),
    settings: str = typer.Option(..., help="Entry of experiments, JSON."),
    output: Path = typer.Option(..., help="metrics.json to write: scores in [0, 1] per level, unit and metric."),
    confusion: Path = typer.Option(..., help="confusion.parquet to write: pixels, parcels or hectares per cell."),
    parcels: Path = typer.Option(..., help="parcels.parquet to write: one row per test parcel, areas in hectares."),
    labels: list[LabelKind] = typer.Option(
        [], help="Where the labels of each place come from, in the same order; surveys, where it is left out."
    ),
) -> None:
    """Score predictions on test blocks, by pixel and by parcel, at every level of the legend.

    Reads the labels of the sample folders and the predictions of all folds; each pixel and parcel is scored with
    the one model that saw nothing of its block. Writes the matrices, what follows from them, and the parcels.
    Scores against labels that a classifier made are agreement, no accuracy, and metrics.json says so.
    """
    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Experiment
    from cropflow.evaluation.experiment import evaluate
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table

    experiment = parse_json(Experiment, settings)
    if len(place) != len(samples):
        raise CropflowError(f"{len(place)} --place and {len(samples)} --samples were given; expected one per place.")
    wrong = [name for name in place if name.count("/") != 1]
    if wrong:
        raise CropflowError(f"--place is {wrong[0]!r}; expected region/season, such as beauce/2022.")
    if len(set(place)) != len(place):
        raise CropflowError(f"--place names a place twice: {', '.join(place)}; expected each once.")
    if labels and len(labels) != len(place):
        raise CropflowError(f"{len(place)} --place and {len(labels)} --labels were given; expected one per place.")
    kinds = {name: kind.value for name, kind in zip(place, labels or [LabelKind.survey] * len(place), strict=True)}
    result = evaluate(dict(zip(place, samples, strict=True)), predictions, experiment)
    mapped = [name for name, kind in kinds.items() if kind == LabelKind.map.value]
    if mapped:
        logger.warning(
            "the labels of %s come from a map: the scores are agreement with it, no accuracy", listing(mapped)
        )
    write_json(output, {**result.metrics, "labels": kinds, "scores": "agreement" if mapped else "accuracy"})
    write_table(confusion, result.confusion)
    write_table(parcels, result.parcels)
    inputs: dict[str, Path | str] = {f"samples {name}": path for name, path in zip(place, samples, strict=True)}
    inputs |= {f"predictions {number}": path for number, path in enumerate(predictions)}
    for path in (output, confusion, parcels):
        write_manifest(path, inputs, {**dump(experiment), "labels": kinds}, result.metrics["counts"])
    finest = max(key.partition(".")[0] for key in result.metrics["metrics"])
    for score in ("pixel.overall_accuracy", "parcel.overall_accuracy", "parcel.macro_f1"):
        key = f"{finest}.{score}"
        logger.info(
            "%s is %s (support %s)", key, *(result.metrics["metrics"][key][part] for part in ("value", "support"))
        )

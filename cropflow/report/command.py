"""``cropflow report``: one HTML page per experiment."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

app = typer.Typer(rich_markup_mode=None, add_completion=False)
logger = logging.getLogger(__name__)


@app.command()
def report(
    experiment: Annotated[str, typer.Option(help="Name of the experiment.")],
    settings: Annotated[str, typer.Option(help="JSON: experiment, set, series, seasons, simulations.")],
    confusion: Annotated[Path, typer.Option(help="confusion.parquet of the experiment.", exists=True)],
    output: Annotated[Path, typer.Option(help="HTML page to write.")],
    place: Annotated[list[str], typer.Option(help="Place learnt from, region/season; may be repeated.")],
    samples: Annotated[list[Path], typer.Option(help="Sample folder, per place.", exists=True)],
    folds: Annotated[list[Path], typer.Option(help="folds.json, per place.", exists=True)],
    composites: Annotated[
        list[Path], typer.Option(help="Composites (Zarr), per place and sensor of the set.", exists=True)
    ],
    scenes: Annotated[
        list[Path], typer.Option(help="<region>/<season>/<sensor>.parquet, per place and sensor.", exists=True)
    ],
    labels: Annotated[
        list[Path], typer.Option(help="<register>/<season>/summary.json of the register, per place.", exists=True)
    ],
    crops: Annotated[list[Path], typer.Option(help="Summary of the mapping to the legend, per place.", exists=True)],
    parcels: Annotated[list[Path], typer.Option(help="parcels.json of the region, per place.", exists=True)],
    model: Annotated[list[Path], typer.Option(help="Model folder, per fold, from fold 0.", exists=True)],
    evaluation: Annotated[
        list[Path],
        typer.Option(help="metrics.json in a folder of its experiment's name: the own one and others.", exists=True),
    ],
    map_: Annotated[
        list[Path] | None, typer.Option("--map", help="Map folder ending in region/season; may be repeated.")
    ] = None,
    compared_model: Annotated[
        list[str] | None,
        typer.Option(help="name=FOLDER: a model of a compared experiment; once per experiment and fold."),
    ] = None,
    tuning: Annotated[
        list[Path] | None, typer.Option(help="tuning.json, per fold, where the experiment searches.", exists=True)
    ] = None,
    truth: Annotated[list[Path] | None, typer.Option(help="Truth folder of a simulation; may be repeated.")] = None,
) -> None:
    """Write the report of an experiment: one HTML file that opens offline."""
    import json

    from cropflow.config.root import parse
    from cropflow.config.sections import SampleSet
    from cropflow.files.atomic import read_json, write_text
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table
    from cropflow.labels.legend import read_legend
    from cropflow.report.inputs import (
        ReportInputs,
        by_experiment,
        check_settings,
        models_by_experiment,
        read_history,
        read_places,
    )
    from cropflow.report.page import render

    try:
        parsed = json.loads(settings)
    except json.JSONDecodeError as error:
        raise CropflowError(f"--settings is no JSON ({error}); found {settings[:60]!r}.") from None
    check_settings(parsed)
    evaluations = by_experiment(evaluation, experiment)
    others = models_by_experiment(compared_model or [], evaluations.keys() - {experiment})
    maps = {f"{folder.parent.name}/{folder.name}": folder for folder in map_ or []}
    sample_set = parse(SampleSet, parsed["set"])
    places = read_places(
        place,
        samples=samples,
        folds=folds,
        composites=composites,
        sensors=sample_set.sensors,
        scenes=scenes,
        labels=labels,
        crops=crops,
        parcels=parcels,
    )
    inputs = ReportInputs(
        experiment=experiment,
        settings=parsed,
        legend=read_legend(sample_set.legend),
        places=places,
        models={fold: read_json(folder / "model.json") for fold, folder in enumerate(model)},
        histories={fold: read_history(folder / "history.csv") for fold, folder in enumerate(model)},
        metrics={name: read_json(file) for name, file in evaluations.items()},
        confusion=read_table(confusion),
        maps=maps,
        oracles={folder.parent.name: read_json(folder / "oracle.json") for folder in truth or []},
        tuning=[read_json(file) for file in tuning or []],
        compared_models={
            name: [read_json(folder / "model.json") for folder in folders] for name, folders in others.items()
        },
    )
    page = render(inputs)
    write_text(output, page)
    per_place = {
        "samples": samples, "folds": folds, "labels": labels, "crops": crops, "parcels": parcels,
    }  # fmt: skip
    used = {
        "confusion": confusion,
        **{f"metrics of {name}": file for name, file in evaluations.items()},
        **{f"scenes {file.parent.parent.name}/{file.parent.name}/{file.stem}": file for file in scenes},
        **{f"model {fold}": folder for fold, folder in enumerate(model)},
        **{f"model {index} of {name}": path for name, paths in others.items() for index, path in enumerate(paths)},
        **{f"tuning {fold}": file for fold, file in enumerate(tuning or [])},
        **{f"map {name}": folder for name, folder in maps.items()},
        **{f"truth of {folder.parent.name}": folder for folder in truth or []},
        **{f"composites {found.name} {sensor}": path for found in places for sensor, path in found.composites.items()},
        **{
            f"{role} {name}": path for role, paths in per_place.items() for name, path in zip(place, paths, strict=True)
        },
    }
    size = len(page.encode())
    write_manifest(output, used, parsed, {"places": len(place), "maps": len(maps), "folds": len(model), "bytes": size})
    logger.info("wrote %s: %.1f MB, %d places, %d maps", output.name, size / 1e6, len(place), len(maps))

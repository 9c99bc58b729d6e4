"""``cropflow report``: one HTML page per experiment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def report(
    experiment: Annotated[str, typer.Option(help="Name of the experiment.")],
    settings: Annotated[str, typer.Option(help="JSON: experiment, set, series, seasons, simulations.")],
    confusion: Annotated[Path, typer.Option(help="confusion.parquet of the experiment.")],
    output: Annotated[Path, typer.Option(help="HTML page to write.")],
    place: Annotated[list[str], typer.Option(help="Place learnt from, region/season; may be repeated.")],
    samples: Annotated[list[Path], typer.Option(help="Sample folder, per place.")],
    folds: Annotated[list[Path], typer.Option(help="folds.json, per place.")],
    composites: Annotated[list[Path], typer.Option(help="Composites (Zarr), per place.")],
    scenes: Annotated[list[Path], typer.Option(help="scenes.parquet, per place.")],
    labels: Annotated[list[Path], typer.Option(help="summary.json of the register, per place.")],
    crops: Annotated[list[Path], typer.Option(help="Summary of the mapping to the legend, per place.")],
    parcels: Annotated[list[Path], typer.Option(help="parcels.json of the region, per place.")],
    model: Annotated[list[Path], typer.Option(help="Model folder, per fold.")],
    evaluation: Annotated[
        list[Path], typer.Option(help="metrics.json in a folder of the experiment's name; the own one first.")
    ],
    map_: Annotated[
        list[Path] | None, typer.Option("--map", help="Map folder ending in region/season; may be repeated.")
    ] = None,
    truth: Annotated[list[Path] | None, typer.Option(help="Truth folder of a simulation; may be repeated.")] = None,
) -> None:
    """Write the report of an experiment: one HTML file that opens offline."""
    import json

    from cropflow.files.atomic import read_json, write_text
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table
    from cropflow.labels.legend import read_legend
    from cropflow.report.inputs import ReportInputs, read_history, read_places
    from cropflow.report.page import render

    try:
        parsed = json.loads(settings)
    except json.JSONDecodeError as error:
        raise CropflowError(f"--settings is no JSON ({error}); found {settings[:60]!r}.") from None
    places = read_places(place, samples, folds, composites, scenes, labels, crops, parcels)
    inputs = ReportInputs(
        experiment=experiment,
        settings=parsed,
        legend=read_legend(parsed["set"]["legend"]),
        places=places,
        models={fold: read_json(folder / "model.json") for fold, folder in enumerate(model)},
        histories={fold: read_history(folder / "history.csv") for fold, folder in enumerate(model)},
        metrics={file.parent.name: read_json(file) for file in evaluation},
        confusion=read_table(confusion),
        maps={f"{folder.parent.name}/{folder.name}": folder for folder in map_ or []},
        oracles={folder.parent.name: read_json(folder / "oracle.json") for folder in truth or []},
    )
    write_text(output, render(inputs))
    used = {
        "confusion": confusion,
        **{f"metrics of {file.parent.name}": file for file in evaluation},
        **{f"model {fold}": folder for fold, folder in enumerate(model)},
        **{f"map {folder.parent.name}/{folder.name}": folder for folder in map_ or []},
        **{f"samples {name}": folder for name, folder in zip(place, samples, strict=True)},
        **{f"composites {name}": folder for name, folder in zip(place, composites, strict=True)},
    }
    write_manifest(output, used, parsed, {"maps": len(inputs.maps), "folds": len(inputs.models)})

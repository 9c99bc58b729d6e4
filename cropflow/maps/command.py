"""``cropflow maps``: map the sites of a place and their parcels."""

from __future__ import annotations

import logging
from pathlib import Path

import typer

from cropflow.errors import CropflowError

app = typer.Typer(rich_markup_mode=None, add_completion=False)
logger = logging.getLogger(__name__)


@app.command()
def maps(
    place: str = typer.Option(..., help="Place to map, as region/season."),
    sites: Path = typer.Option(..., help="sites.parquet of the region."),
    composites: list[Path] = typer.Option(
        ..., help="Zarr store of composites; once per sensor, in the order of the models'."
    ),
    model: list[Path] = typer.Option(..., help="Model folder, one per fold, in any order."),
    predictions: list[Path] = typer.Option(
        [], help="Zarr store of predictions, one per fold; read where it holds the place."
    ),
    folds: Path | None = typer.Option(
        None, help="folds.parquet of the region, where models learnt there: each block is mapped out of fold."
    ),
    parcels: Path | None = typer.Option(None, help="Folder of the place's parcels, one GeoParquet per site."),
    crops: Path | None = typer.Option(None, help="Legend parquet of the season: parcel_id and its declared crop."),
    inner_buffer: float = typer.Option(
        0.0, min=0, help="Rim of a parcel that models of parcels leave out, metres; the sample set's inner_buffer_m."
    ),
    history: Path | None = typer.Option(
        None, help="Parquet of the parcels' crops in earlier seasons, for models that take them."
    ),
    settings: str = typer.Option(..., help="Entry of experiments, JSON."),
    threads: int = typer.Option(1, min=1, help="Processor threads of the models."),
    output: Path = typer.Option(..., help="Folder to write."),
) -> None:
    """Map whole sites with the models of all folds.

    Writes per site crops.tif (ids of the legend, with colours) and confidence.tif (probability of the mapped crop,
    percent), the mosaic of all sites, parcels.parquet (predicted crop, runner-up and doubt per parcel, EPSG:4326)
    and summary.json (hectares per crop, pixels without a prediction, share of interpolated values). Models of pixel
    sets and chips give each parcel one crop, which its pixels get, and need --parcels; no pixel outside is mapped.
    """
    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Experiment
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.manifest import write_manifest
    from cropflow.maps.inputs import MapInputs
    from cropflow.maps.place import map_place

    experiment = parse_json(Experiment, settings)
    if place.count("/") != 1:
        raise CropflowError(f"--place is {place!r}; expected region/season, such as beauce/2022.")
    if crops is not None and parcels is None:
        raise CropflowError("--crops was given without --parcels; expected both, or none.")
    inputs = MapInputs(
        place, sites, tuple(composites), tuple(model), tuple(predictions), folds, parcels, crops, inner_buffer
    )
    with atomic_folder(output) as folder:
        counts = map_place(inputs, folder, threads)
    write_manifest(output, inputs.roles(), dump(experiment), counts)
    logger.info("mapped %s: %s", place, ", ".join(f"{name} {value}" for name, value in counts.items()))

"""Map all sites of a place: read what is needed, write every product."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cropflow.evaluation.metrics import class_name
from cropflow.evaluation.parcels import NONE
from cropflow.files.atomic import write_json, write_text
from cropflow.files.manifest import SIDECAR
from cropflow.files.rasters import write_cog
from cropflow.files.tables import write_table
from cropflow.maps.declared import SiteParcels, read_declared
from cropflow.maps.inputs import (
    MapInputs,
    Sources,
    block_folds,
    filled_share,
    open_sources,
    site_models,
    stored_predictions,
    takes_parcels,
)
from cropflow.maps.labelling import CONFIDENCE_NODATA, class_names, colour_table, map_type, qgis_style
from cropflow.maps.mosaic import write_mosaic
from cropflow.maps.product import parcel_product, sum_parcels
from cropflow.maps.sites import SiteMap, map_site, site_summary
from cropflow.regions.grid import Grid

if TYPE_CHECKING:
    import geopandas

    from cropflow.labels.legend import Legend

logger = logging.getLogger(__name__)

VERSION = 1


def map_place(inputs: MapInputs, folder: Path, threads: int) -> dict[str, int]:
    """Write all products of a place.

    Args:
        inputs: Where the inputs lie.
        folder: Empty folder to fill.
        threads: Processor threads of the models.

    Returns:
        Counts for the manifest.

    Raises:
        CropflowError: If the inputs do not belong together.
    """
    import geopandas
    import pandas

    from cropflow.regions.sites import read_sites

    grids = dict(sorted(read_sites(inputs.sites).items()))
    sources = open_sources(inputs, grids, threads)
    declared: dict[str, SiteParcels] = {}
    if inputs.parcels is not None:
        declared = read_declared(inputs.parcels, inputs.crops, grids, sources.fold_table)
    classes = tuple(sorted({crop for predictor in sources.predictors for crop in predictor.classes}))
    _, nodata = map_type(sources.legend)
    colours, style = colour_table(sources.legend, nodata), qgis_style(sources.legend, classes, nodata)
    names = class_names(sources.legend, classes, nodata)
    summaries, products = {}, []
    for number, (site, grid) in enumerate(grids.items(), start=1):
        pixel_fold = block_folds(sources, grid)
        own = declared[site].table if site in declared else None
        result = _map_site(sources, site, grid, pixel_fold, own)
        write_cog(folder / site / "crops.tif", result.crops, grid, nodata, names=("crop",), colours=colours)
        write_cog(
            folder / site / "confidence.tif", result.confidence, grid, CONFIDENCE_NODATA,
            names=("probability of the crop, percent",), categorical=False,
        )  # fmt: skip
        write_text(folder / site / "crops.qml", style)
        write_text(folder / site / f"crops.tif{SIDECAR}", names)
        filled = filled_share(sources, site, result.confidence != CONFIDENCE_NODATA)
        outside = _outside(grid, own) if own is not None and takes_parcels(sources) else None
        summaries[site] = site_summary(result, grid, sources.legend, pixel_fold, filled, outside)
        if site in declared:
            products.append(_site_product(sources.legend, grid, result, declared[site], pixel_fold))
        pixels, missing = summaries[site]["pixels"], summaries[site]["not_predicted"]
        logger.info(
            "mapped %s, site %d of %d: predicted %d of %d pixels (%s)",
            site, number, len(grids), pixels - missing, pixels, result.how,
        )  # fmt: skip
    mosaic = write_mosaic(folder / "mosaic.tif", {site: folder / site / "crops.tif" for site in grids}, colours)
    if mosaic is not None:
        write_text(folder / "mosaic.qml", style)
        write_text(folder / f"mosaic.tif{SIDECAR}", names)
    parcels = None
    if products:
        table = geopandas.GeoDataFrame(pandas.concat(products, ignore_index=True), crs="EPSG:4326")
        write_table(folder / "parcels.parquet", table)
        parcels = _parcel_counts(table, sources.legend)
    write_json(folder / "summary.json", _summary(sources, classes, summaries, mosaic, parcels))
    return {
        "sites": len(grids),
        "pixels": sum(found["pixels"] for found in summaries.values()),
        "pixels not predicted": sum(found["not_predicted"] for found in summaries.values()),
        **{f"parcels {name}": value for name, value in (parcels or {}).items()},
    }


def _map_site(
    sources: Sources,
    site: str,
    grid: Grid,
    pixel_fold: NDArray[np.uint8] | None,
    parcels: geopandas.GeoDataFrame | None,
) -> SiteMap:
    return map_site(
        site_models(sources, site, parcels),
        sources.legend,
        grid.shape,
        pixel_fold,
        stored_predictions(sources, site, grid),
        f"{sources.inputs.place}/{site}",
    )


def _outside(grid: Grid, parcels: geopandas.GeoDataFrame) -> int:
    """Pixels of a site whose centre lies in no parcel."""
    from cropflow.samples.rasters import rasterise_parcels

    return int((rasterise_parcels(parcels, grid) == 0).sum())


def _summary(
    sources: Sources,
    classes: Sequence[int],
    sites: Mapping[str, dict[str, Any]],
    mosaic: Grid | None,
    parcels: dict[str, int] | None,
) -> dict[str, Any]:
    return {
        "version": VERSION,
        "place": sources.inputs.place,
        "legend": sources.legend.key,
        "classes": [{"id": crop, "name": class_name(sources.legend, crop)} for crop in classes],
        "sites": sites,
        "hectares": _total_hectares(sites),
        "hectares_note": "pixels counted per mapped crop: no estimate of area, which needs a probability sample",
        "mosaic": {"epsg": mosaic.epsg, "shape": list(mosaic.shape)} if mosaic is not None else None,
        "parcels": parcels,
    }


def _site_product(
    legend: Legend, grid: Grid, result: SiteMap, parcels: SiteParcels, pixel_fold: NDArray[np.uint8] | None
) -> geopandas.GeoDataFrame:
    from cropflow.samples.rasters import rasterise_parcels

    index = rasterise_parcels(parcels.table, grid)
    sums = sum_parcels(result.probability, index, len(parcels.table), pixel_fold, parcels.fold)
    return parcel_product(parcels.table, sums, result.classes, legend, parcels.declared)


def _total_hectares(summaries: Mapping[str, dict[str, Any]]) -> list[dict[str, Any]]:
    total: dict[int, dict[str, Any]] = {}
    for summary in summaries.values():
        for entry in summary["hectares"]:
            known = total.setdefault(entry["id"], {**entry, "hectares": 0.0})
            known["hectares"] = round(known["hectares"] + entry["hectares"], 4)
    return [total[crop] for crop in sorted(total)]


def _parcel_counts(table: geopandas.GeoDataFrame, legend: Legend) -> dict[str, int]:
    declared = table["crop"].isin(list(legend.ids))
    predicted = table["predicted"] != NONE
    return {
        "read": len(table),
        "predicted": int(predicted.sum()),
        "with a declared crop": int(declared.sum()),
        "agreeing": int((declared & predicted & (table["crop"] == table["predicted"])).sum()),
        "in doubt": int(table["doubt"].sum()),
    }

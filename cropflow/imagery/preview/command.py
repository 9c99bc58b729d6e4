"""``cropflow imagery preview``: where regions and parcels lie, over one composite, as a page for the browser."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cropflow.errors import CropflowError, listing, refuse

if TYPE_CHECKING:
    import geopandas
    from shapely.geometry.base import BaseGeometry

    from cropflow.imagery.scenes import Scene

log = logging.getLogger(__name__)


def preview(
    region: Annotated[list[str], typer.Option(help="Name of a region; may be repeated.")],
    sites: Annotated[list[Path], typer.Option(help="Sites of each region, GeoParquet, in the same order.")],
    output: Annotated[Path, typer.Option(help="Output: the page, HTML; it needs no other file and no network.")],
    parcels: Annotated[
        list[Path] | None, typer.Option(help="Parcels, GeoParquet, or a folder of them; may be repeated.")
    ] = None,
    found: Annotated[
        Path | None, typer.Option(help="Scenes found in Earth Engine, parquet: one composite of them is drawn.")
    ] = None,
    month: Annotated[
        str | None, typer.Option(help="Month of the composite, such as 2023-06; the clearest where none is given.")
    ] = None,
    site: Annotated[str | None, typer.Option(help="Site of the composite; the first of the first region.")] = None,
    leaflet: Annotated[
        Path | None, typer.Option(help="Folder with leaflet.js and leaflet.css, where there is no network.")
    ] = None,
) -> None:
    """Draw regions, parcels and one composite on a map.

    The composite is computed by Earth Engine and needs an account; without one, or without --found, the map of regions
    and parcels is drawn all the same.
    """
    import geopandas

    from cropflow.files.atomic import write_text
    from cropflow.files.remote import Limits
    from cropflow.imagery.preview.page import draw_map
    from cropflow.imagery.preview.picture import fetch_picture
    from cropflow.imagery.preview.scripts import leaflet as scripts

    if len(region) != len(sites):
        raise CropflowError(f"--region is given {len(region)} times, --sites {len(sites)} times; expected as often.")
    for file in sites:
        if not file.is_file():
            raise CropflowError(f"{file} is missing; expected the sites of a region. Run the rule that makes it.")
    tables = {name: geopandas.read_parquet(file).to_crs("EPSG:4326") for name, file in zip(region, sites, strict=True)}
    outlines = _read_parcels(parcels or [])
    picture, reason = None, "no scenes were given."
    if found is not None:
        scenes, footprint, shown = _chosen(found, tables[region[0]], site, month)
        try:
            picture = fetch_picture(scenes, footprint, shown, Limits(1, 1.0))
        except CropflowError as error:
            # No account is no reason to draw nothing.
            reason = str(error)
    if picture is None:
        log.warning("the map has no composite: %s", reason)
    page = draw_map(tables, outlines, picture, reason, scripts(leaflet))
    write_text(output, page)
    log.info("wrote %s", output)


def _read_parcels(places: list[Path]) -> geopandas.GeoDataFrame | None:
    """Parcels of files and folders as one table, EPSG:4326."""
    import geopandas
    import pandas

    files = [file for place in places for file in (sorted(place.glob("*.parquet")) if place.is_dir() else [place])]
    missing = [str(place) for place in places if not place.exists()]
    if missing:
        raise CropflowError(f"{missing[0]} is missing; expected parcels, GeoParquet. Run the rule that makes them.")
    if not files:
        return None
    columns = ["parcel_id", "crop_code", "geometry"]
    tables = [geopandas.read_parquet(file, columns=columns).to_crs("EPSG:4326") for file in files]
    return geopandas.GeoDataFrame(pandas.concat(tables, ignore_index=True), crs="EPSG:4326")


def _chosen(
    found: Path, sites: geopandas.GeoDataFrame, site: str | None, month: str | None
) -> tuple[list[Scene], BaseGeometry, str]:
    """Scenes of the composite, the footprint of its site, and its month."""
    from cropflow.imagery.found import read_found
    from cropflow.imagery.preview.picture import best_month, check_images, scenes_over

    names = list(sites["site"])
    if site is not None and site not in names:
        refuse("--site", site, f"one of: {listing(names)}")
    footprint = sites.geometry.iloc[0 if site is None else names.index(site)]
    scenes = read_found(found)
    shown = month or best_month(scenes, footprint)
    chosen = scenes_over(scenes, footprint, shown)
    check_images(chosen, shown)
    return chosen, footprint, shown

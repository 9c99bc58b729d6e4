"""``cropflow regions``: lay out sites and clip parcels to them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError

LOG = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Lay out sites and clip parcels to them."
)


@app.command()
def sites(
    settings: Annotated[str, typer.Option(help="Entry of regions, as JSON.")],
    output: Annotated[Path, typer.Option(help="Sites, GeoParquet: grid per site (metres), footprint in EPSG:4326.")],
) -> None:
    """Lay out the sites of a region.

    Each site lies in the UTM zone of its centre, its edges at multiples of the pixel size (metres).
    """
    from cropflow.config.regions import Region
    from cropflow.config.root import parse_json
    from cropflow.config.sections import dump
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.regions.sites import check_overlaps, site_grid, sites_table

    region = parse_json(Region, settings)
    grids = {name: site_grid(name, site, region.pixel_m) for name, site in sorted(region.sites.items())}
    overlaps = check_overlaps(grids)
    for name, grid in grids.items():
        LOG.info("site %s: %d x %d pixels of %g m in EPSG:%d", name, *grid.shape, grid.pixel_m, grid.epsg)
    write_table(output, sites_table(grids))
    content = dump(region)
    write_manifest(
        output,
        settings={"sites": content["sites"], "pixel_m": content["pixel_m"]},
        counts={
            "sites": len(grids),
            "pixels": sum(grid.height * grid.width for grid in grids.values()),
            "overlaps_ha": {f"{one} and {other}": round(area, 2) for (one, other), area in overlaps.items()},
        },
    )


@app.command()
def parcels(
    sites: Annotated[Path, typer.Option(help="Sites of the region, GeoParquet.")],
    parcels: Annotated[Path, typer.Option(help="Parcels of the register, GeoParquet in its CRS.")],
    output: Annotated[Path, typer.Option(help="Folder: one GeoParquet per site, in its UTM zone.")],
    summary: Annotated[Path, typer.Option(help="JSON: parcels, hectares (ellipsoid), cut and dropped per site.")],
) -> None:
    """Clip parcels to the sites of a region.

    Parcels that a site's border cuts are kept and flagged; areas are hectares on the ellipsoid.
    """
    from tqdm import tqdm

    from cropflow.files.atomic import atomic_folder, write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.regions.clip import clip_parcels, parcels_crs, read_parcels_within
    from cropflow.regions.sites import read_sites

    grids = read_sites(sites)
    crs = parcels_crs(parcels)
    counts: dict[str, dict[str, float | int]] = {}
    with atomic_folder(output) as folder:
        for name, grid in tqdm(grids.items(), unit="site", disable=None):
            clipped = clip_parcels(read_parcels_within(parcels, grid), grid)
            counts[name] = clipped.summary()
            if not len(clipped.parcels):
                LOG.warning("site %s holds no parcel", name)
            LOG.info(
                "site %s: %d parcels, %.1f ha, %d cut by its border, %d dropped (under 1 m2 inside)",
                name, *counts[name].values(),
            )  # fmt: skip
            write_table(folder / f"{name}.parquet", clipped.parcels)
        if not any(count["parcels"] for count in counts.values()):
            raise CropflowError(
                f"None of the {len(grids)} sites of {sites} holds a parcel of {parcels} ({crs.to_string()[:60]}); "
                "expected at least one. Check the places of the sites and the register's CRS."
            )
    total = {key: round(sum(count[key] for count in counts.values()), 4) for key in next(iter(counts.values()))}
    write_json(summary, {"sites": counts, "total": total})
    for result in (output, summary):
        write_manifest(result, inputs={"sites": sites, "parcels": parcels}, counts={"sites": len(grids), **total})

"""``cropflow regions``: lay out sites and clip parcels to them."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cropflow.errors import CropflowError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cropflow.config.regions import Clusters, Cropland, Region, Sample
    from cropflow.regions.grid import Grid

    # Grids, further columns of the table of sites, and counts.
    Chosen = tuple[Mapping[str, Grid], Mapping[str, Mapping[str, Any]], dict[str, Any]]

LOG = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, help="Lay out sites and clip parcels to them."
)


@app.command()
def sites(
    settings: Annotated[str, typer.Option(help="Entry of regions, as JSON.")],
    output: Annotated[Path, typer.Option(help="Sites, GeoParquet: grid per site (metres), footprint in EPSG:4326.")],
    parcels: Annotated[
        Path | None, typer.Option(help="For clusters: parcels of the register, GeoParquet in its CRS.")
    ] = None,
) -> None:
    """Lay out the sites of a region: those declared, or those chosen by clusters, cropland or sample.

    Each site lies whole in one UTM zone, that of its centre, its edges at multiples of the pixel size (metres).
    """
    from cropflow.config.base import dump
    from cropflow.config.regions import Region
    from cropflow.config.root import parse_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.regions.sites import check_overlaps, other_zones, sites_table

    region = parse_json(Region, settings)
    grids, columns, found = _choose(region, parcels)
    overlaps = check_overlaps(grids)
    for name, grid in sorted(grids.items()):
        LOG.info("site %s: %d x %d pixels of %g m in EPSG:%d", name, *grid.shape, grid.pixel_m, grid.epsg)
    reaching = {name: zones for name, grid in sorted(grids.items()) if (zones := other_zones(grid))}
    if reaching:
        name, zones = next(iter(reaching.items()))
        LOG.warning(
            "%d of %d sites reach over the border of their UTM zone and stay whole, such as %s of EPSG:%d into EPSG:%s",
            len(reaching), len(grids), name, grids[name].epsg, ", ".join(map(str, zones)),
        )  # fmt: skip
    write_table(output, sites_table(grids, columns))
    content = dump(region)
    inputs: dict[str, Path | str] = {key: path for key, path in region.local_files().items()}
    write_manifest(
        output,
        inputs=inputs if parcels is None else {**inputs, "parcels": parcels},
        settings={key: _without_places(content[key]) for key in ("sites", "choose", "pixel_m")},
        counts={
            "sites": len(grids),
            "pixels": sum(grid.height * grid.width for grid in grids.values()),
            "overlaps_ha": {f"{one} and {other}": round(area, 2) for (one, other), area in overlaps.items()},
            "over_a_border_of_zones": len(reaching),
            **found,
        },
    )


def _without_places(content: Any) -> Any:
    """Settings without the paths of files, whose content is hashed instead; addresses stay, less what may be secret."""
    from cropflow.config.addresses import public
    from cropflow.config.regions import is_address

    if not isinstance(content, dict):
        return content
    return {
        key: public(value) if isinstance(value, str) else _without_places(value)
        for key, value in content.items()
        if key not in ("path", "raster") or (isinstance(value, str) and is_address(value))
    }


def _choose(region: Region, parcels: Path | None) -> Chosen:
    from cropflow.config.regions import Clusters, Cropland
    from cropflow.regions.sites import site_grid

    chosen = region.choose
    if chosen is None:
        declared = sorted((region.sites or {}).items())
        return {name: site_grid(name, site, region.pixel_m) for name, site in declared}, {}, {}
    if isinstance(chosen, Clusters):
        return _clusters(chosen, region.pixel_m, parcels)
    return _cropland(chosen, region.pixel_m) if isinstance(chosen, Cropland) else _sample(chosen, region.pixel_m)


def _clusters(settings: Clusters, pixel_m: float, parcels: Path | None) -> Chosen:
    from cropflow.files.tables import read_geotable
    from cropflow.regions.clusters import cluster_sites

    if parcels is None:
        raise CropflowError("--parcels is missing; expected the parcels that are clustered.")
    clustered = cluster_sites(read_geotable(parcels, ["crop_code", "geometry"]), settings, pixel_m)
    return clustered.sites, {"members": clustered.members}, dict(clustered.counts)


def _cropland(settings: Cropland, pixel_m: float) -> Chosen:
    from functools import partial

    from cropflow.labels.cropland import cropland_share
    from cropflow.regions.cropland import densest_squares

    dense = densest_squares(settings, pixel_m, partial(cropland_share, settings.raster, values=settings.values))
    return dense.sites, {"cropland_share": dense.share}, dict(dense.counts)


def _sample(settings: Sample, pixel_m: float) -> Chosen:
    import geopandas
    import pandas

    from cropflow.labels.cropland import cropland_share
    from cropflow.regions.frame import box_ground, frame_squares, read_frame, strata_of
    from cropflow.regions.sampling import ALL, DESIGN, design, draw, strata_by_share
    from cropflow.regions.sites import GEOGRAPHIC, footprint, place_names

    frame, strata = settings.frame, settings.strata
    if frame.bounds is not None:
        polygons = geopandas.GeoDataFrame(geometry=[box_ground(frame.bounds, frame.crs)], crs=GEOGRAPHIC)
    else:
        polygons = read_frame(str(frame.path), frame.layer, None if strata is None else strata.column)
    squares = place_names(frame_squares(polygons.union_all(), settings.side_km * 1000, pixel_m))
    if strata is None:
        names = [ALL] * len(squares)
    elif strata.raster is not None:
        outlines = geopandas.GeoSeries([footprint(grid) for grid in squares.values()], crs=GEOGRAPHIC)
        names = strata_by_share(cropland_share(strata.raster, outlines, strata.values), strata.breaks)
    else:
        names = strata_of(squares, polygons)
    table = pandas.DataFrame({"square": list(squares), "stratum": names})
    drawn = draw(table, settings.size, settings.allocation, settings.minimum_per_stratum, settings.seed)
    sites = {str(name): squares[name] for name in drawn["square"]}
    columns = {column: dict(zip(sites, drawn[column], strict=True)) for column in DESIGN}
    return sites, columns, {"frame_squares": len(squares), "design": design(drawn)}


@app.command()
def parcels(
    sites: Annotated[Path, typer.Option(help="Sites of the region, GeoParquet.")],
    parcels: Annotated[Path, typer.Option(help="Parcels of the register, GeoParquet in its CRS.")],
    output: Annotated[Path, typer.Option(help="Folder: one GeoParquet per site, in its UTM zone.")],
    summary: Annotated[Path, typer.Option(help="JSON: parcels, hectares (ellipsoid), cut and dropped per site.")],
) -> None:
    """Clip parcels to the sites of a region.

    Parcels that a site's border cuts are kept and flagged; areas are hectares on the ellipsoid. Where the sites were
    chosen by clusters, a parcel that reaches into several is given to one of them alone.
    """
    import pandas
    from tqdm import tqdm

    from cropflow.files.atomic import atomic_folder, write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.regions.clip import clip_parcels, count_rows, parcels_crs, read_parcels_within
    from cropflow.regions.members import claims, read_members, settle
    from cropflow.regions.sites import read_sites

    grids = read_sites(sites)
    crs = parcels_crs(parcels)
    members = read_members(sites)
    counts: dict[str, dict[str, float | int]] = {}
    claimed = []
    with atomic_folder(output) as folder:
        for name, grid in tqdm(grids.items(), unit="site", disable=None):
            found = read_parcels_within(parcels, grid)
            clipped = clip_parcels(found, grid)
            counts[name] = clipped.summary()
            claimed.append(claims(name, found, clipped))
            write_table(folder / f"{name}.parquet", clipped.parcels)
        rows = pandas.concat(claimed, ignore_index=True)
        if rows.empty:
            raise CropflowError(
                f"None of the {len(grids)} sites of {sites} holds a parcel of {parcels} ({crs.to_string()[:60]}); "
                "expected at least one. Check the places of the sites and the register's CRS."
            )
        if members is not None:
            others = rows[~settle(rows, members)]
            for name in sorted(set(others["site"])):
                clipped = clip_parcels(read_parcels_within(parcels, grids[name]), grids[name])
                clipped = clipped.without(set(others["parcel_id"][others["site"] == name]))
                counts[name] = clipped.summary()
                write_table(folder / f"{name}.parquet", clipped.parcels)
    for name, count in counts.items():
        if not count["parcels"]:
            LOG.warning("site %s holds no parcel", name)
        LOG.info(
            "site %s: %d parcels, %.1f ha, %d cut by its border, %d dropped (under 1 m2 inside), %d of another site",
            name, *count.values(),
        )  # fmt: skip
    total = {key: round(sum(count[key] for count in counts.values()), 4) for key in next(iter(counts.values()))}
    register, inside = count_rows(parcels), rows["parcel_id"].nunique()
    total |= {"register": register, "inside": inside, "outside": register - inside}
    write_json(summary, {"sites": counts, "total": total})
    for result in (output, summary):
        write_manifest(result, inputs={"sites": sites, "parcels": parcels}, counts={"sites": len(grids), **total})

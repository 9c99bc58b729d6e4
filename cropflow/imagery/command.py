"""``cropflow imagery``: find scenes and write them to the site grids."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

LOG = logging.getLogger(__name__)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Find scenes and write them to the site grids.",
)


@app.callback()
def _room() -> None:
    # With a callback the single command keeps its name.
    """Find scenes and write them to the site grids."""


@app.command()
def export(
    source: Annotated[Path, typer.Option(help="Item collection, archive folder that holds one, or folder of SAFE.")],
    sites: Annotated[Path, typer.Option(help="Sites of the region, GeoParquet.")],
    settings: Annotated[str, typer.Option(help="Entry of imagery, as JSON.")],
    season: Annotated[str, typer.Option(help='First and last day, as JSON: {"start": "...", "end": "..."}.')],
    scenes: Annotated[
        Path, typer.Option(help="Catalogue, parquet: one row per scene and site, taken or not, and why.")
    ],
    output: Annotated[Path, typer.Option(help="Zarr: reflectance x 10000 (uint16, 0 = nodata) and SCL per site.")],
    workers: Annotated[int, typer.Option(min=1, help="Scenes read at once; each is held in memory.")] = 1,
) -> None:
    """Write the Sentinel-2 scenes of a season to the grids of a region's sites.

    The season is widened to whole months (UTC). Reflectance is harmonised: the offset of baselines from 04.00 on is
    taken off, 0 is nodata and stays 0, values that the offset would bring to 0 or below become 1 and are counted.
    """
    from cropflow.config.base import dump
    from cropflow.config.imagery import Imagery
    from cropflow.config.root import parse_json
    from cropflow.config.sections import Season
    from cropflow.errors import CropflowError
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.cubes import create_store
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.imagery import catalog
    from cropflow.imagery.export import export_scenes
    from cropflow.imagery.items import items_file
    from cropflow.imagery.local import LocalSource
    from cropflow.imagery.safe import METADATA
    from cropflow.imagery.seasons import whole_months
    from cropflow.regions.sites import footprint, read_sites

    chosen = parse_json(Imagery, settings)
    dates = parse_json(Season, season, "--season")
    window = whole_months(dates.start, dates.end)
    grids = read_sites(sites)
    if not source.exists():
        raise CropflowError(f"{source} is missing; expected the source of the scenes. Check imagery.<name>.path.")
    origin = LocalSource(source, "items" if chosen.source == "items" else "safe")
    found = origin.find("sentinel2", grids, window)
    LOG.info("found %d scenes in %s", len(found), source)
    decisions = {
        name: catalog.judge_scenes(found, footprint(grid), window, chosen.maximum_cloud_percent)
        for name, grid in grids.items()
    }
    candidates = {
        decision.scene.source: decision.scene for taken in decisions.values() for decision in taken if decision.kept
    }
    wanted = list(candidates.values())
    catalog.check_layers(wanted, chosen.bands)
    catalog.check_baselines(wanted, chosen.assume_baseline)
    catalog.check_unknown_clouds(wanted, chosen.maximum_cloud_percent)
    with atomic_folder(output) as folder:
        table = export_scenes(
            create_store(folder), grids, decisions, chosen.bands, chosen.assume_baseline, origin.read, workers
        )
    write_table(scenes, table)
    kinds = table["reason"].str.partition(":")[0][~table["kept"]].value_counts()
    counts = {
        "scenes_found": len(found),
        "rows": len(table),
        "kept": int(table["kept"].sum()),
        "dropped": {kind: int(count) for kind, count in sorted(kinds.items())},
        "offset": int((table["offset"] != 0).sum()),
        "clipped": int(table["clipped"].sum()),
        "kept_per_site": {name: int(count) for name, count in table.groupby("site")["kept"].sum().items()},
    }
    # Pixels are hashed in the catalogue; hashing whole archives again would cost more than reading the sites.
    if chosen.source == "items":
        inputs = {"sites": sites, "items": items_file(source)}
    else:
        read = {scene.source for scene in wanted} | set(table["source"][table["kept"]])
        products = sorted({source.partition("/GRANULE/")[0] for source in read})
        inputs = {"sites": sites} | {f"product {name}": source / name / METADATA for name in products}
    content = {"imagery": dump(chosen), "season": dump(dates)}
    for result in (output, scenes):
        write_manifest(result, inputs=inputs, settings=content, counts=counts)

"""``cropflow samples``: deal blocks out to folds, and build the samples of a season."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from cropflow.errors import CropflowError
from cropflow.samples.kinds_command import app as kinds_app
from cropflow.samples.layouts.command import app as layouts_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Cut folds, patches, pixel sets and chips; import and export layouts.",
)
app.add_typer(kinds_app)
app.add_typer(layouts_app)
log = logging.getLogger(__name__)

Sites = Annotated[Path, typer.Option(help="Input: parquet table of the sites of a region.")]
Settings = Annotated[str, typer.Option(help="Entry of sets, JSON.")]


@app.command()
def folds(
    sites: Sites,
    parcels: Annotated[
        list[Path], typer.Option(help="Input: folder with the parcels of each site; once per season, in order.")
    ],
    crops: Annotated[list[Path], typer.Option(help="Input: parquet table with the crop of each parcel, likewise.")],
    settings: Settings,
    output: Annotated[Path, typer.Option(help="Output: parquet table of blocks with their fold and hectares.")],
    summary: Annotated[Path, typer.Option(help="Output: JSON, per fold blocks, parcels, hectares, distances (m).")],
) -> None:
    """Deal square blocks out to folds, the same for every season.

    Input: sites, and for each season the parcels in the sites (metres, UTM) and their crops (ids of the legend).
    Output: one row per block (epsg, block_x, block_y in multiples of block_m from the origin of the CRS) with its
    fold, labelled parcels and hectares; and a summary as JSON.
    """
    import pandas

    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.sections import SampleSet
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.regions.sites import read_sites
    from cropflow.samples.blocks import blocks_of_sites, check_ring, check_zones
    from cropflow.samples.fold_summary import summarise_folds
    from cropflow.samples.folds import assign_folds
    from cropflow.samples.parcels import gather, read_crops, read_parcels

    if len(parcels) != len(crops):
        raise CropflowError(f"{len(parcels)} --parcels and {len(crops)} --crops were given; expected one per season.")
    chosen = parse_json(SampleSet, settings)
    check_ring(chosen.folds.ring_m, chosen.folds.block_m)
    grids = read_sites(sites)
    check_zones(grids)
    seasons = [
        gather(read_parcels(folder, grids), read_crops(table)).assign(season=number)
        for number, (folder, table) in enumerate(zip(parcels, crops, strict=True))
    ]
    together = pandas.concat(seasons, ignore_index=True)
    blocks = blocks_of_sites(grids, chosen.folds.block_m)
    assigned = assign_folds(blocks, together, chosen.folds, chosen.background)
    described = summarise_folds(assigned, together, chosen.folds, chosen.background)
    for fold in described["folds"]:
        log.info(
            "fold %d: %d of %d blocks, %d of %d labelled parcels, %.1f ha, %d classes absent",
            fold["fold"], fold["blocks"], described["blocks"], fold["parcels"], described["parcels"]["labelled"],
            fold["hectares"], len(fold["absent_classes"]),
        )  # fmt: skip
    if described["rare_classes"]:
        log.warning(
            "%d of %d classes lie in fewer than three blocks and cannot be learnt, validated and tested at once: %s",
            len(described["rare_classes"]), len(described["classes"]), described["rare_classes"],
        )  # fmt: skip
    write_table(output, assigned)
    write_json(summary, described)
    inputs: dict[str, Path | str] = {"sites": sites}
    for number, (folder, table) in enumerate(zip(parcels, crops, strict=True)):
        inputs |= {f"parcels {number}": folder, f"crops {number}": table}
    counts = {name: described[name] for name in ("blocks", "parcels", "seasons")}
    for result in (output, summary):
        write_manifest(result, inputs, dump(chosen), counts)


@app.command()
def build(
    composites: Annotated[
        list[Path], typer.Option(help="Input: Zarr store of composites; once per sensor, in the order of the set's.")
    ],
    sites: Sites,
    parcels: Annotated[Path, typer.Option(help="Input: folder with the parcels of each site.")],
    crops: Annotated[Path, typer.Option(help="Input: parquet table with the crop of each parcel.")],
    folds: Annotated[Path, typer.Option(help="Input: parquet table of blocks with their fold.")],
    settings: Settings,
    output: Annotated[
        Path, typer.Option(help="Output: folder with rasters per site, parcels.parquet and summary.json.")
    ],
) -> None:
    """Rasterise parcels, and mark what can be learnt from.

    Input: composites of every sensor (reflectance x 10000, uint16, 0 = nodata; backscatter dB x 100, int16, -32768 =
    nodata), parcels, their crops, and the folds of the blocks.
    Output: per site crops.tif, parcels.tif, folds.tif and seen.tif (which sensors have a value on enough dates); a
    table of the parcels with their pixels; and a summary whose counts add up.
    """
    from cropflow.config.base import dump
    from cropflow.config.root import parse_json
    from cropflow.config.sections import SampleSet
    from cropflow.files.atomic import atomic_folder
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table
    from cropflow.regions.sites import read_sites
    from cropflow.samples.blocks import check_block_size
    from cropflow.samples.build import Sources, build_samples
    from cropflow.samples.parcels import read_crops, read_parcels
    from cropflow.samples.sensors import by_place
    from cropflow.samples.sources import read_composites
    from cropflow.samples.tallies import tell_dates

    chosen = parse_json(SampleSet, settings)
    stores = by_place(composites, chosen.sensors)[0]
    if not folds.is_file():
        raise CropflowError(f"{folds} is missing; expected the folds of the blocks. Run cropflow samples folds.")
    table = read_table(folds)
    check_block_size(table, chosen.folds.block_m)
    grids = read_sites(sites)
    sources = Sources(grids, read_parcels(parcels, grids), read_crops(crops), table, read_composites(stores, grids))
    with atomic_folder(output) as temporary:
        summary = build_samples(sources, chosen, temporary)
    log.info(
        "%d of %d pixels of %d sites are usable; the others: %s",
        summary["pixels"]["reasons"]["usable"], summary["pixels"]["total"], len(grids),
        ", ".join(f"{name} {number}" for name, number in summary["pixels"]["reasons"].items() if name != "usable"),
    )  # fmt: skip
    reasons, least = summary["pixels"]["reasons"], chosen.minimum_dates
    lack = "have a period without a value" if least is None else f"have a value on fewer than {least} dates"
    for sensor, number in summary["pixels"]["no_value_of"].items():
        log.info(
            "%d of %d otherwise usable pixels %s of %s", number, reasons["usable"] + reasons["no_value"], lack, sensor
        )
    for sensor, number in summary["pixels"]["lacking"].items():
        log.info("%d of %d usable pixels %s of %s, and are learnt without", number, reasons["usable"], lack, sensor)
    tell_dates("pixels", reasons["usable"], summary["pixels"]["dates"])
    write_manifest(
        output,
        {f"composites {sensor}": path for sensor, path in stores.items()}
        | {"sites": sites, "parcels": parcels, "crops": crops, "folds": folds},
        dump(chosen),
        {name: summary[name] for name in ("pixels", "parcels")},
    )

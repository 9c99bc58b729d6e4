"""``cropflow labels``: download, clean and map a register of parcels."""

from __future__ import annotations

from pathlib import Path

import typer

from cropflow.labels.history_command import app as history_app
from cropflow.labels.legend_command import app as legend_app

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Download, clean and map a register of parcels, and link its seasons.",
)
app.add_typer(legend_app, name="legend")
# Verbs of the room like its own: without a name they stand beside them.
app.add_typer(history_app)


@app.command()
def download(
    url: str = typer.Option(..., help="http(s) address; one that ends in .7z.001 brings all further parts with it."),
    output: Path = typer.Option(..., help="Where the file goes; further parts go beside it."),
    sha256: str | None = typer.Option(None, help="Checksum of the file, or of all parts one after the other."),
    work: Path | None = typer.Option(
        None,
        help="Folder of partial files, for resuming. Default: .work/downloads beside the folder of the output.",
    ),
) -> None:
    """Download a register, with retries; the same command goes on after an interruption."""
    from cropflow.files.manifest import write_manifest
    from cropflow.labels.download import download as fetch_register
    from cropflow.labels.transfer import shown

    files = fetch_register(url, output, sha256 or None, work)
    for file in files:
        write_manifest(
            file,
            settings={"url": shown(url), "sha256": sha256 or None},
            counts={"parts": len(files), "bytes": sum(part.stat().st_size for part in files)},
        )


@app.command()
def clean(
    source: Path = typer.Option(
        ..., help="Vector file, archive with one (.zip, .7z, .7z.001), or folder with RPG_<season>.7z."
    ),
    season: str = typer.Option(..., help="Season of the register."),
    settings: str = typer.Option(..., help="The register's config entry, JSON."),
    output: Path = typer.Option(..., help="GeoParquet: parcel_id, crop_code, area_ha (hectares), geometry."),
    summary: Path = typer.Option(..., help="JSON: parcels and hectares read, kept, dropped by reason, per code."),
) -> None:
    """Repair, drop and sort the parcels of a register, in its own CRS, and count what is lost."""
    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.config.sections import dump
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.labels.archives import source_files
    from cropflow.labels.parcels import clean as clean_parcels
    from cropflow.labels.registers import read_register, register_file

    register = parse_json(Register, settings)
    file = register_file(source, season)
    parcels, counts = clean_parcels(read_register(file, season, register), register.cleaning)
    write_table(output, parcels)
    write_json(summary, counts)
    read = {f"source_{number:03d}": part for number, part in enumerate(source_files(file), start=1)}
    used = {
        "reader": register.reader,
        "layer": register.files[season].layer if season in register.files else None,
        "columns": dump(register.columns) if register.columns else None,
        "cleaning": dump(register.cleaning),
    }
    totals = {key: counts[key] for key in ("read", "kept", "dropped", "repaired", "renamed")}
    for path in (output, summary):
        write_manifest(path, inputs=read, settings=used, counts=totals)


@app.command(name="map")
def map_(
    parcels: Path = typer.Option(..., help="GeoParquet of `labels clean`."),
    settings: str = typer.Option(..., help="The register's config entry, JSON; table and unmapped are used."),
    legend: str = typer.Option(..., help="Name of the legend."),
    output: Path = typer.Option(..., help="Parquet: parcel_id, crop (legend id; 0 out of scope, 65534 unknown)."),
    summary: Path = typer.Option(..., help="JSON: parcels and hectares per crop, codes out of scope, codes unknown."),
) -> None:
    """Map the codes of cleaned parcels to the crops of a legend."""
    import pandas

    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.labels.legend import read_legend, read_table
    from cropflow.labels.mapping import map_codes, summarise

    register = parse_json(Register, settings)
    rows = pandas.read_parquet(parcels, columns=["parcel_id", "crop_code", "area_ha"])
    crops = map_codes(rows, read_table(legend, register.table), register.unmapped)
    counts = summarise(rows, crops, read_legend(legend).name)
    write_table(output, pandas.DataFrame({"parcel_id": rows["parcel_id"], "crop": crops}))
    write_json(summary, counts)
    own_table = Path(register.table)
    inputs = {"parcels": parcels} | ({"table": own_table} if own_table.is_file() else {})
    # A table of the user's own counts by its content; where it lies does not matter.
    used = {"legend": legend, "table": own_table.name, "unmapped": register.unmapped}
    for path in (output, summary):
        write_manifest(path, inputs=inputs, settings=used, counts={"total": counts["total"]})

"""``cropflow labels``: download, clean and map a register of parcels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from cropflow.labels.history_command import app as history_app
from cropflow.labels.legend_command import app as legend_app

if TYPE_CHECKING:
    from cropflow.config.registers import Register

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
    from cropflow.config.addresses import public
    from cropflow.files.manifest import write_manifest
    from cropflow.labels.download import download as fetch_register

    files = fetch_register(url, output, sha256 or None, work)
    for file in files:
        write_manifest(
            file,
            settings={"url": public(url), "sha256": sha256 or None},
            counts={"parts": len(files), "bytes": sum(part.stat().st_size for part in files)},
        )


@app.command()
def vintages(
    year: int | None = typer.Option(None, help="Only this year."),
    area: str | None = typer.Option(None, help="Only this area: FXX for metropolitan France, or a region such as R84."),
) -> None:
    """List the known deliveries of the French register: year, area, version, form, CRS, evidence, address."""
    from cropflow.config.rpg_vintages import vintages as known
    from cropflow.errors import CropflowError

    found = [each for each in known() if year in (None, each.year) and area in (None, each.area)]
    if not found:
        asked = " and ".join(
            f"--{name} {value}" for name, value in (("year", year), ("area", area)) if value is not None
        )
        raise CropflowError(
            f"No delivery of {asked} is known; expected one of those that `cropflow labels vintages` lists."
        )
    for each in found:
        typer.echo(
            f"{each.year}  {each.area}  {each.version}  {each.form:4}  EPSG:{each.epsg}  {each.evidence:8}  {each.url}"
        )


@app.command()
def clean(
    source: str = typer.Option(
        ...,
        help="Vector file, archive with one (.zip, .7z, .7z.001), folder with RPG_<season>.7z, or the folder of ISRC; "
        "for reader raster a raster, STAC items, or the http(s) address of a COG.",
    ),
    season: str = typer.Option(..., help="Season of the register."),
    settings: str = typer.Option(..., help="The register's config entry, JSON."),
    output: Path = typer.Option(
        ..., help="GeoParquet: parcel_id, crop_code, area_ha (hectares), further columns, geometry."
    ),
    summary: Path = typer.Option(..., help="JSON: parcels and hectares read, kept, dropped by reason, per code."),
    workers: int = typer.Option(2, min=1, help="Threads; the result does not depend on their number."),
) -> None:
    """Repair, drop and sort the parcels of a register, in its own CRS, and count what is lost."""
    from cropflow.config.addresses import public
    from cropflow.config.base import dump
    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.map_items import is_remote
    from cropflow.files.tables import write_table
    from cropflow.labels.ingest import ingest
    from cropflow.labels.parcels import clean as clean_parcels
    from cropflow.labels.registers import (
        open_register,
        read_register,
        register_findings,
        register_groups,
        register_sources,
        seen_whole,
    )

    register = parse_json(Register, settings)
    if seen_whole(register):
        whole = read_register(source, season, register)
        found = register_findings(whole, register)
        table, counts = clean_parcels(whole, register.cleaning, register_groups(whole, register))
        write_table(output, table)
    else:
        with open_register(source, season, register) as parcels:
            counts = ingest(parcels, output, register.cleaning, workers)
            found = parcels.findings()
    counts |= {"findings": found} if found else {}
    write_json(summary, {"kind": register.kind, **counts})
    sources = register_sources(source, season, register)
    read = {f"source_{number:03d}": part for number, part in enumerate(sources, start=1)} | _beside(register)
    used = {
        "reader": register.reader,
        "kind": register.kind,
        "address": public(source) if is_remote(source) else None,
        "layer": register.files[season].layer if season in register.files else None,
        "encoding": register.files[season].encoding if season in register.files else None,
        "columns": dump(register.columns) if register.columns else None,
        "cleaning": dump(register.cleaning),
    }
    # Where a file lies does not matter; its content is among the inputs. The window is of no account here.
    for name, dropped in (
        ("points", ()),
        ("raster", ()),
        ("national", ("path",)),
        ("provinces", ("path",)),
        ("calendar", ("path", "window")),
    ):
        section = getattr(register, name)
        if section is not None:
            used[name] = {key: value for key, value in dump(section).items() if key not in dropped}
    totals = {key: counts[key] for key in ("read", "kept", "dropped", "repaired", "renamed")}
    for path in (output, summary):
        write_manifest(path, inputs=read, settings=used, counts=totals)


def _beside(register: Register) -> dict[str, Path]:
    """Files that a register names beside its own."""
    sections = {"national": register.national, "provinces": register.provinces, "calendar": register.calendar}
    return {name: Path(section.path) for name, section in sections.items() if section is not None}


@app.command()
def windows(
    parcels: Path = typer.Option(..., help="GeoParquet of `labels clean`, of a register with a calendar."),
    season: str = typer.Option(..., help="Season of the register."),
    settings: str = typer.Option(..., help="The register's config entry, JSON; calendar is used."),
    output: Path = typer.Option(
        ..., help="Parquet: province, crop, calendar, harvest_start, window_start, window_end (days inclusive)."
    ),
    summary: Path = typer.Option(
        ..., help="JSON: per queried crop, parcels and hectares positive, negative, unknown, without a window."
    ),
    queries: Path = typer.Option(
        ...,
        help="Parquet, a row per queried crop and parcel with a window: parcel_id, crop, calendar, label (1 positive, "
        "0 known negative, 254 unknown), window_start, window_end (days inclusive).",
    ),
) -> None:
    """Write the window before harvest of every province and queried crop, and what each parcel tells of the crop."""
    import pandas

    from cropflow.config.base import dump
    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_geotable, write_table
    from cropflow.labels.registers.isrc import calendar_of, read_calendars_of
    from cropflow.labels.registers.isrc_products import may_hold
    from cropflow.labels.windows import answer_queries, count_query, harvest_windows

    register = parse_json(Register, settings)
    calendar = calendar_of(register)
    calendars = read_calendars_of(season, register)
    table = harvest_windows(calendars, calendar.window)
    rows = read_geotable(parcels)
    answers = list(answer_queries(rows, calendars, table, may_hold))
    counts = {
        "queries": [count_query(answer, rows["area_ha"].to_numpy(), table) for answer in answers],
        "without_harvest": [f"{row.sheet}, {row.province}" for row in calendars if row.harvest_start is None],
    }
    write_table(output, table)
    write_json(summary, counts)
    write_table(queries, pandas.concat(answers, ignore_index=True).dropna(subset="window_start", ignore_index=True))
    inputs = {"parcels": parcels, "calendar": Path(calendar.path)}
    used = {key: value for key, value in dump(calendar).items() if key != "path"} | {"season": season}
    for path in (output, summary, queries):
        write_manifest(path, inputs=inputs, settings=used, counts={"windows": len(table), "calendars": len(calendars)})


@app.command(name="map")
def map_(
    parcels: Path = typer.Option(..., help="GeoParquet of `labels clean`."),
    settings: str = typer.Option(
        ..., help="The register's config entry, JSON; table, unmapped and minimum_share_percent are used."
    ),
    legend: str = typer.Option(..., help="Name of the legend, or path of its CSV file."),
    campaign: int | None = typer.Option(
        None, help="Year of the declaration: codes outside their years and merged codes are reported."
    ),
    output: Path = typer.Option(..., help="Parquet: parcel_id, crop (legend id; 0 out of scope, 65534 unknown)."),
    summary: Path = typer.Option(
        ..., help="JSON: parcels and hectares per crop, codes out of scope, ignored, unknown, outside their years."
    ),
) -> None:
    """Map the codes of cleaned parcels to the crops of a legend."""
    import numpy as np
    import pandas

    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.config.shipped import legend_key
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table, write_table
    from cropflow.labels.legend import own_files, read_code_table, read_legend, tables_that_know
    from cropflow.labels.mapping import UNKNOWN, map_codes, rare_crops, summarise
    from cropflow.labels.vintages import report_years

    register = parse_json(Register, settings)
    table = read_code_table(legend, register.table)
    rows = read_table(parcels, ["parcel_id", "crop_code", "area_ha"])
    crops = map_codes(
        rows, {code: found.crop for code, found in table.items()}, register.unmapped, register.table,
        lambda codes: tables_that_know(legend, codes),
    )  # fmt: skip
    rare = rare_crops(crops, rows["area_ha"].to_numpy(), register.minimum_share_percent)
    ignored = {code for code, found in table.items() if found.crop == UNKNOWN}
    counts = summarise(rows, crops, read_legend(legend).name, ignored, rare)
    years = report_years(rows, table, campaign) if campaign is not None else None
    crops[np.isin(crops, list(rare))] = UNKNOWN
    write_table(output, pandas.DataFrame({"parcel_id": rows["parcel_id"], "crop": crops}))
    write_json(summary, counts | {"years": years})
    inputs = {"parcels": parcels} | own_files(legend, register.table)
    used = {
        "legend": legend_key(legend),
        "table": Path(register.table).name,
        "unmapped": register.unmapped,
        "minimum_share_percent": register.minimum_share_percent,
        "campaign": campaign,
    }
    for path in (output, summary):
        write_manifest(path, inputs=inputs, settings=used, counts={"total": counts["total"]})

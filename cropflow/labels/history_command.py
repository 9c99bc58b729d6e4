"""``cropflow labels overlay``, ``history`` and ``stable``: link the parcels of a register over the seasons."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    import pandas

app = typer.Typer()

PARCELS = typer.Option(..., help="GeoParquet of `labels clean` of the season.")


@app.command()
def overlay(
    parcels: Path = PARCELS,
    earlier: Path = typer.Option(..., help="GeoParquet of `labels clean` of an earlier season, in any CRS."),
    settings: str = typer.Option(..., help="The register's history entry, JSON; thresholds of slivers are used."),
    output: Path = typer.Option(..., help="Parquet: parcel_id, earlier_id, share (of the parcel, 0 to 1), iou."),
    summary: Path = typer.Option(..., help="JSON: parcels and hectares covered and not, slivers, overlaps."),
    workers: int = typer.Option(1, min=1, help="Threads."),
) -> None:
    """Lay the parcels of a season over those of an earlier one, and count what is dropped."""
    from cropflow.config.registers import History
    from cropflow.config.root import parse_json
    from cropflow.files.atomic import write_json
    from cropflow.files.georows import GeoRows
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import write_table
    from cropflow.labels.linking import link

    history = parse_json(History, settings)
    pieces, counts = link(GeoRows(parcels), GeoRows(earlier), history, workers)
    write_table(output, pieces)
    write_json(summary, counts)
    used = {"sliver_share": history.sliver_share, "sliver_area_m2": history.sliver_area_m2}
    for path in (output, summary):
        write_manifest(path, inputs={"parcels": parcels, "earlier": earlier}, settings=used, counts=counts)


@app.command()
def history(
    parcels: Path = PARCELS,
    settings: str = typer.Option(
        ..., help="The register's config entry, JSON; table, history.years and history.publication_lag are used."
    ),
    legend: str = typer.Option(..., help="Name of the legend, or path of its CSV file."),
    earlier: list[str] = typer.Option(
        ..., help="Years before and name of an earlier season, such as 1/2022; the next options in the same order."
    ),
    overlay: list[Path] = typer.Option(..., help="Parquet of `labels overlay` with that season."),
    crops: list[Path] = typer.Option(..., help="Parquet of `labels map` of that season."),
    earlier_parcels: list[Path] = typer.Option(
        ..., help="GeoParquet of `labels clean` of that season; its second crops are read."
    ),
    output: Path = typer.Option(
        ...,
        help="Parquet: parcel_id, season, lag (years), crop (0 out of scope, 65534 unknown code, 65535 not covered), "
        "second, share (0 to 1), known_share (0 to 1).",
    ),
    summary: Path = typer.Option(..., help="JSON: hectares per year and crop, years of which nothing is known."),
) -> None:
    """Add up what grew on each parcel in earlier seasons, by crop of a legend, in the order of the years."""
    from cropflow.config.registers import Register
    from cropflow.config.root import parse_json
    from cropflow.config.shipped import legend_key
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import column_names, read_table, write_parts
    from cropflow.labels.history import (
        SECOND_CODES,
        shares_of_year,
        summarise_year,
        unknown_year,
        with_second_crops,
        year_reason,
    )
    from cropflow.labels.legend import own_files, read_legend
    from cropflow.labels.legend import read_table as read_codes

    register = parse_json(Register, settings)
    rule = register.history
    seasons = _seasons(earlier, overlay, crops, earlier_parcels, rule.publication_lag, rule.years)
    codes, names = read_codes(legend, register.table), read_legend(legend).name
    own = read_table(parcels, ["parcel_id", "area_ha"])
    area_ha = own["area_ha"].to_numpy()
    counts = {}

    def year(lag: int) -> pandas.DataFrame:
        if lag not in seasons:
            counts[str(lag)] = {"season": "", "reason": year_reason(lag, rule.publication_lag)}
            return unknown_year(own, "", lag)
        name, number = seasons[lag]
        held = [column for column in SECOND_CODES if column in column_names(earlier_parcels[number])]
        rows = read_table(earlier_parcels[number], ["parcel_id", "area_ha", *held])
        mapped, second = with_second_crops(read_table(crops[number], ["parcel_id", "crop"]), rows, codes)
        pieces = read_table(overlay[number], ["parcel_id", "earlier_id", "share"])
        table = shares_of_year(own, pieces, mapped, name, lag)
        found = summarise_year(table, area_ha, names)
        counts[str(lag)] = found | {"season": name, "reason": "", "second_codes": second}
        return table

    def years() -> Iterator[pandas.DataFrame]:
        return (year(lag) for lag in range(1, rule.years + 1))

    write_parts(output, years())
    write_json(summary, counts)
    inputs = {"parcels": parcels} | {
        f"{role}_{lag}": files[number]
        for lag, (_, number) in seasons.items()
        for role, files in (("overlay", overlay), ("crops", crops), ("earlier_parcels", earlier_parcels))
    }
    inputs |= own_files(legend, register.table)
    used = {
        "legend": legend_key(legend),
        "table": Path(register.table).name,
        "seasons": {str(lag): name for lag, (name, _) in seasons.items()},
        "years": rule.years,
        "publication_lag": rule.publication_lag,
    }
    for path in (output, summary):
        write_manifest(path, inputs=inputs, settings=used, counts=counts)


def _seasons(
    earlier: list[str], overlay: list[Path], crops: list[Path], parcels: list[Path], publication_lag: int, years: int
) -> dict[int, tuple[str, int]]:
    """Years before -> name of the season and its place among the options.

    Raises:
        CropflowError: If the options do not go together, or a season is not one of the years asked for.
    """
    from cropflow.errors import CropflowError, refuse

    if not len(earlier) == len(overlay) == len(crops) == len(parcels):
        raise CropflowError(
            f"--earlier is given {len(earlier)} times, --overlay {len(overlay)}, --crops {len(crops)}, "
            f"--earlier-parcels {len(parcels)}; expected each as often. Give all four for every season."
        )
    found: dict[int, tuple[str, int]] = {}
    for number, text in enumerate(earlier):
        lag, _, name = text.partition("/")
        if not lag.isdigit() or not name:
            refuse("--earlier", text, "years before and the name of a season, such as 1/2022")
        if not publication_lag < int(lag) <= years:
            refuse("The year of --earlier", text, f"{publication_lag + 1} to {years} years before")
        if int(lag) in found:
            refuse("--earlier", text, f"one season a year, and {found[int(lag)][0]!r} is {lag} before too")
        found[int(lag)] = (name, number)
    return dict(sorted(found.items()))


@app.command()
def stable(
    parcels: Path = PARCELS,
    settings: str = typer.Option(..., help="The register's history entry, JSON; stable_iou is used."),
    earlier: list[str] = typer.Option(..., help="Name of an earlier season; the nearest first."),
    overlay: list[Path] = typer.Option(..., help="Parquet of `labels overlay` with that season, in the same order."),
    output: Path = typer.Option(..., help="Parquet: parcel_id, parcel_id_<season> per earlier season, iou."),
    summary: Path = typer.Option(..., help="JSON: parcels and hectares, stable ones, dropped by season and reason."),
) -> None:
    """Choose the parcels that keep their outline over all seasons, with their ids in each."""
    from cropflow.config.registers import History
    from cropflow.config.root import parse_json
    from cropflow.errors import CropflowError
    from cropflow.files.atomic import write_json
    from cropflow.files.manifest import write_manifest
    from cropflow.files.tables import read_table, write_table
    from cropflow.labels.stable import stable_parcels

    least = parse_json(History, settings).stable_iou
    if len(earlier) != len(overlay):
        raise CropflowError(
            f"--earlier is given {len(earlier)} times, --overlay {len(overlay)}; expected each as often. "
            f"Give both for every season."
        )
    pieces = {
        name: read_table(file, ["parcel_id", "earlier_id", "iou"]) for name, file in zip(earlier, overlay, strict=True)
    }
    table, counts = stable_parcels(read_table(parcels, ["parcel_id", "area_ha"]), pieces, least)
    write_table(output, table)
    write_json(summary, counts)
    inputs = {"parcels": parcels} | {f"overlay_{name}": file for name, file in zip(earlier, overlay, strict=True)}
    for path in (output, summary):
        write_manifest(path, inputs=inputs, settings={"stable_iou": least, "seasons": earlier}, counts=counts)

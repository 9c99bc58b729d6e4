"""The points of the Canadian Cropland Dataset: the centres of farmland whose crop the AAFC crop inventory named.

One CSV file per season lists each point once per month of imagery: ``Point_ID``, ``Province Code``, ``Crop Type``,
``ACI Crop ID``, ``Longitude``, ``Latitude`` and more. Ten crops were chosen; in later seasons a point may carry any
crop of the inventory. Codes are the names in lower case with underscores. The labels come from a map that is right in
about 85 % of its cropland: scores against them are agreement.

Source: Boatswain Jacques, Diallo and Lord (2023), https://arxiv.org/abs/2306.00114; the points lie in
https://github.com/bioinfoUQAM/Canadian-cropland-dataset-github.
"""

from __future__ import annotations

import logging
from pathlib import Path

import geopandas
import pandas
import shapely

from cropflow.config.registers import Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.registers.frame import text_of

logger = logging.getLogger(__name__)

# The ten crops of the data set and their codes in the AAFC Annual Crop Inventory.
CROPS = {
    "barley": "133",
    "canola": "153",
    "corn": "147",
    "mixedwood": "230",
    "oat": "136",
    "orchard": "188",
    "pasture": "122",
    "potato": "177",
    "soybean": "158",
    "spring_wheat": "146",
}
# As different editions of the file write them.
POINT = ("Point_ID", "Point ID")
PROVINCE = ("Province Code",)
CROP = ("Crop Type",)
CODE = ("ACI Crop ID",)
LONGITUDE, LATITUDE = ("Longitude",), ("Latitude",)
GEOGRAPHIC = "EPSG:4326"
# Longitude and latitude of Canada, degrees: what lies outside has its columns swapped or is of another place.
CANADA = (-142.0, 41.0, -52.0, 84.0)


def read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read the points of a season; see :class:`cropflow.labels.registers.Reader`.

    A point that the file names with several crops has no crop, and cleaning drops it under "no_code".

    Args:
        source: The CSV file.
        season: Name of the season; a file is of one.
        settings: The register's config entry, of which nothing is used: ``points`` makes squares of what is read.

    Raises:
        CropflowError: If a column is missing, a coordinate is none or lies outside Canada, a point lies in two places,
            or a name and a code of the inventory contradict each other.
    """
    rows, name = _rows(source), source.name
    _check_codes(rows, name)
    points = rows.groupby(["province", "point"], sort=False)
    places = points[["longitude", "latitude"]].nunique(dropna=False).max(axis=1)
    if (places > 1).any():
        told = listing("_".join(key) for key in places.index[places > 1])
        raise CropflowError(
            f"{name} has {int((places > 1).sum())} points in several places: {told}; expected one each."
        )
    several = points["crop"].transform("nunique") > 1
    if several.any():
        told = listing(sorted({"_".join(key) for key in rows.loc[several, ["province", "point"]].to_numpy().tolist()}))
        logger.warning("%s names points with several crops, which therefore have none: %s", name, told)
    # The crop of a point may be told in some of its months only.
    crop = points["crop"].transform("first").mask(several)
    first = rows.assign(crop=crop).drop_duplicates(["province", "point"], ignore_index=True)
    logger.info("%s: %d rows are %d points", name, len(rows), len(first))
    return geopandas.GeoDataFrame(
        {"parcel_id": first["province"] + "_" + first["point"], "crop_code": first["crop"]},
        geometry=shapely.points(first["longitude"], first["latitude"]),
        crs=GEOGRAPHIC,
    )


def _rows(file: Path) -> pandas.DataFrame:
    """The file's rows: point, province, crop, code (all text) and longitude, latitude (degrees)."""
    try:
        table = pandas.read_csv(file, dtype="str", keep_default_na=False, encoding="utf-8-sig")
    except (pandas.errors.ParserError, pandas.errors.EmptyDataError, UnicodeDecodeError) as error:
        raise CropflowError(f"{file.name} cannot be read as a UTF-8 CSV file ({error}); fetch it again.") from None
    if table.empty:
        raise CropflowError(f"{file.name} has 0 points; expected at least 1. Check the file.")
    wanted = {
        "point": POINT, "province": PROVINCE, "crop": CROP, "code": CODE,
        "longitude": LONGITUDE, "latitude": LATITUDE,
    }  # fmt: skip
    rows = pandas.DataFrame({key: table[_column(table, names, file)].str.strip() for key, names in wanted.items()})
    rows["crop"] = rows["crop"].str.lower().str.replace(r"[\s_-]+", "_", regex=True)
    rows["crop"] = rows["crop"].where(rows["crop"] != "")
    rows["code"] = text_of(pandas.to_numeric(rows["code"], errors="coerce"))
    for key in ("longitude", "latitude"):
        numbers = pandas.to_numeric(rows[key], errors="coerce")
        if numbers.isna().any():
            found = listing(repr(text) for text in rows.loc[numbers.isna(), key].unique())
            raise CropflowError(f"{file.name} has the {key} {found}; expected degrees. Correct the file.")
        rows[key] = numbers
    west, south, east, north = CANADA
    outside = ~(rows["longitude"].between(west, east) & rows["latitude"].between(south, north))
    if outside.any():
        x, y = rows.loc[outside, ["longitude", "latitude"]].iloc[0]
        raise CropflowError(
            f"{file.name} has {int(outside.sum())} of {len(rows)} rows outside Canada, such as longitude {x}, latitude "
            f"{y}; expected {west:g} to {east:g} and {south:g} to {north:g}. Check that the columns are not swapped."
        )
    return rows


def _column(table: pandas.DataFrame, names: tuple[str, ...], file: Path) -> str:
    for name in names:
        if name in table.columns:
            return name
    wanted = " or ".join(repr(name) for name in names)
    raise CropflowError(f"{file.name} has no column {wanted}; it has: {listing(table.columns, 40)}.")


def _check_codes(rows: pandas.DataFrame, name: str) -> None:
    """A crop of the ten carries its own code of the inventory, where it carries one."""
    expected = rows["crop"].map(CROPS)
    wrong = expected.notna() & rows["code"].notna() & (rows["code"] != expected)
    if wrong.any():
        crop, code = rows.loc[wrong, ["crop", "code"]].iloc[0]
        raise CropflowError(
            f"{name} has {int(wrong.sum())} of {len(rows)} rows whose crop and inventory code differ, such as {crop!r} "
            f"with ACI Crop ID {code}; expected {CROPS[crop]}. Correct the file."
        )

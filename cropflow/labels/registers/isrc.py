"""The ISRC register of Iran: a folder, or an archive of it, with one shapefile per crop and agricultural year.

``<Crop>/GCP/1400-1401/*.shp`` hold polygons, those of 1401-1402 points, ``Other`` what is none of the eight crops.
The column that names the product, its language and its capitals differ from file to file, and one file has none:
there the folder names the crop. A product that names another crop than its folder wins: the folder ``Other`` holds
points of canola. Where a name joins two products without telling which one stands there, the code stays missing.

Products are kept in English beside the code, since ``other`` is not enough to know what does not grow there: summer
vegetables may be tomato. A parcel carries its province and the crop calendars that it may have followed.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import geopandas
import pandas

from cropflow.config.registers import CropCalendar, Register
from cropflow.errors import CropflowError, listing
from cropflow.labels.archives import SHAPEFILE_SUFFIXES, is_archive, unpacked_folder
from cropflow.labels.calendars import Calendar, attach, check_provinces, dated, read_calendars
from cropflow.labels.provinces import province_of, read_provinces
from cropflow.labels.registers.frame import column_among, columns_of, read_frame
from cropflow.labels.registers.isrc_products import CROPS, FOLDERS, SHEETS, product_of
from cropflow.labels.registers.vector import choose_layer

logger = logging.getLogger(__name__)

CRS = "EPSG:4326"
# Parcels in and out are counted by these beside the code.
GROUPS = ("province",)
PRODUCT_COLUMNS = ("product", "uses_cropc", "name", "نام_م")
YEAR = re.compile(r"(1[34]\d\d)-(1[34]\d\d)")


def agricultural_year(season: str, settings: Register) -> str:
    """The agricultural year of a season, such as ``1400-1401``: the file's ``layer``, or the season's own name.

    Raises:
        CropflowError: If neither is two Solar Hijri years in a row.
    """
    file = settings.files.get(season)
    year = (file.layer if file else None) or season
    match = YEAR.fullmatch(year)
    if match is None or int(match[2]) != int(match[1]) + 1:
        raise CropflowError(
            f"registers.<name>.files.{season} is of the agricultural year {year!r}; expected two years in a row, such "
            f"as '1400-1401'. Name the season so, or give it as `layer`."
        )
    return year


def files(source: Path, season: str, settings: Register) -> list[Path]:
    """The files that are read for a season: its shapefiles, sorted, or the archive that holds them.

    Raises:
        CropflowError: If the source is no folder and no archive, or has none for the season.
    """
    if source.is_file() and is_archive(source):
        return [source]
    if not source.is_dir():
        state = "is a file" if source.exists() else "does not exist"
        raise CropflowError(
            f"Register folder {source} {state}; expected a folder, or a .zip or .7z of it. Check "
            f"registers.<name>.files.{season}.path."
        )
    return _shapefiles(source, season, settings, source)


def _shapefiles(folder: Path, season: str, settings: Register, source: Path) -> list[Path]:
    """The shapefiles in a folder, which is the source or was unpacked from it."""
    year = agricultural_year(season, settings)
    shapefiles = sorted(file for file in folder.rglob(f"{year}/*") if file.suffix.lower() == ".shp")
    if not shapefiles:
        years = sorted({path.name for path in folder.rglob("*") if path.is_dir() and YEAR.fullmatch(path.name)})
        raise CropflowError(
            f"Register {'folder' if folder == source else 'archive'} {source} has no shapefiles in folders {year}; it "
            f"has the years {listing(years) or 'none'}. Correct the season or its `layer`."
        )
    return shapefiles


def read(source: Path, season: str, settings: Register) -> geopandas.GeoDataFrame:
    """Read all crops of an agricultural year; see :class:`cropflow.labels.registers.Reader`.

    Returns:
        In EPSG:4326, beside the usual columns: ``product`` (English), ``variant`` (``spring``, ``irrigated``, empty
        where not told), with settings for them ``province`` (missing where a parcel lies in none) and the lists of
        :data:`cropflow.labels.calendars.COLUMNS`. Ids are ``<Folder>-<row>``, rows from 1.
    """
    about = settings.files.get(season)
    with unpacked_folder(source, SHAPEFILE_SUFFIXES) as folder:
        found = files(source, season, settings)
        if folder != source:
            found = _shapefiles(folder, season, settings, source)
        parts = [_read_file(file, folder, about.encoding if about else None) for file in found]
    parcels = geopandas.GeoDataFrame(pandas.concat(parts, ignore_index=True), crs=CRS)
    if settings.provinces is None:
        return parcels
    provinces = read_provinces(Path(settings.provinces.path), settings.provinces.column)
    parcels["province"] = province_of(parcels.geometry, provinces)
    if settings.calendar is not None:
        calendars = read_calendars_of(season, settings)
        check_provinces(calendars, provinces["province"])
        parcels = geopandas.GeoDataFrame(attach(parcels, calendars), crs=CRS)
    # Geometry last, as everywhere.
    return parcels[[*parcels.columns.drop("geometry"), "geometry"]]


def calendar_of(settings: Register) -> CropCalendar:
    """The section of crop calendars.

    Raises:
        CropflowError: If the register has none.
    """
    if settings.calendar is None:
        raise CropflowError("registers.<name>.calendar is missing; name the workbook of crop calendars.")
    return settings.calendar


def read_calendars_of(season: str, settings: Register) -> list[Calendar]:
    """Read the crop calendars of a register, placed in the agricultural year of a season.

    Raises:
        CropflowError: If the register names none, or the workbook is not as expected.
    """
    calendar = calendar_of(settings)
    own = {sheet: (crop.partition("/")[0], crop.partition("/")[2]) for sheet, crop in calendar.sheets.items()}
    entries = read_calendars(Path(calendar.path), own or SHEETS)
    return dated(entries, int(agricultural_year(season, settings)[:4]), calendar.second_year)


def _read_file(file: Path, source: Path, encoding: str | None) -> geopandas.GeoDataFrame:
    folder, crop = _folder(file, source)
    layer = choose_layer(file, None)
    columns = columns_of(file, layer)
    product = column_among(columns, PRODUCT_COLUMNS)
    # A shapefile has at least one column; where none tells the product, the folder does.
    parcels = read_frame(file, layer, (product or columns[0],), encoding=encoding)
    names = parcels["crop_code"]
    if product is None:
        names = pandas.Series(crop, index=parcels.index, dtype="str")
        logger.info("%s has no column of products; its %d parcels are %s by their folder", file.name, len(names), crop)
    if parcels.crs != CRS:
        logger.info("%s: %d parcels moved from %s to %s", file.name, len(parcels), parcels.crs.to_string(), CRS)
    told = {name: product_of(name) for name in names.dropna().unique()}
    blank = (None, "", "")
    known = [told.get(name, blank) for name in names]
    return geopandas.GeoDataFrame(
        {
            "parcel_id": folder + "-" + parcels["parcel_id"],
            "crop_code": pandas.Series([code for code, _, _ in known], dtype="str"),
            "product": pandas.Series([name for _, _, name in known], dtype="str"),
            "variant": pandas.Series([variant for _, variant, _ in known], dtype="str"),
        },
        geometry=parcels.geometry.to_crs(CRS),
    )


def _folder(file: Path, source: Path) -> tuple[str, str]:
    """Name of the folder that tells the crop of a file, and the crop."""
    for part in file.relative_to(source).parts:
        if part.casefold() in FOLDERS:
            return part, FOLDERS[part.casefold()]
    raise CropflowError(
        f"{file.relative_to(source)} lies in no folder of a known crop; expected one of {listing(FOLDERS)}, in any "
        f"capitals."
    )


def findings(parcels: geopandas.GeoDataFrame) -> dict[str, Any]:
    """What a user should know of the parcels as read: where folder and product disagree, what has no province or dates.

    Args:
        parcels: As :func:`read` returns them.

    Returns:
        Parcels under ``named_otherwise`` (folder -> code -> parcels), ``without_province`` and ``without_calendar``
        (code -> parcels), and ``alternatives`` (code -> number of calendars -> parcels).
    """
    codes = parcels["crop_code"].fillna("")
    folders = parcels["parcel_id"].str.rpartition("-")[0]
    other = codes != folders.str.casefold().map(FOLDERS)
    result: dict[str, Any] = {
        "named_otherwise": {
            folder: _counts(codes[other & (folders == folder)]) for folder in sorted(set(folders[other]))
        }
    }
    if "province" in parcels.columns:
        result["without_province"] = _counts(codes[parcels["province"].isna()])
    if "calendar" in parcels.columns:
        numbers = parcels["calendar"].map(len)
        # `other` is no crop with a calendar.
        result["without_calendar"] = _counts(codes[(numbers == 0) & codes.isin(CROPS)])
        result["alternatives"] = {
            crop: {str(number): count for number, count in sorted(numbers[codes == crop].value_counts().items())}
            for crop in sorted(set(codes[numbers > 1]))
        }
    for name, found in result.items():
        if found and name != "alternatives":
            logger.warning("%s: %s", name.replace("_", " "), found)
    return result


def _counts(codes: pandas.Series) -> dict[str, int]:
    return {str(code): int(number) for code, number in codes.value_counts().sort_index().items()}

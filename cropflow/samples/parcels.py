"""The parcels of all sites in one table, each with its crop and its home block."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import geopandas
import numpy as np
import pandas
import shapely
from numpy.typing import NDArray

from cropflow.errors import CropflowError, listing
from cropflow.files.tables import read_geotable, read_table
from cropflow.regions.grid import Grid
from cropflow.samples.blocks import KEY
from cropflow.samples.labels import BACKGROUND, UNKNOWN

COLUMNS = ["index", "parcel_id", "crop_code", "area_ha", "site_area_ha", "cut"]


def read_parcels(folder: Path, sites: Mapping[str, Grid]) -> dict[str, geopandas.GeoDataFrame]:
    """Read the parcels of each site.

    Args:
        folder: Holds ``<site>.parquet`` for every site.
        sites: Site -> grid.

    Returns:
        Site -> parcels in the site's UTM zone.

    Raises:
        CropflowError: If a site's file is missing, lies in another CRS, or its indexes are not 1..n.
    """
    found: dict[str, geopandas.GeoDataFrame] = {}
    for site, grid in sites.items():
        path = folder / f"{site}.parquet"
        if not path.is_file():
            raise CropflowError(f"{path} is missing; expected the parcels of site {site}. Run the rule that makes it.")
        table = read_geotable(path)
        lacking = [column for column in COLUMNS if column not in table.columns]
        if lacking:
            raise CropflowError(f"{path} lacks the columns {listing(lacking)}. Clip the parcels again.")
        if table.crs.to_epsg() != grid.epsg:
            raise CropflowError(
                f"Parcels of site {site} are in EPSG:{table.crs.to_epsg()}; expected the site's EPSG:{grid.epsg}. "
                "Clip the parcels again."
            )
        if sorted(table["index"]) != list(range(1, len(table) + 1)):
            raise CropflowError(
                f"{path} has {len(table)} parcels whose index is not 1 to {len(table)}, each once. "
                "Clip the parcels again."
            )
        found[site] = table
    return found


def read_crops(path: Path) -> pandas.Series[int]:
    """Read the crop of each parcel.

    Args:
        path: Table with ``parcel_id`` and ``crop``.

    Returns:
        Crop id, uint16, by parcel id.

    Raises:
        CropflowError: If the table is missing or names a parcel twice.
    """
    if not path.is_file():
        raise CropflowError(f"{path} is missing; expected the crops of the parcels. Run the rule that makes it.")
    table = read_table(path)
    doubled = table["parcel_id"][table["parcel_id"].duplicated()]
    if len(doubled):
        raise CropflowError(
            f"{path} names {len(doubled)} parcels twice, such as {listing(doubled.unique(), 3)}; expected each once. "
            "Clean the register again."
        )
    return table.set_index("parcel_id")["crop"].astype("uint16")


def gather(parcels: Mapping[str, geopandas.GeoDataFrame], crops: pandas.Series[int]) -> pandas.DataFrame:
    """Put the parcels of all sites in one table and give each a home: one point that decides its block.

    The home is the representative point of the parcel; where a border cuts a parcel into two sites, that of its
    larger part, so that both parts are in one fold.

    Args:
        parcels: Site -> parcels in the site's UTM zone.
        crops: Crop id by parcel id.

    Returns:
        One row per site and parcel in the order of site and index: ``site``, ``index``, ``parcel_id``, ``crop``,
        ``area_ha``, ``site_area_ha``, ``cut``; of the part in the site ``perimeter_m`` (holes included) and its
        representative point ``point_x``, ``point_y`` (metres, UTM); and the home ``epsg``, ``x``, ``y`` (metres).

    Raises:
        CropflowError: If a parcel has no crop.
    """
    tables = []
    for site, table in parcels.items():
        point = shapely.point_on_surface(table.geometry.to_numpy())
        rows = pandas.DataFrame(table[["index", "parcel_id", "area_ha", "site_area_ha", "cut"]])
        x, y = shapely.get_x(point), shapely.get_y(point)
        rows = rows.assign(site=site, epsg=table.crs.to_epsg(), x=x, y=y, point_x=x, point_y=y)
        rows["perimeter_m"] = shapely.length(table.geometry.to_numpy())
        tables.append(rows.sort_values("index"))
    together = pandas.concat(tables, ignore_index=True)
    unlabelled = sorted(set(together["parcel_id"]) - set(crops.index))
    if unlabelled:
        raise CropflowError(
            f"{len(unlabelled)} of {together['parcel_id'].nunique()} parcels of the sites have no row in the table of "
            f"crops, such as {listing(unlabelled, 3)}; expected every one. Map the register's codes again."
        )
    together["crop"] = crops.reindex(together["parcel_id"]).to_numpy().astype(np.uint16)
    order = together.sort_values(["site_area_ha", "site"], ascending=[False, True], kind="stable")
    home = order.drop_duplicates("parcel_id").set_index("parcel_id").loc[together["parcel_id"]]
    for name in ("epsg", "x", "y"):
        together[name] = home[name].to_numpy()
    return together


def pixels_of_points(x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid) -> NDArray[np.int64]:
    """The pixels of a site that hold the points of its parcels.

    Args:
        x: Metres, in the CRS of the grid, ``(n,)``.
        y: The same.
        grid: The pixel grid.

    Returns:
        Row and column, int64, ``(n, 2)``; a point on the border of a site belongs to the pixel inside.
    """
    row = np.clip(np.floor((grid.ymax - y) / grid.pixel_m), 0, grid.height - 1)
    column = np.clip(np.floor((x - grid.xmin) / grid.pixel_m), 0, grid.width - 1)
    return np.stack([row, column], axis=-1).astype(np.int64)


def place_in_blocks(parcels: pandas.DataFrame, block_m: float) -> pandas.DataFrame:
    """Add the block of each parcel's home.

    Args:
        parcels: Table of :func:`gather`.
        block_m: Side of a block, metres.

    Returns:
        The table with ``block_x`` and ``block_y``.
    """
    return parcels.assign(
        block_x=np.floor(parcels["x"].to_numpy() / block_m).astype(np.int64),
        block_y=np.floor(parcels["y"].to_numpy() / block_m).astype(np.int64),
    )


def is_labelled(crop: pandas.Series[int], background: bool) -> pandas.Series[bool]:
    """Whether a parcel can be learnt from: its crop is known, and in the legend or wanted as background."""
    return (crop != UNKNOWN) & ((crop != BACKGROUND) | background)


def look_up_folds(parcels: pandas.DataFrame, folds: pandas.DataFrame) -> pandas.Series[int]:
    """The fold of each parcel: that of its home block.

    Args:
        parcels: Table of :func:`place_in_blocks`.
        folds: Table of blocks: ``epsg``, ``block_x``, ``block_y``, ``fold``.

    Raises:
        CropflowError: If a home block is not in the table of folds.
    """
    found = parcels[KEY].merge(folds[[*KEY, "fold"]], on=KEY, how="left")["fold"]
    if found.isna().any():
        raise CropflowError(
            f"{int(found.isna().sum())} of {len(parcels)} parcels lie in blocks without a fold; expected none. "
            "Run cropflow samples folds again for these sites."
        )
    return found.astype("uint8")


def shuffle_crops(parcels: pandas.DataFrame, background: bool, seed: int = 0) -> pandas.Series[int]:
    """Deal the crops of the labelled parcels out among them at random: nothing is left to learn.

    Args:
        parcels: Table of :func:`gather`; parts of one parcel keep one crop.
        background: Whether parcels out of the legend's scope (0) are labelled too.
        seed: Seed of the permutation.

    Returns:
        Crop id, uint16, in the order of the table; each crop is dealt to as many parcels as had it.
    """
    whole = parcels.drop_duplicates("parcel_id").sort_values("parcel_id").set_index("parcel_id")["crop"]
    labelled = is_labelled(whole, background).to_numpy()
    dealt = whole.to_numpy().copy()
    dealt[labelled] = np.random.default_rng(seed).permutation(dealt[labelled])
    shuffled = pandas.Series(dealt, index=whole.index)
    return shuffled.loc[parcels["parcel_id"]].reset_index(drop=True)
